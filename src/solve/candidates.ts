/**
 * Which drafts to measure next. The knapsack's frontier at each profiled context supplies them: the point the corrected
 * surrogate likes best, and points around it, since the surrogate is only a surrogate.
 */
import { type ChoiceSet, choiceKey, uniformChoices } from "../schema/choice.js";
import { paretoFrontier } from "./multiple-choice.js";
import { bestDraftLength, curveFromRate } from "./objective.js";
import { type ContextData, contextFor, groupsAt, type Problem, toChoiceSet } from "./problem.js";
import { type Correction, expectedRate, fitCorrection } from "./surrogate.js";

/** A draft with the tokens per second it is expected to reach. */
export interface Candidate {
  set: ChoiceSet;
  key: string;
  loss: number;
  draftTokens: number;
  tokensPerSecond: number;
}

/** Best draft length and its tokens per second, for a curve of any length. */
export function bestLength(
  problem: Problem,
  n: number,
  set: ChoiceSet,
  curve: (d: number) => readonly number[],
  maxDraft: number,
) {
  const { latency } = problem;
  return bestDraftLength({
    draftUs: latency.draftUs(set, n),
    verifyUs: (d) => latency.verifyUs(n, d),
    roundUs: latency.roundUs,
    curve,
    maxDraft,
  });
}

/** Every frontier point at context n with its expected tokens per second, best first. */
export function rankedFrontier(problem: Problem, n: number, correction: Correction): Candidate[] {
  return paretoFrontier(groupsAt(problem, n))
    .map(({ chosen, loss }) => {
      const set = toChoiceSet(chosen);
      const rate = expectedRate(correction, loss);
      return {
        set,
        key: choiceKey(set),
        loss,
        ...bestLength(problem, n, set, (d) => curveFromRate(rate, d), problem.maxDraft),
      };
    })
    .sort((a, b) => b.tokensPerSecond - a.tokensPerSecond);
}

/** Losses around the best one's that are tried as well. */
const AROUND = [0.4, 0.7, 1.5, 2.5];

function around(ranked: readonly Candidate[]): Candidate[] {
  const [best] = ranked;
  const picked = [best];
  for (const factor of AROUND) {
    const wanted = best.loss * factor;
    const nearest = ranked.reduce((a, b) => (Math.abs(b.loss - wanted) < Math.abs(a.loss - wanted) ? b : a));
    picked.push(nearest);
  }
  return picked;
}

/**
 * Drafts worth measuring at one calibrated context that are not measured yet.
 * @param first the first time, points around the best and the uniform drafts are proposed too; later only points that
 *              are expected to beat the best measured one
 */
export function proposals(problem: Problem, context: ContextData, first: boolean): ChoiceSet[] {
  const known = new Set(context.measured.filter((m) => m.part === "choose").map((m) => m.key));
  const correction = fitCorrection(context);
  const wanted = new Map<string, ChoiceSet>();
  const want = (set: ChoiceSet) => {
    const key = choiceKey(set);
    if (!known.has(key)) wanted.set(key, set);
  };
  for (const n of problem.gridContexts.filter((grid) => contextFor(problem, grid) === context)) {
    const ranked = rankedFrontier(problem, n, correction);
    if (first) for (const candidate of around(ranked)) want(candidate.set);
    const bestMeasured = Math.max(
      0,
      ...context.measured.filter((m) => m.part === "choose").map((m) => measuredSpeed(problem, n, m)),
    );
    for (const candidate of ranked.slice(0, 2)) if (candidate.tokensPerSecond > bestMeasured) want(candidate.set);
  }
  for (const set of winnersElsewhere(problem, context)) want(set);
  if (first) {
    for (const choice of problem.choices) if (choice !== "skip") want(uniformChoices(problem.layers, choice));
  }
  return [...wanted.values()];
}

/** The best measured drafts of the other contexts: only what is measured at both can be planned across both. */
function winnersElsewhere(problem: Problem, context: ContextData): ChoiceSet[] {
  return problem.gridContexts.flatMap((n) => {
    const other = contextFor(problem, n);
    const measured = other.measured.filter((m) => m.part === "choose");
    if (other === context || measured.length === 0) return [];
    return [measured.reduce((a, b) => (measuredSpeed(problem, n, b) > measuredSpeed(problem, n, a) ? b : a)).set];
  });
}

const measuredSpeed = (
  problem: Problem,
  n: number,
  { set, curve }: { set: ChoiceSet; curve: readonly number[] },
): number =>
  bestLength(problem, n, set, (d) => curve.slice(0, d + 1), Math.min(problem.maxDraft, curve.length - 1))
    .tokensPerSecond;
