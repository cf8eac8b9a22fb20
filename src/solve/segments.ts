/** From options at each profiled context to a plan's segments. */
import { lengthAt } from "../schema/length-by-batch.js";
import type { Segment } from "../schema/plan.js";
import { type BatchStretch, cutByBatch, speedsByBatch } from "./batch/schedule.js";
import { confirmed, type Decided, type Planning, type Unconfirmed } from "./confirm.js";
import { drafterKey, drafterRecord, self } from "./drafter.js";
import type { Option } from "./drafting/option.js";
import { stopOf } from "./early/stop.js";
import { contextsBeyond } from "./extrapolate.js";
import { optionsOver } from "./options.js";
import { ownCacheBytes, predict, speedsAlong } from "./predict.js";
import { middle, type Problem } from "./problem.js";
import { mergedRanges } from "./ranges.js";

/** Two options this close cannot be told apart by what was measured. */
const AS_GOOD = 0.995;

/**
 * Of the options that are near the best everywhere, the best on the whole; among those as good as that the one with the
 * shortest draft, since the far end of an acceptance curve rests on the fewest rounds.
 */
function shortestOfBest(near: readonly Option[], atContexts: readonly (readonly Option[])[]): Option | null {
  const speeds = atContexts.map((options) => new Map(options.map((o) => [o.key, o.tokensPerSecond])));
  const total = (key: string) => speeds.reduce((sum, at) => sum + Math.log(at.get(key) as number), 0) / speeds.length;
  const ranked = near.map((option) => ({ option, total: total(option.key) }));
  const best = Math.max(...ranked.map((entry) => entry.total));
  const asGood = ranked.filter((entry) => entry.total >= best + Math.log(AS_GOOD));
  const order = (a: (typeof ranked)[number], b: (typeof ranked)[number]) =>
    a.option.draftTokens - b.option.draftTokens || b.total - a.total || (a.option.key < b.option.key ? -1 : 1);
  return asGood.sort(order)[0]?.option ?? null;
}

/**
 * The plan's segments: contexts from 0 to the last profiled one, and, where costs are drawn on, segments of their own from
 * there. So what was profiled is planned the same with and without what lies beyond it.
 */
export const planSegments = (problem: Problem): Segment[] => planned(problem).segments;

/**
 * Drafts whose acceptance on text kept back would settle the plan: the plan's own where it is not known, and those next in
 * turn where it refuted one. Empty once all is known; measuring them may bring up others.
 */
export const unconfirmedDrafts = (problem: Problem): Unconfirmed[] => planned(problem).unconfirmed;

function planned(problem: Problem): { segments: Segment[]; unconfirmed: Unconfirmed[] } {
  const { gridContexts, extrapolated } = problem;
  const unconfirmed: Unconfirmed[] = [];
  const profiled = segmentsOver(problem, gridContexts, 0, unconfirmed);
  if (extrapolated === undefined) return { segments: profiled, unconfirmed };
  const end = profiled[profiled.length - 1].context_tokens.to;
  const beyond = segmentsOver(problem, contextsBeyond(extrapolated), end, unconfirmed);
  return {
    segments: [...profiled, ...beyond.map((segment): Segment => ({ ...segment, extrapolated: true }))],
    unconfirmed,
  };
}

function segmentsOver(problem: Problem, grid: readonly number[], begin: number, unconfirmed: Unconfirmed[]): Segment[] {
  const options = optionsOver(problem, grid);
  const planning = { problem, grid, options, unconfirmed };
  const merged = mergedRanges(problem, grid, begin, options).flatMap(({ from, last, options: near }): Decided[] => {
    const pick = shortestOfBest(near, contextsIn(grid, from, last).map(options));
    return pick === null
      ? [{ from, last, option: null, refuted: [] }]
      : confirmed(planning, { from, last }, pick, near);
  });
  const end = merged[merged.length - 1].last;
  // a segment ends before the last context, so a range of nothing but that one has none
  const ranges = merged.length > 1 ? merged.filter(({ from }) => from < end) : merged;
  return ranges.flatMap(({ from, last, option, refuted }, i): Segment[] => {
    const to = i === ranges.length - 1 ? Math.max(end, from + 1) : last + 1;
    const notes = refuted.length === 0 ? {} : { refuted };
    if (option === null) return [{ context_tokens: { from, to }, speculate: false, ...notes }];
    const stretches = cutByBatch(problem, contextsIn(grid, from, last), option, options);
    return stretches.map((stretch, j) => {
      const end = j === stretches.length - 1 ? to : cutBetween(stretch, stretches[j + 1]);
      return {
        context_tokens: { from: j === 0 ? from : cutBetween(stretches[j - 1], stretch), to: end },
        ...drafting(planning, option, stretch, end),
        ...notes,
      };
    });
  });
}

/** Where contexts with another function of the batch begin: the geometric middle, as everywhere. */
const cutBetween = (before: BatchStretch, after: BatchStretch): number =>
  Math.max(
    before.contexts[before.contexts.length - 1] + 1,
    middle(before.contexts.at(-1) as number, after.contexts[0]),
  );

/**
 * A draft and where it ends. Siblings stand beside the last token of a fixed length, so of the same blocks it is one or the
 * other: siblings, or the chain that ends early where that is predicted to be faster.
 */
function ending(
  { problem, options }: Pick<Planning, "problem" | "options">,
  contexts: readonly number[],
  at: number,
  option: Option,
): { option: Option; stop: ReturnType<typeof stopOf> } {
  const { drafter } = option;
  if (drafter.kind !== "self" || drafter.siblings === 0) return { option, stop: stopOf(problem, contexts, at, option) };
  const chainKey = drafterKey(self(drafter.set));
  const chains = options(at).filter((other) => drafterKey(other.drafter) === chainKey);
  if (chains.length === 0) return { option, stop: undefined };
  const chain = chains.reduce((a, b) => (b.tokensPerSecond > a.tokensPerSecond ? b : a));
  const stop = stopOf(problem, contexts, at, chain);
  const early = stop?.rule === "early" ? (stop.predicted?.tokens_per_second ?? 0) : 0;
  const isFaster = early > 0 && early > predict(problem, at, option, options(at)).tokens_per_second;
  return isFaster ? { option: chain, stop } : { option, stop: undefined };
}

function drafting(
  { problem, options }: Pick<Planning, "problem" | "options">,
  best: Option,
  { contexts, lengths }: BatchStretch,
  end: number,
): Omit<Segment, "context_tokens"> {
  const centre = middle(contexts[0], contexts[contexts.length - 1]);
  const at = contexts.reduce((a, b) => (Math.abs(b - centre) < Math.abs(a - centre) ? b : a));
  const { option, stop } = ending({ problem, options }, contexts, at, best);
  const batched = lengths === null ? {} : { draft_tokens_by_batch: lengths };
  const by_batch =
    lengths === null ? null : speedsByBatch(problem, at, option, options(at), (batch) => lengthAt(lengths, batch));
  return {
    speculate: true,
    ...drafterRecord(option.drafter),
    draft_tokens: option.draftTokens,
    ...batched,
    ...(stop === undefined ? {} : { stop }),
    predicted: {
      ...predict(problem, at, option, options(at)),
      ...ownCacheBytes(problem, end, option.drafter),
      ...speedsAlong(problem, contexts, option, options),
      ...(by_batch === null ? {} : { by_batch }),
    },
  };
}

/** The profiled contexts of a range; its middle where it has none. */
function contextsIn(grid: readonly number[], from: number, last: number): number[] {
  const profiled = grid.filter((n) => n >= from && n <= last);
  return profiled.length === 0 ? [Math.round((from + last) / 2)] : profiled;
}
