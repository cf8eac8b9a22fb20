/**
 * Rows of more than one sequence -> the batches of a profile. A batch has all parts, as batch 1 does, or whole passes of the
 * target alone, which is what an engine's own benchmark gives.
 */
import type { BatchPoint, BatchProfile } from "../../schema/batch-profile.js";
import { duplicate, PassTable } from "./pass-table.js";
import { type ImportRow, isOfLoop, isOfPass, type LoopRow, type PassRow, tableInvalid } from "./table.js";

/** The grid of batch 1. */
interface Grid {
  contexts: readonly number[];
  queries: readonly number[];
}

/**
 * @param rows of batches above 1
 * @throws CSV_INVALID with the line
 */
export function importBatches(rows: readonly ImportRow[], grid: Grid, layers: number, file: string): BatchProfile[] {
  const batches = [...new Set(rows.map(({ batch }) => batch))].sort((a, b) => a - b);
  return batches.map((batch) => {
    const own = rows.filter((row) => row.batch === batch);
    const passes = own.filter(isOfPass);
    const at = `${file}: batch ${batch}`;
    if (passes.length === 0)
      throw tableInvalid(
        file,
        own[0].line,
        `batch ${batch} has no pass`,
        `Add its passes: whole,,CONTEXT,QUERY,US,,${batch}`,
      );
    const isWhole = passes.every(({ component }) => component === "whole");
    const points = isWhole ? wholePoints(passes, grid, batch, file) : partPoints(passes, grid, layers, at);
    return { batch, parts: isWhole ? "scaled" : "measured", points, ...loopOf(own.filter(isOfLoop), batch, file) };
  });
}

/** The contexts of a batch: those of batch 1, up to the longest one that it has. */
function contextsOf(passes: readonly PassRow[], { contexts, queries }: Grid, at: string): number[] {
  const longest = Math.max(...passes.map(({ context }) => context));
  const off = passes.find(({ context, query }) => !contexts.includes(context) || !queries.includes(query));
  if (off !== undefined) {
    const what = `${off.context} tokens of context with ${off.query} in the pass were not measured for one sequence`;
    throw tableInvalid(at, off.line, what, "Measure every batch at contexts and query lengths of batch 1.");
  }
  return contexts.filter((n) => n <= longest);
}

function wholePoints(passes: readonly PassRow[], grid: Grid, batch: number, file: string): BatchPoint[] {
  const at = `${file}: batch ${batch}`;
  const byPlace = new Map<string, PassRow>();
  for (const row of passes) {
    const key = `${row.context} ${row.query}`;
    const first = byPlace.get(key);
    if (first !== undefined) throw duplicate(row, first, `whole at batch ${batch}, ${placeName(row)}`, file);
    byPlace.set(key, row);
  }
  return contextsOf(passes, grid, at).flatMap((context) =>
    grid.queries.map((query): BatchPoint => {
      const row = byPlace.get(`${context} ${query}`);
      if (row === undefined)
        throw tableInvalid(
          at,
          null,
          `there is no whole pass at ${placeName({ context, query })}`,
          `Add the row: whole,,${context},${query},MICROSECONDS,,${batch}`,
        );
      if (row.us === 0)
        throw tableInvalid(file, row.line, "the whole pass takes no time", "Give its time in microseconds.");
      return { context_tokens: context, query_tokens: query, whole_target_us: row.us };
    }),
  );
}

function partPoints(passes: readonly PassRow[], grid: Grid, layers: number, at: string): BatchPoint[] {
  const contexts = contextsOf(passes, grid, at);
  const table = new PassTable(passes, layers, at);
  return contexts.flatMap((n) =>
    grid.queries.map((q): BatchPoint => {
      const { residual_percent: _, ...point } = table.point(n, q);
      return point;
    }),
  );
}

const placeName = ({ context, query }: { context: number; query: number }): string =>
  `${context} tokens of context with ${query} in the pass`;

/** What the loop adds; where nothing is given, as much as for one sequence. */
function loopOf(rows: readonly LoopRow[], batch: number, file: string): Pick<BatchProfile, "round_us" | "step_us"> {
  const of = (component: LoopRow["component"]) => {
    const [first, second] = rows.filter((row) => row.component === component);
    if (second !== undefined) throw duplicate(second, first, `${component} at batch ${batch}`, file);
    return first?.us;
  };
  const [round_us, step_us] = [of("round"), of("step")];
  return { ...(round_us === undefined ? {} : { round_us }), ...(step_us === undefined ? {} : { step_us }) };
}
