/**
 * Multiple-choice knapsack: one choice per group, least total loss within a cost budget.
 *
 * Both functions are exact for whole-number costs, and for other costs as long as the lists stay below `maxStates`.
 * Beyond that (adversarial instances are exponential) costs are rounded UP to a resolution, so that what is called
 * affordable is affordable; all rounding together stays below 0.1 % of a reference cost. With B that reference share,
 * the loss found for a budget is never more than the least loss for (budget − B). Results then carry `resolutionUs`.
 */
import { DraftplanError } from "../../core/errors.js";
import { boundPruner, greedyLoss } from "./bound-pruner.js";
import {
  type Candidate,
  type Group,
  nonDominated,
  type ParetoPoint,
  reorderingError,
  validateGroups,
} from "./group.js";
import { lazyPoints } from "./lazy-points.js";
import { checkedLowerBound } from "./lp-bound.js";
import { searchStates, type Traced } from "./states.js";

export type { Choice, Group, ParetoPoint } from "./group.js";

export interface MultipleChoiceSolution extends ParetoPoint {
  /** no choice within the budget loses less: optimum of the LP relaxation */
  lowerBound: number;
}

export interface SolveOptions {
  /** states a list may hold before costs that are not whole numbers are rounded */
  maxStates?: number;
}

/** About 0.5 s for 160 groups of 4 choices on the two-core EPYC of docs/measurements.md, and 130 MB. */
const FRONTIER_STATES = 2 ** 17;
/** Larger than for a frontier, since pruned lists are rarely long. */
const BUDGET_STATES = 2 ** 19;
/** ids in all points of a frontier together; 8 bytes each */
const MAX_FRONTIER_IDS = 2 ** 26;
/** states traced back at a time: their picks stay in the cache */
const TRACED_TOGETHER = 512;
/** all rounding together, as a share of the reference cost */
const ROUNDING_SHARE = 1e-3;

/**
 * The least loss with cost ≤ budget; of equal losses the cheapest.
 * Rounding, where it is needed, is below 0.1 % of the budget (or of the dearest choices, if those cost less).
 * @param budgetUs µs; Infinity asks for the least loss at any cost
 * @throws BUDGET_INFEASIBLE where the cheapest choices exceed the budget, or the budget is NaN
 * @throws GROUP_INVALID, OUT_OF_MEMORY (whole-number costs of a huge range only), LP_BOUND_VIOLATED (a bug)
 */
export function solveMultipleChoice(
  groups: readonly Group[],
  budgetUs: number,
  options: SolveOptions = {},
): MultipleChoiceSolution {
  const point = leastLoss(groups, budgetUs, options);
  return { ...point, lowerBound: checkedLowerBound(groups, budgetUs, point.loss) };
}

/** The same without the LP bound, whose solver takes most of the time: where one problem is solved many times over. */
export function leastLoss(groups: readonly Group[], budgetUs: number, options: SolveOptions = {}): ParetoPoint {
  validateGroups(groups);
  const candidates = groups.map((group) => nonDominated(group.choices));
  requireAffordable(candidates, budgetUs);
  const useful = withoutUseless(candidates, budgetUs);
  return solveExactly(groups, useful, budgetUs, options) ?? solveRounded(groups, useful, budgetUs);
}

/**
 * Every non-dominated (cost, loss), by rising cost and strictly falling loss; one choice of items for each. Its list of
 * ids is made when it is first read (lazy-points.ts).
 * Rounding, where it is needed, is below 0.1 % of the cost of the least loss: points may then be missing between
 * those returned, but each is real, with its true cost and loss.
 * @throws GROUP_INVALID, OUT_OF_MEMORY (whole-number costs of a huge range only)
 */
export function paretoFrontier(groups: readonly Group[], options: SolveOptions = {}): ParetoPoint[] {
  validateGroups(groups);
  const candidates = groups.map((group) => nonDominated(group.choices));
  const maxStates = stateLimit(candidates, options.maxStates ?? FRONTIER_STATES);
  const exact = searchStates(candidates, { maxStates });
  if (exact !== undefined) return exactPoints(groups, candidates, exact);
  const dearest = candidates.reduce((sum, list) => sum + list[list.length - 1].costUs, 0);
  const resolutionUs = resolutionFor(candidates, dearest);
  const rounded = inUnits(candidates, resolutionUs);
  const lists = mustExist(searchStates(rounded, { maxStates: Number.POSITIVE_INFINITY }));
  return withoutDominated(roundedPoints(groups, rounded, lists).map((point) => ({ ...point, resolutionUs })));
}

type Candidates = readonly (readonly Candidate[])[];

function solveExactly(
  groups: readonly Group[],
  candidates: Candidates,
  budgetUs: number,
  options: SolveOptions,
): ParetoPoint | undefined {
  const maxStates = stateLimit(candidates, options.maxStates ?? BUDGET_STATES);
  const lists = searchStates(candidates, { maxStates, pruner: boundPruner(candidates, budgetUs) });
  return lists && bestPoint(groups, candidates, lists);
}

/**
 * The cheapest choices stay exact and only what is paid beyond them is rounded: then the least cost is feasible
 * whatever the resolution. The budget in units leaves room for the rounding of the sum itself, so the true cost,
 * added up in group order, keeps the budget.
 */
function solveRounded(groups: readonly Group[], candidates: Candidates, budgetUs: number): ParetoPoint {
  const leastUs = candidates.reduce((sum, [cheapest]) => sum + cheapest.costUs, 0);
  const mostUs = candidates.reduce((sum, list) => sum + list[list.length - 1].costUs, 0);
  const referenceUs = Math.min(budgetUs, mostUs);
  const resolutionUs = resolutionFor(candidates, referenceUs);
  const rounded = inUnits(candidates, resolutionUs);
  const spareUs = referenceUs - leastUs - reorderingError(groups.length, mostUs);
  const budgetUnits = Math.max(0, Math.floor(spareUs / resolutionUs));
  const lists = mustExist(
    searchStates(rounded, { maxStates: Number.POSITIVE_INFINITY, pruner: boundPruner(rounded, budgetUnits) }),
  );
  return { ...bestPoint(groups, rounded, lists), resolutionUs };
}

function requireAffordable(candidates: Candidates, budgetUs: number): void {
  const leastUs = candidates.reduce((sum, [cheapest]) => sum + cheapest.costUs, 0);
  // Written so that a NaN budget, which nothing fits, fails too.
  if (leastUs <= budgetUs) return;
  throw new DraftplanError({
    code: "BUDGET_INFEASIBLE",
    at: "budgetUs",
    what: `${budgetUs} µs were allowed, but the cheapest choices cost ${leastUs} µs`,
    remedy: `allow at least ${leastUs} µs, or offer cheaper choices (such as skip)`,
  });
}

/**
 * Leaves out choices that alone break the budget, or alone lose more than a choice that is known to fit.
 * What remains is of one order of magnitude, and the pruner's bounds are as sharp as its numbers are even:
 * a forbidding loss of 1e9 would blur them all.
 */
function withoutUseless(candidates: Candidates, budgetUs: number): Candidates {
  const affordable = candidates.map((list) => list.filter(({ costUs }) => costUs <= budgetUs));
  const known = greedyLoss(affordable, budgetUs);
  return affordable.map((list) => list.filter(({ loss }) => loss <= known));
}

/** Whole-number costs are never rounded, so their lists have no limit but memory. */
function stateLimit(candidates: Candidates, maxStates: number): number {
  const whole = candidates.every((list) => list.every(({ costUs }) => Number.isInteger(costUs)));
  return whole ? Number.POSITIVE_INFINITY : maxStates;
}

/** Each group with a choice is rounded up by less than one unit, so all together by less than the share. */
function resolutionFor(candidates: Candidates, referenceUs: number): number {
  const rounding = candidates.filter((list) => list.length > 1).length;
  return (ROUNDING_SHARE * referenceUs) / rounding;
}

/** Costs above the group's cheapest choice, in units of the resolution, rounded up. */
function inUnits(candidates: Candidates, resolutionUs: number): Candidate[][] {
  return candidates.map((list) => {
    const units = list.map((candidate) => ({
      ...candidate,
      costUs: Math.ceil((candidate.costUs - list[0].costUs) / resolutionUs),
    }));
    // Of choices that round to the same cost the last loses least.
    return units.filter(({ costUs }, c) => c === units.length - 1 || costUs < units[c + 1].costUs);
  });
}

/** The state of least loss is the last. */
function bestPoint(groups: readonly Group[], candidates: Candidates, { list, trace }: Traced): ParetoPoint {
  return pointReader(groups, candidates)(trace(list.size - 1, 1), 0);
}

/** Of an exact frontier: a state's sums are those of its choices, to the last bit, so no list of choices is needed yet. */
function exactPoints(groups: readonly Group[], candidates: Candidates, traced: Traced): ParetoPoint[] {
  requireRoom(traced.list.size, groups.length);
  const ids = candidates.map((list, g) => list.map(({ index }) => groups[g].choices[index].id));
  return lazyPoints(ids, traced);
}

/** Of a frontier whose costs were rounded: true costs and losses are those of the choices. */
function roundedPoints(groups: readonly Group[], candidates: Candidates, { list, trace }: Traced): ParetoPoint[] {
  requireRoom(list.size, groups.length);
  const read = pointReader(groups, candidates);
  const points: ParetoPoint[] = [];
  for (let first = 0; first < list.size; first += TRACED_TOGETHER) {
    const count = Math.min(TRACED_TOGETHER, list.size - first);
    const picks = trace(first, count);
    for (let i = 0; i < count; i += 1) points.push(read(picks, i));
  }
  return points;
}

function requireRoom(points: number, groups: number): void {
  if (points * groups <= MAX_FRONTIER_IDS) return;
  throw new DraftplanError({
    code: "OUT_OF_MEMORY",
    at: "paretoFrontier",
    what: `the frontier has ${points} points of ${groups} groups each`,
    remedy: "give costs in a coarser unit (whole µs rather than ns), or ask for single budgets",
  });
}

/**
 * Turns picked candidates into a point with its true cost and loss, added up left to right as a reader would.
 * A frontier has millions of picks, so the way from candidate to choice is looked up once.
 */
function pointReader(
  groups: readonly Group[],
  candidates: Candidates,
): (picks: Uint16Array, row: number) => ParetoPoint {
  const choices = candidates.map((list, g) => list.map(({ index }) => groups[g].choices[index]));
  return (picks, row) => {
    const chosen = new Array<string>(choices.length);
    let costUs = 0;
    let loss = 0;
    for (let g = 0; g < choices.length; g += 1) {
      const choice = choices[g][picks[row * choices.length + g]];
      chosen[g] = choice.id;
      costUs += choice.costUs;
      loss += choice.loss;
    }
    return { chosen, costUs, loss };
  };
}

function withoutDominated(points: readonly ParetoPoint[]): ParetoPoint[] {
  const kept: ParetoPoint[] = [];
  for (const point of points.toSorted((a, b) => a.costUs - b.costUs || a.loss - b.loss)) {
    if (kept.length === 0 || point.loss < kept[kept.length - 1].loss) kept.push(point);
  }
  return kept;
}

function mustExist(lists: Traced | undefined): Traced {
  if (lists !== undefined) return lists;
  throw new DraftplanError({
    code: "INTERNAL",
    at: "solve",
    what: "lists without a limit reported that they exceeded it",
    remedy: "this is a bug in draftplan; please report it",
  });
}
