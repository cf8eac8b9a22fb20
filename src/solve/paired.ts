/**
 * Whether one measured draft is faster than another beyond noise. Both were measured at the same positions, so what is
 * hard for both cancels: only positions where they differ add to the noise (as in McNemar's test).
 */

import type { ChoiceSet } from "../schema/choice.js";
import { bestLength } from "./best-length.js";
import { curveFromRate, tokensPerSecond } from "./objective.js";
import type { Problem } from "./problem.js";
import { acceptanceRate } from "./surrogate.js";

/** A draft, its curve, and at each position 1 or 0 for hit or miss (or the chance of a hit). */
export interface PairedDraft {
  set: ChoiceSet;
  /** [d+1] */
  curve: readonly number[];
  /** [positions] the same positions for both drafts */
  positions: readonly number[];
}

/** One-sided 95 %. */
const STANDARD_ERRORS = 1.645;
/** Squares that count where the drafts never differed: few positions without a difference are no proof of none. */
const UNSEEN = 0.25;
/** Step of the derivative in α. */
const STEP = 1e-3;

/** Standard error of the difference between two mean rates over the same positions. */
export function pairedStandardError(a: readonly number[], b: readonly number[]): number {
  const differences = a.map((x, i) => x - b[i]);
  const mean = differences.reduce((sum, x) => sum + x, 0) / differences.length;
  const squares = differences.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return Math.sqrt(squares + UNSEEN) / differences.length;
}

/** Whether `challenger` is measured faster than `incumbent` at context n, each at its best length, beyond noise. */
export function isFasterBeyondNoise(
  problem: Problem,
  n: number,
  challenger: PairedDraft,
  incumbent: PairedDraft,
): boolean {
  const best = bestOf(problem, n, challenger);
  const gain = best.tokensPerSecond - bestOf(problem, n, incumbent).tokensPerSecond;
  const { latency } = problem;
  const atRate = (alpha: number) =>
    tokensPerSecond({
      acceptanceCurve: curveFromRate(alpha, best.draftTokens),
      draftUs: latency.draftUs(challenger.set, n),
      verifyUs: latency.verifyUs(n, best.draftTokens),
      roundUs: latency.roundUs,
    });
  const alpha = Math.max(acceptanceRate(challenger.curve), STEP);
  const slope = (atRate(alpha) - atRate(alpha - STEP)) / STEP;
  return gain > STANDARD_ERRORS * slope * pairedStandardError(challenger.positions, incumbent.positions);
}

const bestOf = (problem: Problem, n: number, { set, curve }: PairedDraft) =>
  bestLength(problem, n, set, (d) => curve.slice(0, d + 1), Math.min(problem.maxDraft, curve.length - 1));
