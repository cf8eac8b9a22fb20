/** When a sweep has measured enough. Three criteria; the one that ended it, and those that were not met, are recorded. */
import { mean } from "simple-statistics";
import { isTarget, type Observation } from "./pass.js";

export interface StopRule {
  /** measured however long they take */
  minRounds: number;
  /** enough even where there is time for more */
  maxRounds: number;
  /** of the whole sweep */
  budgetUs: number;
  /** wanted relative standard error of the whole target's median, in percent; null: no such criterion */
  precisionPercent: number | null;
}

/** What ended a sweep. */
export type StopReason = "precision" | "rounds" | "time" | "interrupted";

/** What a sweep is to meet: precise enough, the least number of rounds, within its time. */
export type Criterion = "precision" | "rounds" | "time";

/** The criteria that a sweep did not meet. */
export function unmetCriteria(
  rule: StopRule,
  { rounds, elapsedUs, precisionPercent }: { rounds: number; elapsedUs: number; precisionPercent: number },
): Criterion[] {
  const unmet: Criterion[] = [];
  if (rule.precisionPercent !== null && precisionPercent > rule.precisionPercent) unmet.push("precision");
  if (rounds < rule.minRounds) unmet.push("rounds");
  if (elapsedUs > 1.1 * rule.budgetUs) unmet.push("time"); // a round is never cut off
  return unmet;
}

/** The standard error of a median over the mean's, for normal noise: √(π / 2). */
const MEDIAN_PENALTY = 1.2533;

/**
 * Relative standard error of the whole target's median, in percent: the mean over the points of the grid. Rounds are the
 * units, as passes of one round are disturbed alike.
 */
export function precisionReached(observations: readonly Observation[]): number {
  const cells = new Map<string, Map<number, number[]>>();
  for (const o of observations) {
    if (!isTarget(o)) continue;
    const key = `${o.context} ${o.query}`;
    const cell = cells.get(key) ?? new Map<number, number[]>();
    cells.set(key, cell.set(o.round, [...(cell.get(o.round) ?? []), o.us]));
  }
  const errors = [...cells.values()].map((cell) => relativeError([...cell.values()].map((us) => mean(us))));
  return errors.length === 0 ? Number.POSITIVE_INFINITY : mean(errors);
}

function relativeError(rounds: readonly number[]): number {
  if (rounds.length < 2) return Number.POSITIVE_INFINITY;
  const centre = mean([...rounds]);
  const variance = rounds.reduce((sum, us) => sum + (us - centre) ** 2, 0) / (rounds.length - 1);
  return (100 * MEDIAN_PENALTY * Math.sqrt(variance / rounds.length)) / centre;
}

/**
 * Whether to stop after so many rounds; null: go on.
 * @param nextEndUs when the next round would end, at the pace of the last
 */
export function stopReason(
  rule: StopRule,
  rounds: number,
  nextEndUs: number,
  precisionPercent: () => number,
): StopReason | null {
  if (rounds < rule.minRounds) return null;
  if (rule.precisionPercent !== null && precisionPercent() <= rule.precisionPercent) return "precision";
  if (rounds >= rule.maxRounds) return "rounds";
  return nextEndUs > rule.budgetUs ? "time" : null;
}
