/** What a segment predicts for its draft: speeds, what they rest on, and how sure they are. */

import { DraftplanError } from "../core/errors.js";
import { blockKind, type ChoiceSet } from "../schema/choice.js";
import type { Predicted, Speed } from "../schema/plan.js";
import { hundredths, significant } from "../stats/numbers.js";
import { reportedAt } from "./confirm.js";
import { constrainedGroups, constrainedIds, limitedGroups, sumLimits } from "./constraints.js";
import { draftingUs, longestDraft, loopUs, type PlannedDraft, type SolvedDrafter, verifyingUs } from "./drafter.js";
import type { Option } from "./drafting/option.js";
import { knownOf } from "./evidence.js";
import { type Reaching, speedBy } from "./gain.js";
import { limitedLowerBound } from "./knapsack/limited-bound.js";
import { checkedLowerBound, lpGapPercent } from "./knapsack/lp-bound.js";
import type { LatencyModel } from "./latency.js";
import { expectedTokens } from "./objective.js";
import { contextFor, groupsAt, type Problem, surrogateLoss } from "./problem.js";
import { drawnInterval, regretPercent } from "./resample.js";
import { acceptanceRate } from "./surrogate.js";

/** What the draft reaches at each of the segment's contexts: a merged range may be a long one. */
export function speedsAlong(
  problem: Problem,
  contexts: readonly number[],
  option: Option,
  options: (n: number) => readonly Option[],
): Pick<Predicted, "along"> {
  if (contexts.length < 2) return {};
  const along = contexts.map((n) => {
    const known = evidenceAt(problem, n, option, options(n));
    const speed = speedBy(problem.latency, n, option.drafter, known);
    return { context_tokens: n, ...speedFigures(problem.latency, n, speed) };
  });
  return { along };
}

/** The draft's curve at a context, on text kept back where it was measured there, else what it was chosen by. */
function evidenceAt(problem: Problem, n: number, option: Option, options: readonly Option[]) {
  const d = option.draftTokens;
  const here = options.find((o) => o.key === option.key) ?? option;
  const reported = reportedAt(contextFor(problem, n), option);
  const { curve, tokens, reached, match, trees, acceptance, evidence, lengthError } =
    reported === null
      ? { ...here, lengthError: knownOf(contextFor(problem, n), "choose", option)?.lengthError }
      : { ...reported, evidence: "report" as const };
  return {
    curve: curve.slice(0, longestDraft(option.drafter, d) + 1),
    match,
    trees,
    acceptance,
    evidence,
    counts: {
      ...(tokens === null ? {} : { positions: tokens }),
      ...(reached === undefined ? {} : { rounds: reached[d - 1] ?? 0 }),
      ...(lengthError === undefined ? {} : { accepted_length_error: significant(lengthError, 3) }),
    },
  };
}

/** The prediction for a chosen draft, by its reported curve where there is one. */
export function predict(problem: Problem, n: number, option: Option, options: readonly Option[]): Predicted {
  const { latency } = problem;
  const d = option.draftTokens;
  const known = evidenceAt(problem, n, option, options);
  const { curve, match, evidence, counts } = known;
  const { drafter } = option;
  const speed = speedBy(latency, n, drafter, known);
  return {
    at_context: n,
    acceptance: digits(known.acceptance ?? acceptanceRate(curve)),
    acceptance_curve: curve.map(digits),
    accepted_length: digits(expectedTokens(curve)),
    draft_us: digits(draftUsOf(latency, n, option, match)),
    verify_us: digits(verifyingUs(latency, n, drafter, d, known)),
    ...ownCache(problem, n, drafter),
    round_us: digits(loopUs(latency, n, drafter, match)),
    target_step_us: digits(latency.stepUs(n)),
    ...speedFigures(latency, n, speed),
    lp_gap_percent: drafter.kind === "self" ? digits(lpGap(problem, n, drafter.set)) : 0,
    ...uncertainty(problem, n, options, option, known),
    ...(match === undefined ? {} : { match_rate: digits(match) }),
    ...meanNodes(known),
    evidence,
    ...counts,
  };
}

/** Nodes of the drafts of a lookup that goes on from several places, in the mean over the rounds in which it drafts. */
export const meanNodes = ({ trees }: Reaching): Pick<Predicted, "mean_nodes"> =>
  trees === undefined ? {} : { mean_nodes: digits(trees.reduce((sum, { nodes, share }) => sum + share * nodes, 0)) };

/** A speed as plans write it, and how many times plain decoding it is. */
export const speedFigures = (latency: LatencyModel, n: number, tokensPerSecond: number): Speed => ({
  tokens_per_second: digits(tokensPerSecond),
  speedup: digits((tokensPerSecond * latency.stepUs(n)) / 1e6),
});

/** What a cache of the draft's own costs: reading the prompt into it, and its memory, which its segment's end decides. */
export function ownCache(
  { standalone, latency }: Problem,
  n: number,
  drafter: SolvedDrafter,
): Pick<Predicted, "prompt_us"> {
  if (standalone === null || drafter.kind !== "self") return {};
  return { prompt_us: digits(latency.readingUs(drafter.set, n) * standalone.answerTokens) };
}

/** Keys and values of the draft's own cache with so many tokens; none of a skipped attention. Nothing where the profile does not say. */
export function ownCacheBytes(
  { standalone }: Problem,
  tokens: number,
  drafter: SolvedDrafter,
): Pick<Predicted, "draft_cache_bytes"> {
  const bytes = standalone?.bytesPerTokenAndLayer ?? null;
  if (bytes === null || drafter.kind !== "self") return {};
  const kept = drafter.set.blocks.filter((choice, index) => blockKind(index) === "attn" && choice !== "skip").length;
  return kept === 0 ? {} : { draft_cache_bytes: bytes * kept * tokens };
}

/** What the profile's resamples make of the prediction; nothing where it has none. */
function uncertainty(
  problem: Problem,
  n: number,
  options: readonly Option[],
  chosen: Option,
  known: Reaching,
): Pick<Predicted, "speedup_interval" | "regret_percent"> {
  const resampled = problem.resampled();
  if (resampled.length === 0) return {};
  const { low, high } = drawnInterval(
    resampled.map((latency) => (speedBy(latency, n, chosen.drafter, known) * latency.stepUs(n)) / 1e6),
  );
  const regret = regretPercent(
    resampled.map((latency) => speedBy(latency, n, chosen.drafter, chosen)),
    resampled.map((latency) =>
      Math.max(1e6 / latency.stepUs(n), ...options.map((option) => speedBy(latency, n, option.drafter, option))),
    ),
  );
  return {
    speedup_interval: { low: digits(low), high: digits(high) },
    regret_percent: { mean: hundredths(regret.mean), p95: hundredths(regret.p95) },
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
  const chosen = groups.map(({ choices }, g) => choices.find(({ id }) => id === ids[g]) ?? notOffered(n, ids[g]));
  const costUs = chosen.reduce((sum, choice) => sum + choice.costUs, 0);
  const loss = chosen.reduce((sum, choice) => sum + choice.loss, 0);
  const sums = sumLimits(limits);
  const bound =
    sums.skipped === null && sums.bytes === null
      ? checkedLowerBound(allowed, costUs, loss)
      : limitedLowerBound(groups, costUs, sums, chosen);
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

/** What a measurement is good for, and short to read. */
export const digits = (x: number): number => significant(x, 6);

/** One draft step of blocks or of another model; of others all the drafting of a round. */
export function draftUsOf(latency: LatencyModel, n: number, { drafter, draftTokens }: PlannedDraft, match?: number) {
  const steps = drafter.kind === "self" || drafter.kind === "model" ? draftTokens : 1;
  return draftingUs(latency, n, drafter, draftTokens, match) / steps;
}
