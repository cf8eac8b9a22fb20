/**
 * Which drafts to measure next. The knapsack's frontier at each profiled context supplies them: the point the corrected
 * surrogate likes best, and points around it, since the surrogate is only a surrogate.
 */
import { blockName, type ChoiceSet, choiceKey, everywhere } from "../schema/choice.js";
import { constrainedFrontier, satisfies } from "./constraints.js";
import { improveByExchanges } from "./exchanges.js";
import { bestLength } from "./gain.js";
import type { Group } from "./knapsack/group.js";
import { curveFromRate } from "./objective.js";
import {
  type ContextData,
  contextFor,
  groupsAt,
  type Problem,
  plannedContexts,
  supportedLength,
  surrogateLoss,
  toChoiceSet,
} from "./problem.js";
import { type Correction, expectedRate, expectedRateOf, fitSurrogate, type Surrogate } from "./surrogate.js";

/** A draft with the tokens per second it is expected to reach. */
export interface Candidate {
  set: ChoiceSet;
  key: string;
  loss: number;
  draftTokens: number;
  tokensPerSecond: number;
}

/** Every point of the constrained frontier at context n with its expected tokens per second, best first. */
export function rankedFrontier(problem: Problem, n: number, correction: Correction): Candidate[] {
  return constrainedFrontier(problem.limits, groupsAt(problem, n))
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

/** Times that the pairs' terms are taken at a new draft: the choice settles after one or two. */
const LINEARISATIONS = 3;

/**
 * Every candidate at context n by the corrected surrogate, best first.
 *
 * Pair terms cannot stand in a knapsack, whose losses add up. So they are taken to first order around the best draft so
 * far (what skipping a block adds, given what that draft skips), the knapsack is solved again with the losses so
 * changed, and all points of both frontiers are ranked by the whole surrogate; then the best is improved by exchanges.
 * Without pairs this is the frontier itself.
 */
export function rankedCandidates(problem: Problem, n: number, surrogate: Surrogate): Candidate[] {
  const plain = rankedFrontier(problem, n, surrogate.correction);
  if (surrogate.pairs.length === 0) return plain;
  const context = contextFor(problem, n);
  const groups = groupsAt(problem, n);
  const found = new Map<string, Candidate>();
  const add = (set: ChoiceSet) => {
    const key = choiceKey(set);
    if (found.has(key)) return;
    const rate = expectedRateOf(context, surrogate, set);
    const best = bestLength(problem, n, set, (d) => curveFromRate(rate, d), problem.maxDraft);
    found.set(key, { set, key, loss: surrogateLoss(context.losses, set), ...best });
  };
  const ranked = () => [...found.values()].sort((a, b) => b.tokensPerSecond - a.tokensPerSecond);
  for (const { set } of plain) add(set);
  for (let i = 0; i < LINEARISATIONS; i++) {
    const [{ key, set }] = ranked();
    const changed = linearised(groups, surrogate, set);
    for (const { chosen } of constrainedFrontier(problem.limits, changed)) add(toChoiceSet(chosen));
    if (ranked()[0].key === key) break;
  }
  add(improveByExchanges(problem, n, surrogate, ranked()[0].set));
  return ranked();
}

/** The groups with what skipping a block adds beside the blocks that `around` skips; no loss falls below 0. */
function linearised(groups: readonly Group[], { pairs }: Surrogate, around: ChoiceSet): Group[] {
  const added = new Map<string, number>();
  const add = (block: number, other: number, loss: number) => {
    if (around.blocks[other] === "skip") added.set(blockName(block), (added.get(blockName(block)) ?? 0) + loss);
  };
  for (const { first, second, loss } of pairs) {
    add(first, second, loss);
    add(second, first, loss);
  }
  return groups.map((group) => ({
    ...group,
    choices: group.choices.map((choice) =>
      choice.id === "skip" ? { ...choice, loss: Math.max(0, choice.loss + (added.get(group.id) ?? 0)) } : choice,
    ),
  }));
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
 * @param correct how the surrogate is corrected by what was measured
 */
export function proposals(
  problem: Problem,
  context: ContextData,
  first: boolean,
  correct: (context: ContextData) => Surrogate = fitSurrogate,
): ChoiceSet[] {
  const known = new Set(context.measured.filter((m) => m.part === "choose").map((m) => m.key));
  const surrogate = correct(context);
  const wanted = new Map<string, ChoiceSet>();
  const want = (set: ChoiceSet) => {
    const key = choiceKey(set);
    if (!known.has(key) && satisfies(problem.limits, set)) wanted.set(key, set);
  };
  for (const n of plannedContexts(problem).filter((grid) => contextFor(problem, grid) === context)) {
    const ranked = rankedCandidates(problem, n, surrogate);
    if (first) for (const candidate of around(ranked)) want(candidate.set);
    const bestMeasured = Math.max(
      0,
      ...context.measured.filter((m) => m.part === "choose").map((m) => measuredSpeed(problem, n, m)),
    );
    for (const candidate of ranked.slice(0, 2)) if (candidate.tokensPerSecond > bestMeasured) want(candidate.set);
  }
  for (const set of winnersElsewhere(problem, context)) want(set);
  if (first) {
    for (const choice of problem.choices) if (choice !== "skip") want(everywhere(problem.layers, choice));
  }
  return [...wanted.values()];
}

/** The best measured drafts of the other contexts: only what is measured at both can be planned across both. */
function winnersElsewhere(problem: Problem, context: ContextData): ChoiceSet[] {
  return plannedContexts(problem).flatMap((n) => {
    const other = contextFor(problem, n);
    const measured = other.measured.filter((m) => m.part === "choose");
    if (other === context || measured.length === 0) return [];
    return [measured.reduce((a, b) => (measuredSpeed(problem, n, b) > measuredSpeed(problem, n, a) ? b : a)).set];
  });
}

/** Tokens per second of a measured draft at its best length; 0 where too few rounds came to any. */
export function measuredSpeed(
  problem: Problem,
  n: number,
  { set, curve, reached }: { set: ChoiceSet; curve: readonly number[]; reached?: readonly number[] | undefined },
): number {
  const longest = Math.min(problem.maxDraft, supportedLength({ curve, reached }));
  if (longest === 0) return 0;
  return bestLength(problem, n, set, (d) => curve.slice(0, d + 1), longest).tokensPerSecond;
}
