/**
 * A draft improved by exchanges that are measured. Hundreds are tried, and among hundreds that are no better some look
 * better by chance; so what is found on one half of the text is confirmed on the other, which it was not found on.
 *
 * A whole search accepts something although no exchange helps with a chance of at most `chance`. As long as nothing was
 * accepted, what is confirmed next follows from the finding half alone, so each confirmation is one test fixed beforehand on
 * text of its own; the k-th is made at chance / (k (k + 1)), and these add up to `chance` however many there are (Bonferroni,
 * with levels that shrink since their number is not known beforehand).
 */
import type { MeasuredDraft } from "../schema/calibration.js";
import { type ChoiceSet, choiceKey, compactDraft } from "../schema/choice.js";
import { studentQuantile } from "../stats/student.js";
import { measuredSpeed } from "./candidates.js";
import { exchanges } from "./exchanges.js";
import { bestLength, speedOf } from "./gain.js";
import { curveFromRate } from "./objective.js";
import { contextFor, type Problem } from "./problem.js";
import { fitSurrogate } from "./surrogate.js";

/** What a draft showed on some text. */
export interface Shown {
  /** [d+1] */
  curve: readonly number[];
  /** [d] rounds that came to each position; undefined: not counted */
  reached?: readonly number[] | undefined;
  /** [positions] 1 or 0 for hit or miss, or the chance of a hit; the same positions for every draft */
  positions: readonly number[];
}

export interface ExchangeSearch<T extends Shown> {
  /** the problem with further measured drafts in it; they were measured at `at` */
  problemWith: (measured: readonly MeasuredDraft[]) => Problem;
  /** calibrated context, tokens */
  at: number;
  /** chance that the search accepts anything where no exchange helps */
  chance: number;
  /** drafts measured on the half that exchanges are found on */
  finding: (sets: readonly ChoiceSet[]) => Promise<T[]>;
  /** on the other half */
  confirming: (sets: readonly ChoiceSet[]) => Promise<T[]>;
  timeIsUp: () => boolean;
}

/** An exchange that helps, by both halves. */
export interface AcceptedExchange<T extends Shown> {
  set: ChoiceSet;
  found: T;
  confirmed: T;
}

/** Exchanges measured between two looks at the clock: filling the cache costs as much as some of them. */
const BATCH = 6;
/** An exchange that is expected to lose this share or more is not tried. */
const LEAST_GAIN = -0.01;
/** Chance of a find where there is nothing: a screen, since what it lets through is confirmed. */
const SCREEN = 0.05;

/** @returns accepted exchanges, each a step from the one before it */
export async function searchExchanges<T extends Shown>(search: ExchangeSearch<T>): Promise<AcceptedExchange<T>[]> {
  const accepted: AcceptedExchange<T>[] = [];
  /** on the finding half: the surrogate learns from all of them */
  const tried: MeasuredDraft[] = [];
  const found = new Map<string, T>();
  const confirmed = new Map<string, T>();
  const measured = async (sets: readonly ChoiceSet[], measure: typeof search.finding, known: Map<string, T>) => {
    const unknown = sets.filter((set) => !known.has(choiceKey(set)));
    const shown = await measure(unknown);
    unknown.forEach((set, i) => {
      known.set(choiceKey(set), shown[i]);
    });
    return sets.map((set) => ({ set, ...(known.get(choiceKey(set)) as T) }));
  };
  let incumbent: ChoiceSet | null = null;
  let confirmations = 0;
  while (!search.timeIsUp()) {
    const problem = search.problemWith(tried);
    const n = nearestContext(problem, search.at);
    incumbent ??= bestMeasured(problem, n);
    if (n === null || incumbent === null) break;
    const wanted = batchAt(problem, n, incumbent);
    if (wanted.length === 0) break;
    const [from, ...trials] = await measured([incumbent, ...wanted], search.finding, found);
    for (const trial of trials) tried.push(recordOf(search.at, trial));
    const [best] = trials
      .filter((trial) => isFaster(problem, n, trial, from, SCREEN))
      .sort((a, b) => measuredSpeed(problem, n, b) - measuredSpeed(problem, n, a));
    if (best === undefined) continue;
    confirmations++;
    const level = search.chance / (confirmations * (confirmations + 1));
    const [before, after] = await measured([incumbent, best.set], search.confirming, confirmed);
    if (!isFaster(problem, n, after, before, level)) continue;
    incumbent = best.set;
    const key = choiceKey(best.set);
    accepted.push({ set: best.set, found: found.get(key) as T, confirmed: confirmed.get(key) as T });
  }
  return accepted;
}

const recordOf = (at: number, { set, curve, positions }: Shown & { set: ChoiceSet }): MeasuredDraft => ({
  at_context: at,
  part: "choose",
  draft: compactDraft(set),
  tokens: Math.max(1, positions.length),
  curve: [...curve],
});

/** The most promising exchanges that are not measured yet. */
function batchAt(problem: Problem, n: number, incumbent: ChoiceSet): ChoiceSet[] {
  const context = contextFor(problem, n);
  const known = new Set(context.measured.filter((m) => m.part === "choose").map((m) => m.key));
  return exchanges(problem, n, fitSurrogate(context), incumbent, known)
    .filter(({ gain }) => gain > LEAST_GAIN)
    .slice(0, BATCH)
    .map(({ set }) => set);
}

/** The profiled context nearest in ratio to a calibrated one, of those it stands for. */
export function nearestContext(problem: Problem, at: number): number | null {
  const served = problem.gridContexts.filter((n) => contextFor(problem, n).losses.at_context === at);
  const distance = (n: number) => Math.abs(Math.log(Math.max(1, n) / Math.max(1, at)));
  return served.length === 0 ? null : served.reduce((a, b) => (distance(b) < distance(a) ? b : a));
}

function bestMeasured(problem: Problem, n: number | null): ChoiceSet | null {
  if (n === null) return null;
  const measured = contextFor(problem, n).measured.filter((m) => m.part === "choose");
  if (measured.length === 0) return null;
  return measured.reduce((a, b) => (measuredSpeed(problem, n, b) > measuredSpeed(problem, n, a) ? b : a)).set;
}

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

type Trial = Shown & { set: ChoiceSet };

/**
 * Whether `challenger` is faster than `incumbent` at context n beyond noise, each at its best length: by their curves, and
 * by their rates over the positions that both were measured at. What is hard for both cancels there, so only positions where
 * they differ add to the noise (as in McNemar's test); a rate's noise is worth as much as it moves that draft's speed.
 * @param chance one-sided chance of saying so of drafts that are equally fast
 */
export function isFaster(problem: Problem, n: number, challenger: Trial, incumbent: Trial, chance: number): boolean {
  if (measuredSpeed(problem, n, challenger) <= measuredSpeed(problem, n, incumbent)) return false;
  const count = challenger.positions.length;
  if (count < 2) return false;
  const [ahead, behind] = [speedByRate(problem, n, challenger), speedByRate(problem, n, incumbent)];
  if (ahead.slope <= 0) return false;
  const error =
    ahead.slope *
    pairedStandardError(
      challenger.positions,
      incumbent.positions.map((x) => (behind.slope / ahead.slope) * x),
    );
  return ahead.tokensPerSecond - behind.tokensPerSecond > studentQuantile(1 - chance, count - 1) * error;
}

/**
 * Tokens per second at the best length for the mean rate, and how they change with it. Not at a length picked elsewhere:
 * that might be a poor one for the incumbent alone, and nearly any challenger would beat it.
 */
function speedByRate(problem: Problem, n: number, { set, positions }: Trial) {
  const { latency } = problem;
  const rate = positions.reduce((sum, x) => sum + x, 0) / positions.length;
  const best = bestLength(problem, n, set, (d) => curveFromRate(rate, d), problem.maxDraft);
  const at = (alpha: number) => speedOf(latency, n, set, curveFromRate(alpha, best.draftTokens));
  const high = Math.max(rate, STEP);
  return { tokensPerSecond: best.tokensPerSecond, slope: (at(high) - at(high - STEP)) / STEP };
}
