import lpSolver from "javascript-lp-solver";
import { DraftplanError } from "../../core/errors.js";
import { type Candidate, type Group, nonDominated, reorderingError } from "./group.js";
import { hullSteps } from "./hull.js";

/** Two bounds, or a bound and a loss, closer than this (relative above 1) count as equal. */
const TOLERANCE = 1e-6;

/** The little of javascript-lp-solver that is used here. */
interface LpSolver {
  /** variables that are 0 are left out of the answer */
  Solve(model: LpModel, precision: number): LpSolution;
}
type LpSolution = { feasible: boolean; bounded?: boolean; result: number } & Record<string, unknown>;
interface LpModel {
  optimize: string;
  opType: "max";
  constraints: Record<string, { max: number }>;
  variables: Record<string, Record<string, number>>;
  options: { presolve: false };
}

// The package's types describe its CommonJS build, where the solver is `.default` of what is imported;
// node loads its ES module, where the default export is the solver itself. It takes 9 ms to load, and imports `fs` and
// `child_process` for external solvers, which nothing here asks for.
const solver = ("Solve" in lpSolver ? lpSolver : lpSolver.default) as unknown as LpSolver;

/**
 * Optimum of the LP relaxation in closed form: every group starts at its cheapest choice, then the budget is spent on
 * hull steps by falling gain per µs, the last of them in part (Sinha and Zoltners 1979, Operations Research 27(3)).
 * @returns loss; Infinity where even the cheapest choices exceed the budget
 */
export function closedFormBound(groups: readonly Group[], budgetUs: number): number {
  const candidates = groups.map((group) => nonDominated(group.choices));
  const losses = candidates.map(([cheapest]) => cheapest.loss);
  const leastUs = candidates.reduce((sum, [cheapest]) => sum + cheapest.costUs, 0);
  if (leastUs > budgetUs) return Number.POSITIVE_INFINITY;
  let leftUs = budgetUs - leastUs;
  for (const { group, costUs, gain, to } of hullSteps(candidates)) {
    if (costUs > leftUs) {
      losses[group] -= gain * (leftUs / costUs);
      break;
    }
    leftUs -= costUs;
    losses[group] = candidates[group][to].loss;
  }
  // Summed over where each group ends, not by subtracting gains: a forbidding loss of 1e9 would leave its rounding.
  return losses.reduce((sum, loss) => sum + loss, 0);
}

/**
 * The same optimum by javascript-lp-solver 1.0.3, over all non-dominated choices: it knows nothing of hulls, so the
 * two check each other. Null where the solver reports no optimum.
 *
 * The relaxation is written as what may be gained over the cheapest choices, ≤ rows only: the origin is then feasible
 * and phase 1 never runs. Costs are scaled by the largest cost step (not by what is left of the budget: that may be
 * 1e-13, and answers were off by 0.6), gains by the largest gain, presolve is off (it drops the loss of variables that
 * it fixes), and the precision is PRECISION, below.
 */
export function lpSolverBound(groups: readonly Group[], budgetUs: number): number | null {
  const candidates = groups.map((group) => nonDominated(group.choices));
  const leftUs = budgetUs - candidates.reduce((sum, [cheapest]) => sum + cheapest.costUs, 0);
  const loss = candidates.reduce((sum, [cheapest]) => sum + cheapest.loss, 0);
  if (leftUs < 0) return null;
  const gain = Math.max(0, ...candidates.map((list) => list[0].loss - list[list.length - 1].loss));
  if (gain === 0) return loss;
  const costUs = Math.max(...candidates.map((list) => list[list.length - 1].costUs - list[0].costUs));
  const { constraints, variables } = relaxation(candidates, leftUs, { costUs, gain });
  const solved = solveRelaxation(constraints, variables);
  return solved === null ? null : Math.max(0, loss - gain * solved.optimum);
}

/**
 * The largest `gain` over ≤ rows that hold at the origin.
 * @returns the optimum and the variables that are not 0; null where the solver reports none
 */
export function solveRelaxation(
  constraints: LpModel["constraints"],
  variables: LpModel["variables"],
): { optimum: number; values: Partial<Record<string, number>> } | null {
  const model: LpModel = { optimize: "gain", opType: "max", constraints, variables, options: { presolve: false } };
  const { feasible, bounded, result, ...values } = solver.Solve(model, PRECISION);
  if (!feasible || bounded === false || !Number.isFinite(result)) return null;
  return { optimum: result, values: values as Partial<Record<string, number>> };
}

/**
 * The solver's pivot tolerance, and the unit it rounds its result to.
 *
 * Measured against the closed form, error relative above 1, on 7,435 seeded instances (up to 14 groups of the six kinds
 * of test/solve/instances.ts, and 10 to 160 blocks of 2 to 4 choices, 1 to 100,000 µs): median 1e-11 to 1e-10, 99 %
 * below 6e-10, largest 1.8e-9, which is the rounding; no failure. Losses 1,000 times as large: 1.6e-7. Where one gain is
 * thousands of times the optimum the rounding exceeds TOLERANCE, and the closed form is taken.
 * With 1e-11 it pivots on noise: three answers of 6,000 were off by more than 10.
 */
const PRECISION = 1e-9;

function relaxation(
  candidates: readonly (readonly Candidate[])[],
  leftUs: number,
  unit: { costUs: number; gain: number },
): Pick<LpModel, "constraints" | "variables"> {
  const model: Pick<LpModel, "constraints" | "variables"> = { constraints: {}, variables: {} };
  let mostUs = 0;
  candidates.forEach(([cheapest, ...dearer], g) => {
    if (dearer.length === 0) return;
    mostUs += dearer[dearer.length - 1].costUs - cheapest.costUs;
    model.constraints[`one${g}`] = { max: 1 };
    dearer.forEach((choice, c) => {
      model.variables[`${g}.${c}`] = {
        gain: (cheapest.loss - choice.loss) / unit.gain,
        budget: (choice.costUs - cheapest.costUs) / unit.costUs,
        [`one${g}`]: 1,
      };
    });
  });
  // The budget may be Infinity.
  model.constraints.budget = { max: Math.min(leftUs, mostUs) / unit.costUs };
  return model;
}

/**
 * The lower bound that is reported with an optimum, and the proof that the optimum keeps it.
 *
 * It is the LP's bound where the two computations agree and the closed form alone where they do not or the LP fails:
 * javascript-lp-solver works on a dense tableau without refactoring, so a disagreement is its rounding error.
 * Never above `loss`, so that rounding does not make a gap negative.
 * @throws LP_BOUND_VIOLATED where `loss` lies below the bound and the closed form confirms it
 */
export function checkedLowerBound(groups: readonly Group[], budgetUs: number, loss: number): number {
  const closed = closedFormBound(groups, budgetUs);
  const lp = lpSolverBound(groups, budgetUs);
  const agreed = lp !== null && Math.abs(lp - closed) <= TOLERANCE * Math.max(1, closed);
  const bound = agreed ? Math.min(lp, closed) : closed;
  // Added up in group order, choices may keep a budget that they exceed by a rounding error: that is no violation.
  const loosened = closedFormBound(groups, budgetUs + reorderingError(groups.length, budgetUs));
  requireNotBelow(loss, Math.min(bound, loosened), budgetUs, groups.length);
  return Math.min(bound, loss);
}

/** @throws LP_BOUND_VIOLATED where a loss lies below a bound by more than rounding */
export function requireNotBelow(loss: number, bound: number, budgetUs: number, groups: number): void {
  if (!differsBelow(loss, bound)) return;
  throw new DraftplanError({
    code: "LP_BOUND_VIOLATED",
    at: `solve: budget ${budgetUs} µs, ${groups} groups`,
    what: `a loss of ${loss} was called optimal or feasible, but no choice can lose less than ${bound}`,
    remedy: "this is a bug in draftplan; please report it with the profile and the calibration",
  });
}

/** Whether a loss lies below a bound by more than rounding. */
export function differsBelow(loss: number, bound: number): boolean {
  return loss < bound - TOLERANCE * Math.max(1, Math.abs(bound));
}

/** How much larger the acceptance rate could be at most, in percent: loss is −ln α, so the ratio is e^(bound − loss). */
export function lpGapPercent(loss: number, bound: number): number {
  return 100 * (1 - Math.exp(bound - loss));
}
