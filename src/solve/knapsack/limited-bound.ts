/**
 * The LP relaxation under limits on sums: what a draft must lose at least that costs, skips and holds no more than it may.
 *
 *     minimise Σ loss(g, c) x(g, c)   with   Σ_c x(g, c) = 1,   Σ a_r(g, c) x(g, c) ≤ limit_r,   x ≥ 0
 *
 * one row r for the budget and one for each limit (blocks skipped, bytes). javascript-lp-solver solves it twice. Once as it
 * is, written as what may be gained over a draft that keeps the limits: then all rows are ≤, the origin is feasible, and
 * phase 1 never runs. And once its dual, of which only the multipliers μ ≥ 0 of the rows are taken: whatever they are,
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
 * @param own [groups] the draft's choices
 * @throws LP_BOUND_VIOLATED where the draft loses less than the certificate or the closed form allows (a bug)
 */
export function limitedLowerBound(
  groups: readonly LimitedGroup[],
  budgetUs: number,
  limits: SumLimits,
  own: readonly LimitedChoice[],
): number {
  const loss = own.reduce((sum, choice) => sum + choice.loss, 0);
  const rows = rowsOf(groups, budgetUs, limits);
  const multipliers = dualMultipliers(groups, rows);
  const slack = reorderingError(groups.length, Math.max(...rows.map(({ limit }) => limit), 0));
  const looser = rows.map((row) => ({ ...row, limit: row.limit + slack }));
  const closed = closedFormBound(asGroups(groups), budgetUs + slack);
  requireNotBelow(loss, Math.max(closed, certificate(groups, looser, multipliers)), budgetUs, groups.length);
  const certified = Math.max(closed, certificate(groups, rows, multipliers));
  const lp = limitedRelaxation(groups, budgetUs, limits, own);
  // Where the two disagree the solver was off in one of them; the certificate holds all the same.
  const agreed = lp !== null && !differsBelow(lp, certified) && !differsBelow(certified, lp);
  return Math.min(agreed ? Math.min(lp, certified) : certified, loss);
}

/** The optimum as javascript-lp-solver finds it, from a draft that keeps the limits; null where it finds none. */
export function limitedRelaxation(
  groups: readonly LimitedGroup[],
  budgetUs: number,
  limits: SumLimits,
  own: readonly LimitedChoice[],
): number | null {
  const rows = rowsOf(groups, budgetUs, limits);
  const loss = own.reduce((sum, choice) => sum + choice.loss, 0);
  const gain = Math.max(...groups.map(({ choices }, g) => own[g].loss - Math.min(...choices.map((c) => c.loss))), 0);
  if (gain === 0) return loss;
  const constraints: Record<string, { max: number }> = {};
  for (const { name, limit, of, unit } of rows) {
    const used = own.reduce((sum, choice) => sum + of(choice), 0);
    constraints[name] = { max: Math.max(0, (limit - used) / unit) };
  }
  const variables: Record<string, Record<string, number>> = {};
  groups.forEach(({ choices }, g) => {
    constraints[`one${g}`] = { max: 1 };
    choices.forEach((choice, c) => {
      if (choice === own[g]) return;
      const coefficients = rows.map(({ name, of, unit }) => [name, (of(choice) - of(own[g])) / unit] as const);
      variables[`${g}.${c}`] = {
        gain: (own[g].loss - choice.loss) / gain,
        [`one${g}`]: 1,
        ...Object.fromEntries(coefficients),
      };
    });
  });
  const solved = solveRelaxation(constraints, variables);
  return solved === null ? null : Math.max(0, loss - gain * solved.optimum);
}

/** The bound that multipliers prove, formed in closed form. */
function certificate(groups: readonly LimitedGroup[], rows: readonly Row[], multipliers: readonly number[]): number {
  const charged = (choice: LimitedChoice) =>
    rows.reduce((sum, { of, unit }, r) => sum + (multipliers[r] * of(choice)) / unit, choice.loss);
  const least = groups.reduce((sum, { choices }) => sum + Math.min(...choices.map(charged)), 0);
  return rows.reduce((sum, { limit, unit }, r) => sum - (multipliers[r] * limit) / unit, least);
}

/** [rows] of the dual: u(g) ≤ loss(g, c) + Σ μ_r a_r(g, c), which u = μ = 0 keeps, since no loss is below 0. */
function dualMultipliers(groups: readonly LimitedGroup[], rows: readonly Row[]): number[] {
  const most = Math.max(0, ...groups.flatMap(({ choices }) => choices.map(({ loss }) => loss)));
  if (most === 0) return rows.map(() => 0);
  const constraints: Record<string, { max: number }> = {};
  const variables: Record<string, Record<string, number>> = {};
  for (const { name, limit, unit } of rows) variables[name] = { gain: -limit / unit };
  groups.forEach(({ choices }, g) => {
    const own: Record<string, number> = { gain: 1 };
    variables[`u${g}`] = own;
    choices.forEach((choice, c) => {
      const row = `${g}.${c}`;
      constraints[row] = { max: choice.loss / most };
      own[row] = 1;
      for (const { name, of, unit } of rows) variables[name][row] = -of(choice) / unit;
    });
  });
  const solved = solveRelaxation(constraints, variables);
  return rows.map(({ name }) => Math.max(0, most * (solved?.values[name] ?? 0)));
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
