/** Rows as a table, or, where a terminal has no room for one, as records: a line for each cell, behind its column's name. */
import Table from "cli-table3";

/** Columns that every table is made for, and that stdout has where it is no terminal. */
export const TABLE_COLUMNS = 80;
/** Beside a label less than this is no room to read in: then the text stands below it. */
const LEAST_TEXT = 16;
const GAP = 2;

type Align = "left" | "right";

export interface TableForm {
  head: readonly string[];
  /** [rows][columns]; a cell may have several lines. Undefined cells are those of a row that is shorter. */
  rows: readonly (readonly (string | number)[])[];
  /** framed is the default; bare tables have neither lines nor a frame */
  look?: "framed" | "bare";
  /** each line of a head's cell names the same line of the cells below it */
  stacked?: boolean;
  align?: readonly Align[];
  /** columns of each, where words are to be wrapped into them */
  widths?: readonly number[];
  /** spaces before and after the text of a bare table's cell; 0 and 1 where nothing is said */
  padding?: readonly [left: number, right: number];
}

/** @param columns of the terminal */
export function drawTable(form: TableForm, columns: number): string {
  if (columns < TABLE_COLUMNS) return drawRecords(form, columns);
  const drawn = framed(form);
  const isWide = columns > TABLE_COLUMNS && drawn.split("\n").some((line) => line.length > columns);
  return isWide ? drawRecords(form, columns) : drawn;
}

const PLACES = [
  "top",
  "top-mid",
  "top-left",
  "top-right",
  "bottom",
  "bottom-mid",
  "bottom-left",
  "bottom-right",
].concat(["left", "left-mid", "mid", "mid-mid", "right", "right-mid"]);
const BARE = { ...Object.fromEntries(PLACES.map((place) => [place, ""])), middle: " " };

function framed({ head, rows, look = "framed", align, widths, padding = [0, 1] }: TableForm): string {
  const isBare = look === "bare";
  const table = new Table({
    ...(head.length === 0 ? {} : { head: [...head] }),
    ...(align === undefined ? {} : { colAligns: [...align] }),
    ...(widths === undefined ? {} : { colWidths: [...widths], wordWrap: true }),
    ...(isBare ? { chars: BARE } : {}),
    style: {
      ...{ head: [], border: [] },
      ...(isBare ? { "padding-left": padding[0], "padding-right": padding[1] } : {}),
    },
  });
  table.push(...rows.map((row) => row.map(String)));
  return isBare ? table.toString().replace(/ +$/gm, "") : table.toString();
}

function drawRecords({ head, rows, stacked = false }: TableForm, columns: number): string {
  const partsOf = (text: string | number | undefined) => {
    const parts = String(text ?? "").split("\n");
    return stacked ? parts : [oneLine(parts.join("\n"))];
  };
  const record = (row: TableForm["rows"][number]) =>
    row.flatMap((cell, column) => {
      const labels = partsOf(head[column]);
      return partsOf(cell).map((text, i) => [labels[i] ?? "", text] as const);
    });
  const records = rows.map((row) => record(row).filter(([, text]) => text !== ""));
  const width = labelWidth(records.flat());
  return records.map((pairs) => labelled(pairs, columns, width)).join("\n\n");
}

const oneLine = (text: string): string => text.trim().replace(/\s*\n\s*/g, " ");

type Labelled = readonly [label: string, text: string];

const labelWidth = (pairs: readonly Labelled[]): number => Math.max(0, ...pairs.map(([label]) => label.length)) + GAP;

/** `label  text` for each pair, labels under each other, texts broken where the line ends. */
export function labelled(pairs: readonly Labelled[], columns: number, width = labelWidth(pairs)): string {
  const isBelow = columns - width < LEAST_TEXT;
  return pairs
    .flatMap(([label, text]) => {
      if (isBelow) return [...wrapWords(label, columns), ...wrapWords(text, columns - GAP).map((line) => `  ${line}`)];
      return wrapWords(text, columns - width).map((line, i) => `${(i === 0 ? label : "").padEnd(width)}${line}`);
    })
    .join("\n");
}

/** At most so many columns of a terminal; counted too high for some letters beyond Latin, never too low. */
const columnsOf = (text: string): number =>
  [...text].reduce((sum, character) => sum + ((character.codePointAt(0) ?? 0) < 0x300 ? 1 : 2), 0);

/** Lines of at most so many columns, broken at spaces; a longer word is broken too. */
export function wrapWords(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && columnsOf(line) + 1 + columnsOf(word) <= columns) {
      line += ` ${word}`;
      continue;
    }
    if (line !== "") lines.push(line);
    line = "";
    for (const character of word) {
      if (line !== "" && columnsOf(line) + columnsOf(character) > columns) {
        lines.push(line);
        line = "";
      }
      line += character;
    }
  }
  return [...lines, line];
}
