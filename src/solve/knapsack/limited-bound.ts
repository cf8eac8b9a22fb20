/**
 * The LP relaxation under limits on sums: what a draft must lose at least that costs, skips and holds no more than it may.
 *
 *     minimise Σ loss(g, c) x(g, c)   with   Σ_c x(g, c) = 1,   Σ a_r(g, c) x(g, c) ≤ limit_r,   x ≥ 0
 *
 * one row r for the budget and one for each limit (blocks skipped, bytes). javascript-lp-solver solves its dual, which has
 * the same optimum and whose origin is feasible, so phase 1 never runs. Of the answer the multipliers μ ≥ 0 of the rows are
 * taken: whatever they are,
 *
 *     Σ_g min_c (loss(g, c) + Σ_r μ_r a_r(g, c)) − Σ_r μ_r limit_r
 *
 * is no more than any draft within the limits loses (weak duality; Fisher 1981, Management Science 27(1)). That sum is
 * formed here, so the solver's rounding can make it a poorer bound, never a wrong one. The closed form over hulls
 * (lp-bound.ts) knows the budget alone; it is a bound under further limits too, and confirms that part only.
 */
import { reorderingError } from "./group.js";
import type { LimitedChoice, LimitedGroup, SumLimits } from "./limited-frontier.js";
import { closedFormBound, differsBelow, requireNotBelow, solveRelaxation } from "./lp-bound.js";

/** A row of the relaxation. */
interface Row {
  name: string;
  limit: number;
  of: (choice: LimitedChoice) => number;
  /** the largest coefficient: rows are divided by it, since bytes are millions and skipped blocks ones and twos */
  unit: number;
}

/**
 * The lower bound that is reported with a draft under limits on sums, and the proof that the draft keeps it.
 * @param chosen [groups] the draft's choices
 * @throws LP_BOUND_VIOLATED where the draft loses less than the certificate or the closed form allows (a bug)
 */
export function limitedLowerBound(
  groups: readonly LimitedGroup[],
  budgetUs: number,
  limits: SumLimits,
  chosen: readonly LimitedChoice[],
): number {
  const loss = chosen.reduce((sum, choice) => sum + choice.loss, 0);
  const rows = rowsOf(groups, budgetUs, limits);
  const dual = solveDual(groups, rows);
  const multipliers = dual?.multipliers ?? rows.map(() => 0);
  const slack = reorderingError(groups.length, Math.max(...rows.map(({ limit }) => limit), 0));
  const looser = rows.map((row) => ({ ...row, limit: row.limit + slack }));
  const closed = closedFormBound(asGroups(groups), budgetUs + slack);
  requireNotBelow(loss, Math.max(closed, certificate(groups, looser, multipliers)), budgetUs, groups.length);
  const certified = Math.max(closed, certificate(groups, rows, multipliers));
  // Where the solver's own optimum is another than its multipliers prove, it was off; the certificate holds all the same.
  const agreed = dual !== null && !differsBelow(dual.optimum, certified) && !differsBelow(certified, dual.optimum);
  return Math.min(agreed ? Math.min(dual.optimum, certified) : certified, loss);
}

/** The relaxation's optimum as javascript-lp-solver finds it, by its dual; null where it finds none (no draft keeps the limits). */
export const limitedRelaxation = (
  groups: readonly LimitedGroup[],
  budgetUs: number,
  limits: SumLimits,
): number | null => solveDual(groups, rowsOf(groups, budgetUs, limits))?.optimum ?? null;

/** The bound that multipliers prove, formed in closed form. */
function certificate(groups: readonly LimitedGroup[], rows: readonly Row[], multipliers: readonly number[]): number {
  const charged = (choice: LimitedChoice) =>
    rows.reduce((sum, { of, unit }, r) => sum + (multipliers[r] * of(choice)) / unit, choice.loss);
  const least = groups.reduce((sum, { choices }) => sum + Math.min(...choices.map(charged)), 0);
  return rows.reduce((sum, { limit, unit }, r) => sum - (multipliers[r] * limit) / unit, least);
}

/**
 * The dual: maximise Σ u(g) − Σ μ_r limit_r with u(g) ≤ loss(g, c) + Σ μ_r a_r(g, c), which u = μ = 0 keeps, since no loss is
 * below 0.
 * @returns its optimum, and the multipliers [rows]
 */
function solveDual(
  groups: readonly LimitedGroup[],
  rows: readonly Row[],
): { optimum: number; multipliers: number[] } | null {
  const most = Math.max(0, ...groups.flatMap(({ choices }) => choices.map(({ loss }) => loss)));
  if (most === 0) return { optimum: 0, multipliers: rows.map(() => 0) };
  const constraints: Record<string, { max: number }> = {};
  const variables: Record<string, Record<string, number>> = {};
  for (const { name, limit, unit } of rows) variables[name] = { gain: -limit / unit };
  groups.forEach(({ choices }, g) => {
    const ofGroup: Record<string, number> = { gain: 1 };
    variables[`u${g}`] = ofGroup;
    choices.forEach((choice, c) => {
      const row = `${g}.${c}`;
      constraints[row] = { max: choice.loss / most };
      ofGroup[row] = 1;
      for (const { name, of, unit } of rows) variables[name][row] = -of(choice) / unit;
    });
  });
  const solved = solveRelaxation(constraints, variables);
  if (solved === null) return null;
  return {
    optimum: most * solved.optimum,
    multipliers: rows.map(({ name }) => Math.max(0, most * (solved.values[name] ?? 0))),
  };
}

/** The budget, and the limits there are. Limits of nothing are left as they are: 0 is a limit. */
function rowsOf(groups: readonly LimitedGroup[], budgetUs: number, limits: SumLimits): Row[] {
  const row = (name: string, limit: number | null, of: Row["of"]): Row[] => {
    const unit = Math.max(0, ...groups.flatMap(({ choices }) => choices.map(of)));
    return limit === null || unit === 0 ? [] : [{ name, limit, of, unit }];
  };
  return [
    ...row("budget", budgetUs, ({ costUs }) => costUs),
    ...row("skipped", limits.skipped, ({ skipped }) => skipped),
    ...row("bytes", limits.bytes, ({ bytes }) => bytes),
  ];
}

const asGroups = (groups: readonly LimitedGroup[]) => groups.map(({ id, choices }) => ({ id, choices: [...choices] }));
