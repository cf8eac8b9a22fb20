/**
 * The draft length for several sequences at once (docs/method.md, "Several sequences at once"). A round of a batch is one
 * draft step of all sequences d times over, and one pass that verifies them all; each sequence accepts for itself, and yields
 * 1 + Σ a_i tokens whatever the others do:
 *
 *     TPT(B, d, n) = B · (1 + Σ_{i=1..d} a_i) / (d · draft(B, n) + verify(B, n, d) + round(B)),   d ≥ 1
 *     TPT(B, 0, n) = B / (verify(B, n, 0) + step(B))
 *
 * For each batch the length of greatest mean logarithm of TPT over a segment's contexts is planned, the shortest of equal
 * ones, except that one sequence has the segment's own length, which was confirmed and weighed against noise. Text kept
 * back refuses a length where it predicts a loss, and picks none, as everywhere (confirm.ts).
 */
import { type LengthByBatch, type SpeedByBatch, toSteps } from "../../schema/length-by-batch.js";
import { significant } from "../../stats/numbers.js";
import { reportedAt } from "../confirm.js";
import { draftingUs, familyKey, verifyingUs } from "../drafter.js";
import type { Option } from "../drafting/option.js";
import { expectedTokens } from "../objective.js";
import { contextFor, type Problem } from "../problem.js";
import type { BatchLatency } from "./latency.js";

/** Contexts of a segment that have one function of the batch. */
export interface BatchStretch {
  contexts: readonly number[];
  /** null: no further batch was measured there, or the drafter has no price by batch */
  lengths: LengthByBatch | null;
}

/** A function of the batch serves contexts together where it keeps so near to the best of each. */
const NEAR_BEST = 0.99;

/** One context: what each length yields and costs. */
interface BatchRounds {
  /** measured batches that reach it, rising, the first of one sequence */
  batches: readonly number[];
  /** [batches][d + 1] µs of a round of d drafted tokens; d = 0: of a plain step */
  us: readonly (readonly number[])[];
  /** [d + 1] accepted length by the text of choosing */
  chosen: readonly number[];
  /** [d + 1] by text kept back, as far as it is known */
  kept: readonly number[];
}

/**
 * The contexts of a segment, cut where another function of the batch is better.
 * @param contexts rising
 */
export function cutByBatch(
  problem: Problem,
  contexts: readonly number[],
  option: Option,
  options: (n: number) => readonly Option[],
): BatchStretch[] {
  if (problem.batches.length === 0 || option.drafter.kind !== "self") return [{ contexts, lengths: null }];
  const rounds = contexts.map((n) => roundsAt(problem, n, option, options(n)));
  const stretches: BatchStretch[] = [];
  for (let from = 0; from < contexts.length; ) {
    let [to, lengths] = [from + 1, bestLengths(rounds.slice(from, from + 1), option.draftTokens)];
    while (to < contexts.length && rounds[to].batches.length === rounds[from].batches.length) {
      const wider = rounds.slice(from, to + 1);
      const together = bestLengths(wider, option.draftTokens);
      if (!wider.every((one) => isNearBest(one, together))) break;
      [to, lengths] = [to + 1, together];
    }
    const isPlanned = rounds[from].batches.length > 1;
    stretches.push({ contexts: contexts.slice(from, to), lengths: isPlanned ? toSteps(lengths) : null });
    from = to;
  }
  return stretches;
}

function roundsAt(problem: Problem, n: number, option: Option, options: readonly Option[]): BatchRounds {
  const family = familyKey(option.drafter);
  const longest = options
    .filter(({ drafter }) => familyKey(drafter) === family)
    .reduce((a, b) => (b.draftTokens > a.draftTokens ? b : a), option);
  const reaching = problem.batches.filter(({ toContext }) => n <= toContext);
  const d = longest.draftTokens;
  return {
    batches: reaching.map(({ batch }) => batch),
    us: reaching.map(({ latency }) => timesOf(latency, n, option.drafter, d)),
    chosen: acceptedLengths(longest.curve),
    kept: acceptedLengths(reportedAt(contextFor(problem, n), { ...option, draftTokens: 1 })?.curve ?? [1]),
  };
}

const timesOf = (latency: BatchLatency["latency"], n: number, drafter: Option["drafter"], longest: number): number[] =>
  Array.from({ length: longest + 1 }, (_, d) =>
    d === 0
      ? latency.stepUs(n)
      : draftingUs(latency, n, drafter, d) + verifyingUs(latency, n, drafter, d) + latency.roundUs,
  );

/** [d + 1] */
const acceptedLengths = (curve: readonly number[]): number[] =>
  curve.map((_, d) => expectedTokens(curve.slice(0, d + 1)));

/** µs of a round, on the straight line between the measured batches around. */
function usAt({ batches, us }: BatchRounds, batch: number, d: number): number {
  const after = batches.findIndex((measured) => measured >= batch);
  if (batches[after] === batch) return us[after][d];
  const share = (batch - batches[after - 1]) / (batches[after] - batches[after - 1]);
  return (1 - share) * us[after - 1][d] + share * us[after][d];
}

const speedAt = (rounds: BatchRounds, batch: number, d: number): number => rounds.chosen[d] / usAt(rounds, batch, d);

/** Whether text kept back, as far as it knows the length, predicts a loss. */
const isRefuted = (rounds: BatchRounds, batch: number, d: number): boolean =>
  d > 0 && d < rounds.kept.length && rounds.kept[d] / usAt(rounds, batch, d) < 1 / usAt(rounds, batch, 0);

/** [batches] the best length of the batches 1, 2, 3, … up to the largest that was measured. */
function bestLengths(contexts: readonly BatchRounds[], alone: number): number[] {
  const { batches } = contexts[0];
  const longest = Math.min(...contexts.map(({ chosen }) => chosen.length - 1));
  return Array.from({ length: batches[batches.length - 1] }, (_, i) => {
    const batch = i + 1;
    if (batch === 1) return alone;
    let best = { length: 0, total: Number.NEGATIVE_INFINITY };
    for (let d = 0; d <= longest; d++) {
      if (contexts.some((one) => isRefuted(one, batch, d))) continue;
      const total = contexts.reduce((sum, one) => sum + Math.log(speedAt(one, batch, d)), 0);
      if (total > best.total) best = { length: d, total };
    }
    return best.length;
  });
}

function isNearBest(rounds: BatchRounds, lengths: readonly number[]): boolean {
  const alone = bestLengths([rounds], lengths[0]);
  return lengths.every((d, i) => speedAt(rounds, i + 1, d) >= NEAR_BEST * speedAt(rounds, i + 1, alone[i]));
}

/**
 * What every measured batch reaches at one context with its length.
 * @param lengths by the batch's number less 1
 */
export function speedsByBatch(
  problem: Problem,
  n: number,
  option: Option,
  options: readonly Option[],
  lengthAt: (batch: number) => number,
): SpeedByBatch {
  const rounds = roundsAt(problem, n, option, options);
  return rounds.batches.map((batch, i) => {
    const draft_tokens = lengthAt(batch);
    const tokens = draft_tokens < rounds.kept.length ? rounds.kept[draft_tokens] : rounds.chosen[draft_tokens];
    const us = rounds.us[i][draft_tokens];
    return {
      batch,
      draft_tokens,
      tokens_per_second: significant((1e6 * batch * tokens) / us, 6),
      speedup: significant((tokens * rounds.us[i][0]) / us, 6),
    };
  });
}
