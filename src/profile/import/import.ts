/**
 * Latencies that another engine measured -> the measured part of a profile. Nothing is filled in: every place of the grid
 * must have every part, each given once.
 */

import type { BatchPoint } from "../../schema/batch-profile.js";
import { MAX_VALUES } from "../../schema/document.js";
import type { Profile, ProfilePoint } from "../../schema/profile.js";
import { attentionLines } from "../fit/attention-line.js";
import type { PointCosts } from "../fit/line-fit.js";
import { importBatches } from "./batches.js";
import { duplicate, PassTable } from "./pass-table.js";
import { isOfLoop, isOfPass, type LoopRow, readTable, tableInvalid } from "./table.js";

/** What a table says of a profile. */
export type ImportedTable = Pick<Profile, "grid" | "points" | "loop" | "attention_line" | "batches"> & {
  wholePass: NonNullable<Profile["imported"]>["whole_pass"];
};

/** Names and numbers of a point beside its layers, and of the rest of the document: more than there are. */
const VALUES_BESIDE = { point: 40, document: 2000 };

/**
 * @param layers of the model that was measured
 * @param file   only names the table in errors
 * @throws CSV_INVALID with the line
 */
export function importTable(text: string, layers: number, file: string): ImportedTable {
  const rows = readTable(text, file);
  const alone = rows.filter(({ batch }) => batch === 1);
  const loopRows = alone.filter(isOfLoop);
  const table = new PassTable(alone.filter(isOfPass), layers, file);
  const loop = { round_us: loopUs(loopRows, "round", file), step_us: loopUs(loopRows, "step", file) };
  const points = table.contexts.flatMap((n) => table.queries.map((q) => table.point(n, q)));
  const batches = importBatches(
    rows.filter(({ batch }) => batch > 1),
    table,
    layers,
    file,
  );
  requireReadable([...points, ...batches.flatMap((batch) => batch.points)], file);
  const steps = points.filter(({ query_tokens }) => query_tokens === 1).map(toCosts);
  return {
    grid: { context_tokens: table.contexts, query_tokens: table.queries },
    points,
    loop,
    ...(batches.length === 0 ? {} : { batches }),
    attention_line: attentionLines(table.contexts, steps),
    wholePass: table.hasWhole ? "measured" : "summed",
  };
}

/** A document with more values than that would be written and never read again. */
function requireReadable(points: readonly Pick<BatchPoint, "attn_us" | "mlp_us">[], file: string): void {
  const values = points.reduce((total, { attn_us = {}, mlp_us = {} }) => {
    const layers = [attn_us, mlp_us].flatMap((part) => Object.values(part)).reduce((n, { length }) => n + length, 0);
    return total + layers + VALUES_BESIDE.point;
  }, VALUES_BESIDE.document);
  if (values <= MAX_VALUES) return;
  const what = `${points.length} points with every layer are too large a profile to be read again`;
  throw tableInvalid(file, null, what, "Leave out some contexts or query lengths.");
}

function loopUs(rows: readonly LoopRow[], component: LoopRow["component"], file: string): number {
  const [first, second] = rows.filter((row) => row.component === component);
  if (second !== undefined) throw duplicate(second, first, component, file);
  if (first !== undefined) return first.us;
  const remedy = `Add what the decoding loop adds to a ${component === "round" ? "round" : "plain step"}, for instance: ${component},,,,0`;
  throw tableInvalid(file, null, `there is no row for ${component}`, remedy);
}

const toCosts = (point: ProfilePoint): PointCosts => ({
  fixedUs: point.fixed_us,
  headUs: point.head_us,
  perLayer: { attn: point.attn_us, mlp: point.mlp_us },
});
