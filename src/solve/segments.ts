/** From options at each profiled context to a plan's segments. */
import { DraftplanError } from "../core/errors.js";
import { type ChoiceSet, choiceKey, compactDraft } from "../schema/choice.js";
import type { Predicted, Segment } from "../schema/plan.js";
import { constrainedGroups, constrainedIds, limitedGroups, sumLimits } from "./constraints.js";
import { contextsBeyond } from "./extrapolate.js";
import { speedOf } from "./gain.js";
import { limitedLowerBound } from "./limited-bound.js";
import { lpGapPercent } from "./lp-bound.js";
import { solveMultipleChoice } from "./multiple-choice.js";
import { expectedTokens } from "./objective.js";
import { type Option, optionsOver } from "./options.js";
import { contextFor, groupsAt, middle, type Problem, surrogateLoss } from "./problem.js";
import { mergedRanges } from "./ranges.js";
import { drawnInterval, regretPercent } from "./resample.js";
import { acceptanceRate } from "./surrogate.js";

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
export function planSegments(problem: Problem): Segment[] {
  const { gridContexts, extrapolated } = problem;
  const profiled = segmentsOver(problem, gridContexts, 0);
  if (extrapolated === undefined) return profiled;
  const end = profiled[profiled.length - 1].context_tokens.to;
  const beyond = segmentsOver(problem, contextsBeyond(extrapolated), end);
  return [...profiled, ...beyond.map((segment): Segment => ({ ...segment, extrapolated: true }))];
}

function segmentsOver(problem: Problem, grid: readonly number[], begin: number): Segment[] {
  const options = optionsOver(problem, grid);
  const merged = mergedRanges(problem, grid, begin, options);
  const end = merged[merged.length - 1].last;
  // a segment ends before the last context, so a range of nothing but that one has none
  const ranges = merged.length > 1 ? merged.filter(({ from }) => from < end) : merged;
  return ranges.map(({ from, last, options: near }, i) => {
    const to = i === ranges.length - 1 ? Math.max(end, from + 1) : last + 1;
    const context_tokens = { from, to };
    const profiled = grid.filter((n) => n >= from && n <= last);
    const contexts = profiled.length === 0 ? [Math.round((from + last) / 2)] : profiled;
    const option = shortestOfBest(near, contexts.map(options));
    if (option === null) return { context_tokens, speculate: false };
    const centre = middle(contexts[0], contexts[contexts.length - 1]);
    const at = contexts.reduce((a, b) => (Math.abs(b - centre) < Math.abs(a - centre) ? b : a));
    return {
      context_tokens,
      speculate: true,
      draft: compactDraft(option.set),
      draft_tokens: option.draftTokens,
      predicted: {
        ...predict(problem, at, option, options(at)),
        ...speedsAlong(problem, contexts, option, options),
      },
    };
  });
}

/** What the draft reaches at each of the segment's contexts: a merged range may be a long one. */
function speedsAlong(
  problem: Problem,
  contexts: readonly number[],
  option: Option,
  options: (n: number) => readonly Option[],
): Pick<Predicted, "along"> {
  if (contexts.length < 2) return {};
  const along = contexts.map((n) => {
    const { curve } = evidenceAt(problem, n, option, options(n));
    const speed = speedOf(problem.latency, n, option.set, curve);
    const speedup = (speed * problem.latency.stepUs(n)) / 1e6;
    return { context_tokens: n, tokens_per_second: digits(speed), speedup: digits(speedup) };
  });
  return { along };
}

/** The draft's curve at a context: the reported one where there is one, else what it was chosen by. */
function evidenceAt(problem: Problem, n: number, option: Option, options: readonly Option[]) {
  const key = choiceKey(option.set);
  const d = option.draftTokens;
  const reported = contextFor(problem, n).measured.find(
    (m) => m.part === "report" && m.key === key && m.curve.length > d,
  );
  const chosenBy = options.find((o) => o.key === option.key)?.curve ?? option.curve;
  return {
    curve: (reported?.curve ?? chosenBy).slice(0, d + 1),
    evidence: reported === undefined ? option.evidence : ("report" as const),
  };
}

/** The prediction for a chosen draft, by its reported curve where there is one. */
function predict(problem: Problem, n: number, option: Option, options: readonly Option[]): Predicted {
  const { latency } = problem;
  const d = option.draftTokens;
  const { curve, evidence } = evidenceAt(problem, n, option, options);
  const speed = speedOf(latency, n, option.set, curve);
  return {
    at_context: n,
    acceptance: digits(acceptanceRate(curve)),
    acceptance_curve: curve.map(digits),
    accepted_length: digits(expectedTokens(curve)),
    draft_us: digits(latency.draftUs(option.set, n)),
    verify_us: digits(latency.verifyUs(n, d)),
    round_us: digits(latency.roundUs),
    target_step_us: digits(latency.stepUs(n)),
    tokens_per_second: digits(speed),
    speedup: digits((speed * latency.stepUs(n)) / 1e6),
    lp_gap_percent: digits(lpGap(problem, n, option.set)),
    ...uncertainty(problem, n, options, option, curve),
    evidence,
  };
}

/** What the profile's resamples make of the prediction; nothing where it has none. */
function uncertainty(
  problem: Problem,
  n: number,
  options: readonly Option[],
  chosen: Option,
  curve: readonly number[],
): Pick<Predicted, "speedup_interval" | "regret_percent"> {
  const resampled = problem.resampled();
  if (resampled.length === 0) return {};
  const { low, high } = drawnInterval(
    resampled.map((latency) => (speedOf(latency, n, chosen.set, curve) * latency.stepUs(n)) / 1e6),
  );
  const regret = regretPercent(
    resampled.map((latency) => speedOf(latency, n, chosen.set, chosen.curve)),
    resampled.map((latency) =>
      Math.max(1e6 / latency.stepUs(n), ...options.map(({ set, curve: own }) => speedOf(latency, n, set, own))),
    ),
  );
  return {
    speedup_interval: { low: digits(low), high: digits(high) },
    regret_percent: { mean: hundredth(regret.mean), p95: hundredth(regret.p95) },
  };
}

/**
 * How far the draft's surrogate loss lies above the LP bound for its own cost, among drafts that keep to the same constraints.
 * @throws LP_BOUND_VIOLATED (a bug)
 */
function lpGap(problem: Problem, n: number, set: ChoiceSet): number {
  const { limits } = problem;
  const allowed = constrainedGroups(limits, groupsAt(problem, n));
  const groups = limitedGroups(limits, allowed);
  const ids = constrainedIds(limits, set);
  const own = groups.map(({ choices }, g) => choices.find(({ id }) => id === ids[g]) ?? notOffered(n, ids[g]));
  const costUs = own.reduce((sum, choice) => sum + choice.costUs, 0);
  const sums = sumLimits(limits);
  const bound =
    sums.skipped === null && sums.bytes === null
      ? solveMultipleChoice(allowed, costUs).lowerBound
      : limitedLowerBound(groups, costUs, sums, own);
  return Math.max(0, lpGapPercent(surrogateLoss(contextFor(problem, n).losses, set), bound));
}

function notOffered(n: number, id: string | undefined): never {
  throw new DraftplanError({
    code: "INTERNAL",
    at: `lpGap: ${n} tokens of context`,
    what: `the draft has ${id ?? "nothing"} where its constraints do not offer it`,
    remedy: "this is a bug in draftplan; please report it with the profile and the calibration",
  });
}

const hundredth = (percent: number): number => Math.round(100 * percent) / 100;

/** Six significant digits: what a measurement is good for, and short to read. */
export const digits = (x: number): number => Number(x.toPrecision(6));
