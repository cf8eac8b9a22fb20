/** A list of runs of an engine's benchmark, as CSV: which file is of which pass. */
import { CsvError, parse } from "csv-parse/sync";
import { MAX_BATCH } from "../../schema/batch-profile.js";
import { tableInvalid } from "./table.js";

export interface Run {
  line: number;
  /** as listed, seen from the list's folder */
  file: string;
  /** that the model was run with */
  layers: number;
  batch: number;
  context: number;
  query: number;
  /** of a generation, which its file does not say; null: not listed */
  input: number | null;
  output: number | null;
}

const NEEDED = ["file", "layers", "batch", "context_tokens", "query_tokens"] as const;
const OPTIONAL = ["input_tokens", "output_tokens"] as const;
const COLUMNS: readonly string[] = [...NEEDED, ...OPTIONAL];
const WHOLE = /^(0|[1-9]\d{0,8})$/;
const MOST_RUNS = 10_000;

/** @throws CSV_INVALID with the line */
export function readRuns(text: string, name: string): Run[] {
  const [header, ...rows] = split(text, name);
  if (header === undefined || rows.length === 0)
    throw tableInvalid(name, null, "no run is listed", `Begin with: ${COLUMNS.join(",")}`);
  const strange = header.cells.find((cell, i) => !COLUMNS.includes(cell) || header.cells.indexOf(cell) !== i);
  const missing = NEEDED.find((column) => !header.cells.includes(column));
  if (strange !== undefined || missing !== undefined)
    throw tableInvalid(
      name,
      header.line,
      missing === undefined
        ? `${JSON.stringify(strange?.slice(0, 60))} is no column, or twice`
        : `no column ${missing}`,
      `Name the columns ${COLUMNS.join(", ")}.`,
    );
  if (rows.length > MOST_RUNS) throw tableInvalid(name, null, `more than ${MOST_RUNS} runs`, "Leave some out.");
  return rows.map(({ line, cells }) => {
    const cell = (column: string) => cells[header.cells.indexOf(column)] ?? "";
    const whole = (column: string, least: number, most = 1e9): number => {
      const value = WHOLE.test(cell(column)) ? Number(cell(column)) : -1;
      if (value >= least && value <= most) return value;
      const what = `${column} is ${JSON.stringify(cell(column).slice(0, 40))}`;
      throw tableInvalid(name, line, what, `Write a whole number from ${least}${most < 1e9 ? ` to ${most}` : ""}.`);
    };
    const optional = (column: string) => (cell(column) === "" ? null : whole(column, 0));
    if (cell("file") === "") throw tableInvalid(name, line, "file is empty", "Name the JSON of the run.");
    return {
      ...{ line, file: cell("file"), layers: whole("layers", 1, 10_000), batch: whole("batch", 1, MAX_BATCH) },
      ...{ context: whole("context_tokens", 0), query: whole("query_tokens", 1) },
      ...{ input: optional("input_tokens"), output: optional("output_tokens") },
    };
  });
}

function split(text: string, name: string): { line: number; cells: string[] }[] {
  try {
    const records = parse(text, { bom: true, info: true, trim: true, skip_empty_lines: true }) as unknown as {
      record: string[];
      info: { lines: number };
    }[];
    return records.map(({ record, info }) => ({ line: info.lines, cells: record }));
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    throw tableInvalid(name, null, `not readable as CSV: ${cause.message}`, "One run a line, cells parted by commas.");
  }
}
