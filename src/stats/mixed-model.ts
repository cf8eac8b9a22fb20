/**
 * Robust linear mixed model: what each part of a pass costs, from times of whole passes.
 *
 *     y = Σ columns of a row · coefficients + e,   e ~ N(0, σ² y²) with outliers
 *
 * The first `fixed` coefficients are free. The others are deviations, each group g with a prior N(0, τ_g²): they leave
 * zero only as far as the evidence goes (empirical Bayes). τ and σ follow MacKay's fixed point ("Bayesian interpolation",
 * 1992), with half as many members added to each group that do not deviate: without them few and noisy rows were explained
 * by large deviations. EM was tried and needs hundreds of rounds where there is hardly any noise. Errors are relative, as
 * disturbances of a pass grow with its length; outliers are bounded by Huber's weights.
 */
import { meanTauSquared } from "./half-normal.js";
import { inverseDiagonal, solveCholesky } from "./linear.js";
import { type NonNegative, solveNonNegative } from "./non-negative.js";
import { sum } from "./numbers.js";

export interface Row {
  /** coefficients that add up to y; one may stand more than once */
  columns: readonly number[];
  /** [columns] how much of each; once of all where it is missing */
  factors?: readonly number[];
  y: number;
}

export interface MixedModel {
  rows: readonly Row[];
  /** coefficients without a prior; they come first, and none falls below zero */
  fixed: number;
  /** [deviations] group of each coefficient with a prior, from 0 */
  groups: readonly number[];
  /** rows that hold nearly exactly */
  constraints?: readonly Row[];
}

const ROUNDS = 25;
/** Rounds end when no row's fit moves by more than this share of a usual row, or of the noise: more is not there to be had. */
const SETTLED = { exact: 1e-4, noise: 0.02 };
/**
 * Relative errors and deviations to begin with: deviations nearly free. Held back at first, a member that truly differs
 * looked like an outlier, and stayed one.
 */
const START = { error: 0.01, deviation: 0.5, deviationScale: 0.2 };
/** Huber's constant: 95 % efficient where the noise is normal after all */
const HUBER = 1.345;
/** of a constraint, as a multiple of everything measured */
const CONSTRAINT_WEIGHT = 100;
/** Least penalty, as a share of everything measured: a free part and all its deviations may trade a constant otherwise. */
const LEAST_PENALTY = 1e-8;
/** Of the diagonal: parts that only constraints tell of would leave the matrix singular to within rounding. */
const RIDGE = 1e-10;
/** a pass far shorter than the usual one counts no more than one of this share of it */
const SHORTEST_SHARE = 0.05;
/** errors below this share of a pass are rounding, and no outliers */
const EXACT = 1e-5;

interface State {
  coefficients: Float64Array;
  /** error variance, relative */
  variance: number;
  /** [groups] prior variances, in units of y / scale */
  priors: number[];
}

const middle = (values: number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
};

export const rowSum = ({ columns, factors }: Omit<Row, "y">, coefficients: ArrayLike<number>): number =>
  columns.reduce((total, column, i) => total + (factors?.[i] ?? 1) * coefficients[column], 0);

/** Where the fixed point stands: coefficients and variances, and the weights that follow from them. */
interface Standing {
  state: State;
  /** [rows] in units of y / scale */
  fitted: number[];
  huber: number[];
}

export interface MixedFit {
  /** deviations last */
  coefficients: Float64Array;
  /** [deviations] standard error of each beside the mean of its group, which the free coefficients know; prior included */
  deviationErrors: Float64Array;
}

export function fitMixedModel(model: MixedModel): MixedFit {
  const scale = middle(model.rows.map((row) => row.y)) || 1;
  let { state, fitted, huber } = beginning(model, scale);
  for (let round = 0, change = 1; round < ROUNDS && change > settled(state.variance); round++) {
    const weights = fitted.map((y, i) => huber[i] / Math.max(y, SHORTEST_SHARE) ** 2);
    state = improve(model, scale, weights, state);
    const before = fitted;
    fitted = model.rows.map((row) => rowSum(row, state.coefficients));
    change = fitted.reduce((most, y, i) => Math.max(most, Math.abs(y - before[i])), 0);
    huber = huberWeights(model.rows.map((row, i) => (row.y / scale - fitted[i]) / Math.max(fitted[i], SHORTEST_SHARE)));
  }
  const weights = fitted.map((y, i) => huber[i] / Math.max(y, SHORTEST_SHARE) ** 2);
  state = { ...state, priors: likelyPriors(model, scale, weights, state) };
  const last = normalSystem(model, scale, weights, state);
  return {
    coefficients: last.solution.map((c) => c * scale),
    deviationErrors: deviationErrors(model, last, state.variance).map((error) => error * scale),
  };
}

/** Of a row that one coefficient makes up, roughly, in units of y / scale. */
const usualShare = ({ rows }: MixedModel): number => 1 / middle(rows.map(({ columns }) => columns.length));

/**
 * τ² of each group as its mean given what the rows say of the members, with a half-normal prior on τ (Gelman 2006). The
 * fixed point gives the likeliest τ, which is often 0 where noise is as large as the deviations: estimates then were
 * drawn all the way to the pool, and called certain.
 */
function likelyPriors(model: MixedModel, scale: number, weights: number[], state: State): number[] {
  const { fixed, groups } = model;
  if (groups.length === 0) return state.priors;
  const wide = (START.deviation * usualShare(model)) ** 2;
  const nearlyFree = normalSystem(model, scale, weights, { ...state, priors: state.priors.map(() => wide) });
  const errors = deviationErrors(model, nearlyFree, state.variance);
  return state.priors.map((_, group) => {
    const members = groups.flatMap((g, i) => (g === group ? [i] : []));
    const average = sum(members.map((i) => nearlyFree.solution[fixed + i])) / members.length;
    const seen = members.flatMap((i) => {
      const square = Math.max(errors[i] ** 2, 1e-14);
      const precision = 1 / square - 1 / wide; // of the rows alone, the wide prior taken off
      if (precision < 1e-3 / wide) return [];
      return [{ value: (nearlyFree.solution[fixed + i] - average) / square / precision, variance: 1 / precision }];
    });
    return meanTauSquared(seen, START.deviationScale * usualShare(model));
  });
}

function beginning(model: MixedModel, scale: number): Standing {
  const groups = Math.max(0, ...model.groups.map((g) => g + 1));
  return {
    state: {
      coefficients: new Float64Array(model.fixed + model.groups.length),
      variance: START.error ** 2,
      priors: new Array<number>(groups).fill((START.deviation * usualShare(model)) ** 2),
    },
    fitted: model.rows.map((row) => row.y / scale),
    huber: model.rows.map(() => 1),
  };
}

const settled = (variance: number): number => Math.max(SETTLED.exact, SETTLED.noise * Math.sqrt(variance));

function huberWeights(errors: number[]): number[] {
  const bound = Math.max(HUBER * 1.4826 * middle(errors.map(Math.abs)), EXACT);
  return errors.map((error) => Math.min(1, bound / Math.max(Math.abs(error), EXACT)));
}

interface Solved extends NonNegative {
  penalty: (column: number) => number;
}

/** Coefficients given the variances and weights. */
function normalSystem(model: MixedModel, scale: number, weights: number[], state: State): Solved {
  const { fixed, groups } = model;
  const size = fixed + groups.length;
  const { matrix, right } = normalEquations(model, scale, weights, size);
  const least = LEAST_PENALTY * sum(weights);
  const penalty = (column: number) =>
    column < fixed
      ? 1e-3 * least // a part that no pass contains is zero
      : Math.max(least, state.variance / state.priors[groups[column - fixed]]);
  for (let i = 0; i < size; i++) matrix[i * size + i] += penalty(i) + RIDGE * matrix[i * size + i];
  return { ...solveNonNegative(matrix, right, fixed), penalty };
}

/**
 * What is known of a deviation given all rows is normal, with the error variance times the inverse of the penalised
 * matrix (Robinson 1991, "That BLUP is a good thing"). A deviation and the free part of its group may trade a constant,
 * which is no error of their sum: so a deviation is taken beside the mean of its group.
 */
function deviationErrors({ fixed, groups }: MixedModel, { free, factor }: Solved, variance: number): Float64Array {
  const place = new Map(free.map((column, i) => [column, i]));
  const members = new Map<number, number[]>();
  groups.forEach((group, i) => members.set(group, [...(members.get(group) ?? []), fixed + i]));
  return Float64Array.from(groups, (group, i) => {
    const contrast = new Float64Array(free.length);
    const all = members.get(group) as number[];
    for (const column of all) contrast[place.get(column) as number] -= 1 / all.length;
    contrast[place.get(fixed + i) as number] += 1;
    const solved = solveCholesky(factor, free.length, contrast);
    return Math.sqrt(Math.max(0, variance * sum(solved.map((x, k) => x * contrast[k]))));
  });
}

/** One step of the fixed point: coefficients given the variances, then the variances given them. */
function improve(model: MixedModel, scale: number, weights: number[], state: State): State {
  const { fixed, groups } = model;
  const { solution: coefficients, free, factor, penalty } = normalSystem(model, scale, weights, state);
  const uncertainty = new Float64Array(coefficients.length); // times the error variance: that of each coefficient
  inverseDiagonal(factor, free.length).forEach((value, i) => {
    uncertainty[free[i]] = value;
  });

  let squares = 0;
  let mass = 0;
  model.rows.forEach((row, i) => {
    squares += weights[i] * (row.y / scale - rowSum(row, coefficients)) ** 2;
    mass += weights[i] * Math.max(row.y / scale, SHORTEST_SHARE) ** 2;
  });
  const spread = state.priors.map(() => 0); // Σ u²
  const members = state.priors.map(() => 0);
  const determined = state.priors.map(() => 0); // deviations that the data, not the prior, decide
  groups.forEach((group, i) => {
    spread[group] += coefficients[fixed + i] ** 2;
    members[group] += 1;
    determined[group] += Math.max(0, 1 - penalty(fixed + i) * uncertainty[fixed + i]);
  });
  const freedom = Math.max(1, mass - (free.length - groups.length) - sum(determined));
  return {
    coefficients,
    variance: Math.max(squares / freedom, 1e-16),
    priors: spread.map((squared, group) => Math.max(squared / (determined[group] + members[group] / 2), 1e-12)),
  };
}

interface Counted {
  /** coefficients of a row, each once, rising */
  index: number[];
  /** how much of each */
  count: number[];
}
const countedRows = new WeakMap<Row, Counted>();

/** A row's columns with how often each stands in it; kept, since every round asks. */
function counted(row: Row): Counted {
  let result = countedRows.get(row);
  if (result === undefined) {
    const counts = new Map<number, number>();
    row.columns.forEach((column, i) => counts.set(column, (counts.get(column) ?? 0) + (row.factors?.[i] ?? 1)));
    const index = [...counts.keys()].sort((a, b) => a - b);
    result = { index, count: index.map((column) => counts.get(column) as number) };
    countedRows.set(row, result);
  }
  return result;
}

function normalEquations(model: MixedModel, scale: number, weights: number[], size: number) {
  const matrix = new Float64Array(size * size);
  const right = new Float64Array(size);
  const add = (row: Row, weight: number) => {
    const { index, count } = counted(row);
    for (let i = 0; i < index.length; i++) {
      const at = index[i] * size;
      right[index[i]] += (weight * count[i] * row.y) / scale;
      for (let j = 0; j <= i; j++) matrix[at + index[j]] += weight * count[i] * count[j]; // the lower triangle is all that is read
    }
  };
  model.rows.forEach((row, i) => add(row, weights[i]));
  const total = sum(weights);
  for (const row of model.constraints ?? []) add(row, CONSTRAINT_WEIGHT * total);
  return { matrix, right };
}
