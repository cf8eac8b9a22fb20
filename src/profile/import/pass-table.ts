/**
 * The passes of one batch, put together: every place of the grid has every part, each given once (docs/profile-import.md).
 */
import type { DraftplanError } from "../../core/errors.js";
import { KERNEL_NAMES, type Kernel } from "../../schema/choice.js";
import type { ProfilePoint } from "../../schema/profile.js";
import { sum } from "../../stats/numbers.js";
import { type PassRow, tableInvalid } from "./table.js";

/** More than a profile may have: refused before it is put together. */
const MAX_POINTS = 10_000;

export const duplicate = (row: { line: number }, first: { line: number }, what: string, file: string): DraftplanError =>
  tableInvalid(file, row.line, `${what} was given on line ${first.line} already`, "Leave one of the two out.");

type BlockRow = Extract<PassRow, { component: "attn" | "mlp" }>;
const isBlock = (row: PassRow): row is BlockRow => row.component === "attn" || row.component === "mlp";

/** `attn int8`, `fixed` */
const partName = (component: string, kernel: Kernel | null): string =>
  kernel === null ? component : `${component} ${kernel}`;
const partOf = (row: PassRow): string => partName(row.component, "kernel" in row ? row.kernel : null);
const placeName = (n: number, q: number): string => `${n} tokens of context with ${q} in the pass`;

export class PassTable {
  /** rising */
  readonly contexts: number[];
  readonly queries: number[];
  readonly hasWhole: boolean;
  /** `attn int8 64 1` -> its rows */
  private readonly byPart = new Map<string, PassRow[]>();
  /** kernels that are given at q -> the first row that says so */
  private readonly kernels = new Map<string, PassRow>();

  constructor(
    rows: readonly PassRow[],
    private readonly layers: number,
    private readonly file: string,
  ) {
    requireRising(rows, file);
    this.contexts = rising(rows.map(({ context }) => context));
    this.queries = rising(rows.map(({ query }) => query));
    this.requireGrid();
    for (const row of rows) this.add(row);
    const whole = rows.find(({ component }) => component === "whole");
    this.hasWhole = whole !== undefined;
  }

  private requireGrid(): void {
    const { file } = this;
    if (this.queries[0] !== 1)
      throw tableInvalid(
        file,
        null,
        "no pass of one token is given",
        "Every draft step is one: add rows with query_tokens 1.",
      );
    if (this.contexts.length * this.queries.length > MAX_POINTS) {
      const what = `${this.contexts.length} contexts with ${this.queries.length} query lengths; a profile has at most ${MAX_POINTS} points`;
      throw tableInvalid(file, null, what, "Leave some out.");
    }
  }

  private add(row: PassRow): void {
    const key = `${partOf(row)} ${row.context} ${row.query}`;
    const others = this.byPart.get(key) ?? [];
    this.byPart.set(key, [...others, row]);
    if ("kernel" in row) {
      const at = `${row.kernel} ${row.query}`;
      if (!this.kernels.has(at)) this.kernels.set(at, row);
    }
    if (isBlock(row)) this.requireOwnLayer(row, others.filter(isBlock));
    else if (others.length > 0)
      throw duplicate(row, others[0], `${partOf(row)} at ${placeName(row.context, row.query)}`, this.file);
  }

  private requireOwnLayer(row: BlockRow, others: readonly BlockRow[]): void {
    const name = `${partOf(row)} at ${placeName(row.context, row.query)}`;
    if (row.layer !== null && row.layer >= this.layers) {
      const what = `layer ${row.layer} of ${name}: the model has ${this.layers}, 0 to ${this.layers - 1}`;
      throw tableInvalid(this.file, row.line, what, "Check the layer, and that --model-config is the model measured.");
    }
    const same = others.find((other) => other.layer === row.layer);
    if (same !== undefined)
      throw duplicate(row, same, row.layer === null ? name : `layer ${row.layer} of ${name}`, this.file);
    const [other] = others;
    if (other === undefined || (other.layer === null) === (row.layer === null)) return;
    const what = `${name} is given for every layer and for single ones, on lines ${other.line} and ${row.line}`;
    throw tableInvalid(this.file, row.line, what, "Give every layer by its number, or leave layer empty in one row.");
  }

  point(n: number, q: number): ProfilePoint {
    const kernels = KERNEL_NAMES.filter((kernel) => kernel === "target" || this.requiresKernel(kernel, q));
    const byKernel = <T>(of: (kernel: Kernel) => T) =>
      Object.fromEntries(kernels.map((kernel) => [kernel, of(kernel)]));
    const parts = {
      fixed_us: this.one("fixed", null, n, q),
      head_us: byKernel((kernel) => this.one("head", kernel, n, q)),
      attn_us: byKernel((kernel) => this.perLayer("attn", kernel, n, q)),
      mlp_us: byKernel((kernel) => this.perLayer("mlp", kernel, n, q)),
    };
    const summed = parts.fixed_us + parts.head_us.target + sum(parts.attn_us.target) + sum(parts.mlp_us.target);
    const whole = this.hasWhole ? this.one("whole", null, n, q) : summed;
    if (whole === 0) throw this.nothing(n, q);
    return {
      context_tokens: n,
      query_tokens: q,
      ...parts,
      whole_target_us: whole,
      residual_percent: (100 * Math.abs(summed - whole)) / whole,
    };
  }

  /** A kernel is needed at q where any part of it is given there; and at one token where it is given at all. */
  private requiresKernel(kernel: Kernel, q: number): boolean {
    return (
      this.kernels.has(`${kernel} ${q}`) ||
      (q === 1 && this.queries.some((other) => this.kernels.has(`${kernel} ${other}`)))
    );
  }

  private one(component: "fixed" | "whole" | "head", kernel: Kernel | null, n: number, q: number): number {
    const [row] = this.rowsOf(component, kernel, n, q);
    return row.us;
  }

  /** [layers] */
  private perLayer(component: "attn" | "mlp", kernel: Kernel, n: number, q: number): number[] {
    const rows = this.rowsOf(component, kernel, n, q).filter(isBlock);
    const [first] = rows;
    if (first.layer === null) return new Array<number>(this.layers).fill(first.us);
    const byLayer = new Map(rows.map(({ layer, us }) => [layer, us]));
    return Array.from({ length: this.layers }, (_, layer) => {
      const us = byLayer.get(layer);
      if (us !== undefined) return us;
      const what = `layer ${layer} of ${partName(component, kernel)} is missing at ${placeName(n, q)}; others begin on line ${first.line}`;
      throw tableInvalid(
        this.file,
        null,
        what,
        `Give all ${this.layers} layers, or one row with layer empty for all of them.`,
      );
    });
  }

  private rowsOf(component: string, kernel: Kernel | null, n: number, q: number): PassRow[] {
    const name = partName(component, kernel);
    const rows = this.byPart.get(`${name} ${n} ${q}`);
    if (rows !== undefined) return rows;
    const near = [...this.byPart.values()].flat().find((row) => row.context === n && row.query === q);
    const said =
      near === undefined ? "contexts and query lengths form a grid" : `line ${near.line} gives ${partOf(near)} there`;
    const what = `there is no ${name} at ${placeName(n, q)}, and ${said}`;
    throw tableInvalid(this.file, null, what, `Add the row: ${component},${kernel ?? ""},${n},${q},MICROSECONDS`);
  }

  private nothing(n: number, q: number): DraftplanError {
    return tableInvalid(
      this.file,
      null,
      `the whole pass takes no time at ${placeName(n, q)}`,
      "Give its time in microseconds.",
    );
  }
}

const rising = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b);

/** Down the table contexts rise, and so do query lengths: a table that does not is cut together wrongly. */
function requireRising(rows: readonly PassRow[], file: string): void {
  const last = new Map<string, PassRow>();
  for (const row of rows) {
    const part = `${partOf(row)} ${"layer" in row ? row.layer : ""}`;
    for (const [axis, along, fixed] of [
      ["context_tokens", row.context, `q ${row.query}`],
      ["query_tokens", row.query, `n ${row.context}`],
    ] as const) {
      const key = `${part} ${fixed}`;
      const before = last.get(key);
      const reached = before === undefined ? -Infinity : axis === "context_tokens" ? before.context : before.query;
      if (before !== undefined && along < reached) {
        const what = `${axis} falls from ${reached} (line ${before.line}) to ${along} within ${partOf(row)}`;
        throw tableInvalid(file, row.line, what, "Sort the rows by context_tokens and query_tokens.");
      }
      last.set(key, row);
    }
  }
}
