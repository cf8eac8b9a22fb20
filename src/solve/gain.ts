/** Whether a draft's predicted gain over plain decoding is above the noise of what it is predicted from. */
import { standardDeviation } from "simple-statistics";
import type { ChoiceSet } from "../schema/choice.js";
import { draftingUs, loopUs, type SolvedDrafter, self, verifyingUs } from "./drafter.js";
import type { Known } from "./drafting/known.js";
import type { LatencyModel } from "./latency.js";
import { bestDraftLength, curveFromRate, expectedTokens } from "./objective.js";
import type { Problem } from "./problem.js";
import { acceptanceRate } from "./surrogate.js";

/** A draft of a certain length, and what its curve rests on. */
export interface Gaining {
  drafter: SolvedDrafter;
  /** [d+1] */
  curve: readonly number[];
  /** positions behind the curve; null: it was not measured */
  tokens: number | null;
  /** where a lookup drafts: share of rounds in which it does, and what those verify */
  match?: number | undefined;
  trees?: Known["trees"];
}

/** Where a profile says nothing of its own noise, a gain below this is not above it. */
const LEAST_GAIN = 1.02;
/** One-sided 90 %. A gain refused costs as much as one that is not there, so more certainty would cost more than it saves. */
const STANDARD_ERRORS = 1.282;
/** Step of the derivative in α. */
const STEP = 1e-3;

/** Tokens per second of rounds of `curve.length - 1` drafted tokens one behind the other. */
export function speedBy(latency: LatencyModel, n: number, drafter: SolvedDrafter, known: Reaching): number {
  const { curve, match } = known;
  const d = curve.length - 1;
  const us =
    draftingUs(latency, n, drafter, d, match) +
    verifyingUs(latency, n, drafter, d, known) +
    loopUs(latency, n, drafter, match);
  const tokens = expectedTokens(curve);
  return (1e6 * tokens) / (us + (drafter.kind === "self" ? tokens * latency.readingUs(drafter.set, n) : 0));
}

/** A curve [d + 1], and where a lookup drafts the share of rounds in which it does, and what those verify. */
export type Reaching = Pick<Known, "curve" | "match" | "trees">;

/** The same for the model's own blocks. */
export const speedOf = (latency: LatencyModel, n: number, set: ChoiceSet, curve: readonly number[]): number =>
  speedBy(latency, n, self(set), { curve });

/** Best draft length and its tokens per second, for a curve of any length. */
export function bestLength(
  { latency }: Problem,
  n: number,
  set: ChoiceSet,
  curve: (d: number) => readonly number[],
  maxDraft: number,
) {
  return bestDraftLength({
    draftUs: latency.draftUs(set, n),
    verifyUs: (d) => latency.verifyUs(n, d),
    roundUs: latency.roundUs + latency.refreshUs(set, n),
    perTokenUs: latency.readingUs(set, n),
    curve,
    maxDraft,
  });
}

const speedupOf = (latency: LatencyModel, n: number, { drafter, ...known }: Gaining): number =>
  (speedBy(latency, n, drafter, known) * latency.stepUs(n)) / 1e6;

/**
 * The lower end of the speedup's interval must lie above 1. Latencies and acceptance were measured apart, so their
 * relative errors add in squares. What is not known counts for nothing, except that a profile without resamples is
 * taken to be good for 2 %.
 */
export function gainIsAboveNoise(problem: Problem, n: number, option: Gaining): boolean {
  const speedup = speedupOf(problem.latency, n, option);
  if (speedup <= 1) return false; // nothing need be known of the noise
  const resampled = problem.resampled();
  if (resampled.length === 0 && speedup < LEAST_GAIN) return false;
  const drawn = resampled.map((latency) => speedupOf(latency, n, option));
  const latencyError = drawn.length < 2 ? 0 : standardDeviation(drawn) / speedup;
  return speedup * (1 - STANDARD_ERRORS * Math.hypot(latencyError, acceptedLengthError(option))) > 1;
}

/**
 * Relative standard error of the accepted length: that of a rate over `tokens` positions, times how the length of a
 * geometric curve of that rate changes with it. Half a miss is added, so that a curve without any is not taken as certain.
 */
export function acceptedLengthError({ drafter, curve, tokens }: Gaining): number {
  if (tokens === null) return 0;
  if (drafter.kind !== "self") return countedLengthError(curve, tokens);
  const d = curve.length - 1;
  const rate = Math.min(acceptanceRate(curve), (tokens - 0.5) / tokens);
  const error = Math.sqrt((rate * (1 - rate)) / tokens);
  const low = Math.max(0, rate - STEP);
  const slope = (expectedTokens(curveFromRate(rate, d)) - expectedTokens(curveFromRate(low, d))) / STEP;
  return (slope * error) / expectedTokens(curve);
}

/**
 * Of lengths that were counted at every position: the spread of the curve's own distribution, Σ (2i − 1)·a_i being the mean
 * square of the accepted tokens. Positions one behind the other see much of the same text, so as many of them as a round
 * yields count as one. Half a position is added to both ends of the range, or a curve of 0 and 1 would be certain.
 */
function countedLengthError(curve: readonly number[], positions: number): number {
  const d = curve.length - 1;
  const yielded = expectedTokens(curve);
  const accepted = yielded - 1;
  const meanSquare = curve.reduce((sum, a, i) => sum + (2 * i - 1) * (i === 0 ? 0 : a), 0);
  const variance = meanSquare - accepted ** 2 + d ** 2 / 2 / positions;
  return Math.sqrt((Math.max(0, variance) * yielded) / positions) / yielded;
}
