/**
 * Pairs of skipped blocks that cost more, or less, together than the sum of their losses. A model of 2L blocks has far
 * more pairs than drafts are ever measured, so only neighbours are looked at, and a term is kept only where its estimate
 * is so many standard errors from zero that noise alone would pass once in a hundred fits, whatever the number of terms tried.
 * (Quantised blocks lose too little for a pair of them to show.)
 */
import type { ChoiceSet } from "../schema/choice.js";
import { studentQuantile } from "../stats/student.js";

/** What skipping both blocks adds to the sum of their losses; below zero where the second costs little after the first. */
export interface PairTerm {
  /** indices in block order, first < second */
  first: number;
  second: number;
  loss: number;
  /** of the estimate, as estimate / standard error: at least the threshold it passed */
  standardErrors: number;
}

/** One measured draft as the fit sees it. */
export interface MeasuredLoss {
  set: ChoiceSet;
  /** Σ ℓ */
  additive: number;
  /** what the measured acceptance amounts to, on the scale of Σ ℓ */
  seen: number;
  standardError: number;
}

/** Chance that a fit of pure noise keeps any term. */
const FALSE_TERMS = 0.01;
const MOST_TERMS = 4;
/** Fewer drafts than this cannot tell a pair from a misfit. */
const LEAST_DRAFTS = 8;
/** A pair must be in as many drafts, and missing in as many. */
const LEAST_SUPPORT = 3;
/** Share of Σ ℓ by which the surrogate may be off though nothing is wrong with it. */
const MISFIT = 0.05;

interface Feature {
  pairs: { first: number; second: number; scale: number }[];
}

export const pairLoss = (pairs: readonly PairTerm[], set: ChoiceSet): number =>
  pairs.reduce((sum, { first, second, loss }) => sum + (bothSkipped(set, first, second) ? loss : 0), 0);

const bothSkipped = ({ blocks }: ChoiceSet, first: number, second: number): boolean =>
  blocks[first] === "skip" && blocks[second] === "skip";

/**
 * Neighbours in block order within a layer, across layers, and of the same kind: each of these three as a whole, and
 * every pair by itself. A pair's effect goes with √(ℓ_i · ℓ_j), so that one factor can serve a whole class.
 * @param skipLoss [2L] ℓ of skipping each block
 */
function features(skipLoss: readonly number[]): Feature[] {
  const blocks = skipLoss.length;
  const classes = [
    { from: 0, step: 2, distance: 1 },
    { from: 1, step: 2, distance: 1 },
    { from: 0, step: 1, distance: 2 },
  ].map(({ from, step, distance }) => {
    const pairs: Feature["pairs"] = [];
    for (let first = from; first + distance < blocks; first += step) {
      const second = first + distance;
      pairs.push({ first, second, scale: Math.sqrt(skipLoss[first] * skipLoss[second]) });
    }
    return { pairs: pairs.filter(({ scale }) => scale > 0) };
  });
  return [...classes, ...classes.flatMap(({ pairs }) => pairs.map((pair) => ({ pairs: [pair] })))];
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i], 0);

/** What is left of a column beside an orthonormal basis. */
function beside(basis: readonly number[][], column: readonly number[]): number[] {
  let left = [...column];
  for (const axis of basis) {
    const along = dot(axis, left);
    left = left.map((x, i) => x - along * axis[i]);
  }
  return left;
}

/** Forward selection of pair terms, each beside the overall scale and the terms before it, shrunk by its own uncertainty. */
export function fitPairs(measured: readonly MeasuredLoss[], skipLoss: readonly number[]): PairTerm[] {
  if (measured.length < LEAST_DRAFTS) return [];
  const weights = measured.map((m) => 1 / Math.hypot(m.standardError, MISFIT * m.additive));
  const columns = features(skipLoss)
    .map((feature) => ({ feature, column: columnOf(feature, measured) }))
    .filter(({ column }) => supported(column))
    .map(({ feature, column }) => ({ feature, column: column.map((x, i) => x * weights[i]) }));
  let residual = measured.map((m, i) => (m.seen - m.additive) * weights[i]);
  const basis: number[][] = [];
  const span = (column: readonly number[]) => {
    const left = beside(basis, column);
    const norm = Math.sqrt(dot(left, left));
    if (norm > 0) basis.push(left.map((x) => x / norm));
  };
  span(measured.map((m, i) => m.additive * weights[i]));
  const found: PairTerm[] = [];
  for (let term = 0; term < MOST_TERMS; term++) {
    const best = strongest(columns, basis, residual);
    if (best === null) break;
    const factor = best.estimate * (1 - 1 / best.t ** 2);
    for (const { first, second, scale } of best.feature.pairs)
      found.push({ first, second, loss: factor * scale, standardErrors: Math.abs(best.t) });
    residual = residual.map((x, i) => x - best.estimate * best.column[i]);
    span(best.column);
  }
  return found;
}

const columnOf = ({ pairs }: Feature, measured: readonly MeasuredLoss[]): number[] =>
  measured.map(({ set }) =>
    pairs.reduce((sum, { first, second, scale }) => sum + (bothSkipped(set, first, second) ? scale : 0), 0),
  );

function supported(column: readonly number[]): boolean {
  const present = column.filter((x) => x > 0).length;
  return present >= LEAST_SUPPORT && column.length - present >= LEAST_SUPPORT;
}

interface Column {
  feature: Feature;
  column: number[];
}

/** The term furthest from zero in standard errors, where that is further than noise goes. */
function strongest(columns: readonly Column[], basis: readonly number[][], residual: readonly number[]) {
  const freedom = residual.length - basis.length - 1;
  if (freedom < 2 || columns.length === 0) return null;
  const threshold = studentQuantile(1 - FALSE_TERMS / columns.length / 2, freedom);
  const rest = beside(basis, residual);
  const squares = dot(rest, rest);
  let best: (Column & { estimate: number; t: number }) | null = null;
  for (const { feature, column } of columns) {
    const left = beside(basis, column);
    const norm = dot(left, left);
    if (norm < 0.05 * dot(column, column)) continue; // the terms before it say the same
    const estimate = dot(left, rest) / norm;
    const variance = Math.max(1, (squares - estimate ** 2 * norm) / freedom);
    const t = estimate / Math.sqrt(variance / norm);
    if (Math.abs(t) > threshold && (best === null || Math.abs(t) > Math.abs(best.t)))
      best = { feature, column, estimate, t };
  }
  return best;
}
