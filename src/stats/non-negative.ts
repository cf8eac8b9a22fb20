/**
 * Least squares whose coefficients may not fall below zero (Lawson and Hanson 1974, "Solving Least Squares Problems",
 * chapter 23; on normal equations: Bro and de Jong 1997).
 */
import { cholesky, solveCholesky } from "./linear.js";

export interface NonNegative {
  /** [size] the minimum */
  solution: Float64Array;
  /** coefficients that are not held at zero, rising */
  free: number[];
  /** Cholesky factor of the matrix's rows and columns of `free` */
  factor: Float64Array;
}

/** A gradient within this share of the right side is zero. */
const ROUNDING = 1e-10;

/**
 * The x that minimises ½ xᵀ A x - bᵀ x where its first `bounded` entries are ≥ 0.
 *
 * Begins with everything that is positive without the bounds, so that nothing is solved twice where none of them matters.
 * Whatever was held at zero on the way is let go again as long as that lowers the minimum.
 * @param matrix [size, size] positive definite; only its lower triangle is read
 * @param right  [size]
 */
export function solveNonNegative(matrix: Float64Array, right: Float64Array, bounded: number): NonNegative {
  const size = right.length;
  const held = new Set<number>();
  const solve = () => solveFree(matrix, right, held);
  let at = solve();
  // a beginning within the bounds
  for (let below = belowZero(at.solution, bounded); below.length > 0; below = belowZero(at.solution, bounded)) {
    for (const i of below) held.add(i);
    at = solve();
  }
  const tolerance = ROUNDING * right.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  // each step ends at a lower minimum than the one before, so no set comes twice; the count guards against rounding alone
  for (let step = 0; step < 3 * size; step++) {
    const descent = [...held].map((i) => ({ i, slope: right[i] - rowTimes(matrix, i, at.solution) }));
    const steepest = descent.reduce((a, b) => (b.slope > a.slope ? b : a), { i: -1, slope: tolerance });
    if (steepest.i < 0) return at;
    held.delete(steepest.i);
    at = intoBounds(at.solution, solve, held, bounded);
  }
  return at;
}

const belowZero = (x: Float64Array, bounded: number): number[] =>
  Array.from({ length: bounded }, (_, i) => i).filter((i) => x[i] < 0);

/** Goes from a point within the bounds towards the minimum of what is free, and holds what reaches zero on the way. */
function intoBounds(from: Float64Array, solve: () => NonNegative, held: Set<number>, bounded: number): NonNegative {
  let point = from;
  for (;;) {
    const aim = solve();
    const below = belowZero(aim.solution, bounded);
    if (below.length === 0) return aim;
    const shares = below.map((i) => point[i] / (point[i] - aim.solution[i]));
    const share = Math.min(...shares);
    point = point.map((value, i) => value + share * (aim.solution[i] - value));
    below.forEach((i, k) => {
      if (shares[k] <= share || point[i] <= 0) {
        held.add(i);
        point[i] = 0;
      }
    });
  }
}

function solveFree(matrix: Float64Array, right: Float64Array, held: ReadonlySet<number>): NonNegative {
  const size = right.length;
  const free = Array.from({ length: size }, (_, i) => i).filter((i) => !held.has(i));
  const small = new Float64Array(free.length ** 2);
  free.forEach((row, i) => {
    for (let j = 0; j <= i; j++) small[i * free.length + j] = matrix[row * size + free[j]];
  });
  const factor = cholesky(small, free.length);
  const found = solveCholesky(
    factor,
    free.length,
    Float64Array.from(free, (i) => right[i]),
  );
  const solution = new Float64Array(size);
  free.forEach((column, i) => {
    solution[column] = found[i];
  });
  return { solution, free, factor };
}

/** A row of a symmetric matrix of which the lower triangle is there, times x. */
function rowTimes(matrix: Float64Array, row: number, x: Float64Array): number {
  const size = x.length;
  let total = 0;
  for (let j = 0; j < size; j++) total += matrix[row >= j ? row * size + j : j * size + row] * x[j];
  return total;
}
