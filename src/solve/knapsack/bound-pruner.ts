import { type Candidate, reorderingError } from "./group.js";
import { type HullStep, hullSteps } from "./hull.js";
import type { Pruner, StateList } from "./states.js";

/**
 * Lower hull of what the groups still to come can reach.
 * Corner i: costs[i] µs more lead to losses[i]; costs rise, losses fall, both are reachable by real choices.
 */
interface Remainder {
  costs: Float64Array;
  losses: Float64Array;
}

/**
 * Leaves out what cannot become the optimum for one budget: states from which even the cheapest remainder misses the
 * budget, and states whose loss plus the LP bound of the remainder exceeds a loss that some choice is known to reach.
 * Those known losses come for free: the LP optimum rounded down to a corner is a real choice, and with thousands of
 * states one of them nearly fills the budget.
 *
 * Exactness in floating point: remainders are summed in another order than results are, so bounds are loosened and
 * known losses taken only with `reorderingError` to spare. A state on the way to the optimum is therefore never cut.
 */
export function boundPruner(groups: readonly (readonly Candidate[])[], budgetUs: number): Pruner {
  const mostUs = groups.reduce((sum, list) => sum + list[list.length - 1].costUs, 0);
  const mostLoss = groups.reduce((sum, list) => sum + list[0].loss, 0);
  const costError = reorderingError(groups.length, mostUs);
  const lossError = reorderingError(groups.length, mostLoss);
  // Beyond the dearest choices a budget changes nothing; Infinity would not survive the subtractions below.
  const budget = Math.min(budgetUs, mostUs + 2 * costError);
  const steps = hullSteps(groups);
  const remainders = (done: number) => remainderAfter(groups, steps, done);
  let bounds = new Float64Array(1);
  let known = Number.POSITIVE_INFINITY;

  return {
    // After the last group nothing is loosened: this is the comparison that decides.
    costLimit: (done) => (done === groups.length ? budgetUs : budget - remainders(done).costs[0] + costError),
    prune(list, done) {
      if (bounds.length < list.size) bounds = new Float64Array(list.costs.length);
      known = Math.min(known, boundStates(list, remainders(done), { budget, costError }, bounds) + lossError);
      keepWhere(list, (i) => bounds[i] <= known);
    },
  };
}

/** Loss of a choice of items that keeps the budget: hull steps by falling gain per µs, each that still fits. */
export function greedyLoss(groups: readonly (readonly Candidate[])[], budgetUs: number): number {
  const total = (picks: readonly number[], key: "costUs" | "loss") =>
    picks.reduce((sum, pick, g) => sum + groups[g][pick][key], 0);
  const cheapest = groups.map(() => 0);
  const picks = [...cheapest];
  let leftUs = budgetUs - total(cheapest, "costUs");
  for (const { group, to } of hullSteps(groups)) {
    const moreUs = groups[group][to].costUs - groups[group][picks[group]].costUs;
    if (moreUs > leftUs) continue;
    leftUs -= moreUs;
    picks[group] = to;
  }
  // What fits step by step may miss the budget by rounding when added up in group order.
  return total(total(picks, "costUs") <= budgetUs ? picks : cheapest, "loss");
}

function remainderAfter(
  groups: readonly (readonly Candidate[])[],
  steps: readonly HullStep[],
  done: number,
): Remainder {
  const ahead = steps.filter((step) => step.group >= done);
  const costs = new Float64Array(ahead.length + 1);
  const losses = new Float64Array(ahead.length + 1);
  for (const [cheapest] of groups.slice(done)) {
    costs[0] += cheapest.costUs;
    losses[0] += cheapest.loss;
  }
  ahead.forEach((step, i) => {
    costs[i + 1] = costs[i] + step.costUs;
    losses[i + 1] = losses[i] - step.gain;
  });
  return { costs, losses };
}

/**
 * Writes each state's lower bound. Costs rise along the list, so one walk down the corners serves all states.
 * @returns the least loss that is reachable for certain
 */
function boundStates(
  list: StateList,
  { costs, losses }: Remainder,
  { budget, costError }: { budget: number; costError: number },
  bounds: Float64Array,
): number {
  let known = Number.POSITIVE_INFINITY;
  const last = costs.length - 1;
  let corner = last;
  for (let i = 0; i < list.size; i += 1) {
    const left = budget - list.costs[i];
    while (corner > 0 && costs[corner] > left + costError) corner -= 1;
    const spent = costs[corner];
    let rest = losses[corner];
    if (corner < last) {
      const share = Math.max(0, left + costError - spent) / (costs[corner + 1] - spent);
      rest -= Math.min(1, share) * (losses[corner] - losses[corner + 1]);
    }
    bounds[i] = list.losses[i] + rest;
    let certain = corner;
    while (certain > 0 && costs[certain] > left - costError) certain -= 1;
    if (costs[certain] <= left - costError) known = Math.min(known, list.losses[i] + losses[certain]);
  }
  return known;
}

function keepWhere(list: StateList, keep: (i: number) => boolean): void {
  let kept = 0;
  for (let i = 0; i < list.size; i += 1) {
    if (!keep(i)) continue;
    list.costs[kept] = list.costs[i];
    list.losses[kept] = list.losses[i];
    list.parents[kept] = list.parents[i];
    list.picks[kept] = list.picks[i];
    kept += 1;
  }
  list.size = kept;
}
