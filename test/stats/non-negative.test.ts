/** Non-negative least squares against every subset of what may be above zero. */
import { describe, expect, test } from "vitest";
import { fitMixedModel, type Row } from "../../src/stats/mixed-model.js";
import { solveNonNegative } from "../../src/stats/non-negative.js";
import { uniform } from "../support/numbers.js";

/** Gauss with pivots: shares nothing with the Cholesky factors of src. */
function solveSystem(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]]);
  const n = rows.length;
  for (let k = 0; k < n; k++) {
    const pivot = rows.reduce((best, row, i) => (i >= k && Math.abs(row[k]) > Math.abs(rows[best][k]) ? i : best), k);
    [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = rows[i][k] / rows[k][k];
      for (let j = k; j <= n; j++) rows[i][j] -= factor * rows[k][j];
    }
  }
  return rows.map((row, i) => row[n] / row[i]);
}

const objective = (a: readonly (readonly number[])[], b: readonly number[], x: readonly number[]): number =>
  x.reduce((total, xi, i) => total + xi * (0.5 * a[i].reduce((s, aij, j) => s + aij * x[j], 0) - b[i]), 0);

/** The least objective over every choice of which bounded entries are zero, among those within the bounds. */
function bestOfSubsets(a: number[][], b: number[], bounded: number): number[] {
  let best: number[] = [];
  let least = Number.POSITIVE_INFINITY;
  for (let subset = 0; subset < 1 << bounded; subset++) {
    const free = b.map((_, i) => i).filter((i) => i >= bounded || (subset & (1 << i)) !== 0);
    const part = solveSystem(
      free.map((i) => free.map((j) => a[i][j])),
      free.map((i) => b[i]),
    );
    const x = b.map((_, i) => (free.includes(i) ? part[free.indexOf(i)] : 0));
    if (x.slice(0, bounded).some((value) => value < 0)) continue;
    const value = objective(a, b, x);
    if (value < least) [least, best] = [value, x];
  }
  return best;
}

/** Normal equations of `rows` random rows over `size` columns that are all alike: then bounds matter. */
function instance(seed: number, size: number) {
  const next = uniform(seed);
  const rows = Array.from({ length: size + 3 }, () => {
    const common = next();
    return Array.from({ length: size }, () => common + (next() - 0.4));
  });
  const y = rows.map(() => 2 * next() - 0.6);
  const a = Array.from({ length: size }, (_, i) =>
    Array.from({ length: size }, (_, j) => rows.reduce((s, row) => s + row[i] * row[j], 0) + (i === j ? 1e-3 : 0)),
  );
  return { a, b: Array.from({ length: size }, (_, i) => rows.reduce((s, row, k) => s + row[i] * y[k], 0)) };
}

/** What dropping the worst negative, again and again, comes to: drops that a proper solver takes back. */
function droppedForGood(a: number[][], b: number[], bounded: number): number[] {
  const held = new Set<number>();
  for (;;) {
    const free = b.map((_, i) => i).filter((i) => !held.has(i));
    const part = solveSystem(
      free.map((i) => free.map((j) => a[i][j])),
      free.map((i) => b[i]),
    );
    const worst = free.reduce(
      (w, i, k) => (i < bounded && part[k] < (w?.value ?? 0) ? { i, value: part[k] } : w),
      null as { i: number; value: number } | null,
    );
    if (worst === null) return b.map((_, i) => (held.has(i) ? 0 : part[free.indexOf(i)]));
    held.add(worst.i);
  }
}

describe("non-negative least squares", () => {
  const flat = (a: number[][]) => Float64Array.from(a.flat());

  test.each(Array.from({ length: 200 }, (_, i) => i + 1))("is the best of all subsets: seed %i", (seed) => {
    const size = 3 + (seed % 6);
    const { a, b } = instance(seed, size);
    const bounded = seed % 3 === 0 ? size - 1 : size; // the last may be negative
    const { solution, free } = solveNonNegative(flat(a), Float64Array.from(b), bounded);
    const best = bestOfSubsets(a, b, bounded);
    best.forEach((value, i) => expect(Math.abs(solution[i] - value)).toBeLessThan(1e-7 * (1 + Math.abs(value))));
    expect(free).toEqual(b.map((_, i) => i).filter((i) => i >= bounded || best[i] > 0));
  });

  test("takes back what was dropped: dropping for good is worse in some of these", () => {
    const worse = Array.from({ length: 200 }, (_, i) => i + 1).filter((seed) => {
      const size = 3 + (seed % 6);
      const { a, b } = instance(seed, size);
      const best = objective(a, b, bestOfSubsets(a, b, size));
      return objective(a, b, droppedForGood(a, b, size)) > best + 1e-6;
    });
    expect(worse.length).toBeGreaterThan(0);
  });

  test("the mixed model's free parts are those of the best subset", () => {
    const found: number[] = [];
    for (let seed = 1; seed <= 60; seed++) {
      const next = uniform(seed);
      const parts = 5;
      // passes of about the same length, so that errors in share of a pass are errors in µs to within a little
      const rows: Row[] = Array.from({ length: 12 }, () => ({
        columns: [0, 1, 2, 3, 4],
        factors: Array.from({ length: parts }, () => 1 + (next() - 0.5)),
        y: 100 + 6 * (next() - 0.5),
      }));
      const cost = fitMixedModel({ rows, fixed: parts, groups: [] }).coefficients;
      // the same weights, then every subset
      const fitted = rows.map(({ factors = [] }) => factors.reduce((s, f, i) => s + f * cost[i], 0));
      const errors = rows.map(({ y }, i) => (y - fitted[i]) / fitted[i]);
      const sizes = errors.map(Math.abs).sort((x, y) => x - y);
      const bound = 1.345 * 1.4826 * sizes[sizes.length >> 1];
      const weights = errors.map((error, i) => Math.min(1, bound / Math.abs(error)) / fitted[i] ** 2);
      const a = Array.from({ length: parts }, (_, i) =>
        Array.from({ length: parts }, (_, j) =>
          rows.reduce((s, { factors = [] }, k) => s + weights[k] * factors[i] * factors[j], 0),
        ),
      );
      const b = Array.from({ length: parts }, (_, i) =>
        rows.reduce((s, { factors = [], y }, k) => s + weights[k] * factors[i] * y, 0),
      );
      const best = bestOfSubsets(a, b, parts);
      const value = objective(a, b, best);
      expect(objective(a, b, [...cost]) - value).toBeLessThan(1e-3 * Math.abs(value) * 0.03 ** 2 * 12 + 1e-5);
      found.push(best.filter((x) => x === 0).length);
    }
    expect(found.some((zeros) => zeros > 0)).toBe(true);
  });
});
