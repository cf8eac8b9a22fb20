/**
 * A table of latencies, as CSV, cell by cell (docs/profile-import.md). What is missing or contradicts itself is found
 * when the rows are put together (import.ts); here each row is made sure of by itself.
 */
import { CsvError, parse } from "csv-parse/sync";
import { DraftplanError } from "../../core/errors.js";
import { MAX_BATCH } from "../../schema/batch-profile.js";
import { KERNEL_NAMES, type Kernel } from "../../schema/choice.js";

export const COLUMNS = ["component", "choice", "context_tokens", "query_tokens", "us", "layer", "batch"] as const;
type Column = (typeof COLUMNS)[number];
/** `layer` and `batch` may be left out */
const REQUIRED: readonly Column[] = COLUMNS.slice(0, -2);

/** of a pass; batch: sequences in it */
export type PassRow = { line: number; batch: number; context: number; query: number; us: number } & (
  | { component: "fixed" | "whole" }
  | { component: "head"; kernel: Kernel }
  /** layer null: every layer takes this long */
  | { component: "attn" | "mlp"; kernel: Kernel; layer: number | null }
);
/** of the decoding loop */
export interface LoopRow {
  line: number;
  batch: number;
  component: "round" | "step";
  us: number;
}
export type ImportRow = PassRow | LoopRow;

export const isOfLoop = (row: ImportRow): row is LoopRow => row.component === "round" || row.component === "step";
export const isOfPass = (row: ImportRow): row is PassRow => !isOfLoop(row);

const COMPONENTS = ["fixed", "head", "attn", "mlp", "whole", "round", "step"] as const;
/** Far above any latency; beyond it numbers lose their hundredths. */
const MAX_US = 1e12;
const WHOLE = /^(0|[1-9]\d{0,8})$/;
const DECIMAL = /^\+?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i;

export const tableInvalid = (file: string, line: number | null, what: string, remedy: string): DraftplanError =>
  new DraftplanError({ code: "CSV_INVALID", at: line === null ? file : `${file}: line ${line}`, what, remedy });

interface RawRow {
  line: number;
  cells: readonly string[];
}

/**
 * @param file only names the table in errors
 * @throws CSV_INVALID with the line
 */
export function readTable(text: string, file: string): ImportRow[] {
  const [header, ...rows] = split(text, file);
  if (header === undefined) throw tableInvalid(file, null, "the table is empty", `Begin it with: ${COLUMNS.join(",")}`);
  const places = columnPlaces(header, file);
  if (rows.length === 0)
    throw tableInvalid(file, header.line, "no row follows the header", "See docs/profile-import.md.");
  return rows.map((row) => new RowReader(row, places, file).read());
}

function split(text: string, file: string): RawRow[] {
  if (text.includes("\0"))
    throw tableInvalid(file, null, "not UTF-8 text", "Save the table as CSV in UTF-8, not as UTF-16 or as a workbook.");
  try {
    const records = parse(text, {
      bom: true,
      info: true,
      trim: true,
      skip_empty_lines: true,
      record_delimiter: ["\r\n", "\n", "\r"],
    }) as unknown as { record: string[]; info: { lines: number } }[];
    return records.map(({ record, info }) => ({ line: info.lines, cells: record }));
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    const line = typeof cause.lines === "number" ? cause.lines : null;
    const what = cause.message.replace(/ (at|on) line \d+/, "");
    throw tableInvalid(
      file,
      line,
      `not readable as CSV: ${what}`,
      "Mend the line: one row a line, cells parted by commas.",
    );
  }
}

function columnPlaces({ line, cells }: RawRow, file: string): ReadonlyMap<Column, number> {
  const places = new Map<Column, number>();
  cells.forEach((name, i) => {
    const column = COLUMNS.find((known) => known === name);
    if (column === undefined || places.has(column)) {
      const what = `the header names ${JSON.stringify(name.slice(0, 60))}${column === undefined ? ", which is no column" : " twice"}`;
      throw tableInvalid(file, line, what, `Name the columns ${COLUMNS.join(", ")}, parted by commas.`);
    }
    places.set(column, i);
  });
  const missing = REQUIRED.find((column) => !places.has(column));
  if (missing !== undefined)
    throw tableInvalid(file, line, `the header has no column ${missing}`, `Name the columns ${REQUIRED.join(", ")}.`);
  return places;
}

/** The cells of one row, each read as what it must be. */
class RowReader {
  constructor(
    private readonly row: RawRow,
    private readonly places: ReadonlyMap<Column, number>,
    private readonly file: string,
  ) {}

  read(): ImportRow {
    const component = this.oneOf("component", COMPONENTS);
    const row = { line: this.row.line, us: this.microseconds(), batch: this.batch() };
    switch (component) {
      case "round":
      case "step":
        this.empty(component, "choice", "context_tokens", "query_tokens", "layer");
        return { ...row, component };
      case "fixed":
        this.empty(component, "choice", "layer");
        return { ...row, component, ...this.place() };
      case "whole":
        this.empty(component, "layer");
        if (this.cell("choice") !== "") this.oneOf("choice", ["target"]);
        return { ...row, component, ...this.place() };
      case "head":
        this.empty(component, "layer");
        return { ...row, component, kernel: this.kernel(), ...this.place() };
      case "attn":
      case "mlp": {
        const layer = this.cell("layer") === "" ? null : this.whole("layer", 0);
        return { ...row, component, kernel: this.kernel(), layer, ...this.place() };
      }
    }
  }

  private cell(column: Column): string {
    const place = this.places.get(column);
    return place === undefined ? "" : this.row.cells[place];
  }

  private invalid(column: Column, what: string, remedy: string): DraftplanError {
    const cell = this.cell(column);
    const shown = cell === "" ? `${column} is empty` : `${column} ${JSON.stringify(cell.slice(0, 40))}`;
    return tableInvalid(this.file, this.row.line, `${shown}${what}`, remedy);
  }

  private oneOf<T extends string>(column: Column, known: readonly T[]): T {
    const found = known.find((name) => name === this.cell(column));
    if (found === undefined) throw this.invalid(column, "", `Write one of: ${known.join(", ")}.`);
    return found;
  }

  private kernel(): Kernel {
    if (this.cell("choice") === "skip")
      throw this.invalid("choice", " has no latency: what is skipped costs nothing", "Leave the row out.");
    return this.oneOf("choice", KERNEL_NAMES);
  }

  private empty(component: string, ...columns: Column[]): void {
    const filled = columns.find((column) => this.cell(column) !== "");
    if (filled !== undefined) throw this.invalid(filled, ` means nothing for ${component}`, "Leave the cell empty.");
  }

  private place() {
    return { context: this.whole("context_tokens", 0), query: this.whole("query_tokens", 1) };
  }

  /** 1 where the column is empty, or is not there */
  private batch(): number {
    if (this.cell("batch") === "") return 1;
    const batch = this.whole("batch", 1);
    if (batch > MAX_BATCH) throw this.invalid("batch", "", `Write at most ${MAX_BATCH} sequences.`);
    return batch;
  }

  private whole(column: Column, least: number): number {
    const text = this.cell(column);
    if (!WHOLE.test(text) || Number(text) < least)
      throw this.invalid(column, "", `Write a whole number from ${least}.`);
    return Number(text);
  }

  private microseconds(): number {
    const text = this.cell("us");
    const value = DECIMAL.test(text) ? Number(text) : Number.NaN;
    if (!(value <= MAX_US))
      throw this.invalid("us", "", "Write microseconds as a number that is not negative, as in 182.5.");
    return value;
  }
}
