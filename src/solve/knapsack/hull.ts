import type { Candidate } from "./group.js";

/** A step along one group's lower convex hull: pay costUs more, lose gain less. */
export interface HullStep {
  /** position of the group */
  group: number;
  /** µs, > 0 */
  costUs: number;
  /** loss saved, > 0 */
  gain: number;
  /** the choice it leads to, position in the group's candidates */
  to: number;
}

/**
 * Steps along the lower convex hull of (cost, loss), gain per µs strictly falling.
 * Hull and sort compare the same quotients, not cross products: else two steps of nearly equal ratio might be sorted
 * against the hull's order, and a prefix of the steps would no longer be a real choice.
 * @param candidates rising cost, strictly falling loss (`nonDominated`)
 */
function stepsOf(candidates: readonly Candidate[], group: number): HullStep[] {
  const steps: HullStep[] = [];
  for (let to = 1; to < candidates.length; to += 1) {
    let step = stepBetween(candidates, group, steps.at(-1)?.to ?? 0, to);
    for (let last = steps.at(-1); last !== undefined && ratio(last) <= ratio(step); last = steps.at(-1)) {
      steps.pop();
      step = stepBetween(candidates, group, steps.at(-1)?.to ?? 0, to);
    }
    steps.push(step);
  }
  return steps;
}

function stepBetween(candidates: readonly Candidate[], group: number, from: number, to: number): HullStep {
  return {
    group,
    costUs: candidates[to].costUs - candidates[from].costUs,
    gain: candidates[from].loss - candidates[to].loss,
    to,
  };
}

/** gain per µs */
function ratio(step: HullStep): number {
  return step.gain / step.costUs;
}

/**
 * The hull steps of all groups, best gain per µs first. Taken in this order from every group's cheapest choice
 * they trace the optimum of the LP relaxation for every budget (Sinha and Zoltners 1979); within a group the order
 * is the hull's own, since its ratios fall and the sort is stable.
 */
export function hullSteps(groups: readonly (readonly Candidate[])[]): HullStep[] {
  return (
    groups
      .flatMap((candidates, g) => stepsOf(candidates, g))
      // Not a subtraction: a tiny cost makes a ratio Infinity, and Infinity − Infinity is NaN.
      .sort((a, b) => (ratio(a) > ratio(b) ? -1 : ratio(a) < ratio(b) ? 1 : 0))
  );
}
