/** Student's t against published tables, closed forms, and its density added up. */
import { describe, expect, test } from "vitest";
import { studentProbability, studentQuantile } from "../../src/stats/student.js";

describe("quantiles of Student's t", () => {
  // NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2: one-sided, three decimals
  test.each([
    [1, 3.078, 6.314, 12.706, 31.821, 63.657],
    [2, 1.886, 2.92, 4.303, 6.965, 9.925],
    [3, 1.638, 2.353, 3.182, 4.541, 5.841],
    [6, 1.44, 1.943, 2.447, 3.143, 3.707],
    [10, 1.372, 1.812, 2.228, 2.764, 3.169],
    [14, 1.345, 1.761, 2.145, 2.624, 2.977],
    [30, 1.31, 1.697, 2.042, 2.457, 2.75],
    [100, 1.29, 1.66, 1.984, 2.364, 2.626],
  ])("with %i degrees of freedom are the table's", (freedom, ...row) => {
    [0.9, 0.95, 0.975, 0.99, 0.995].forEach((probability, i) => {
      expect(Math.abs(studentQuantile(probability, freedom) - row[i])).toBeLessThanOrEqual(0.0005 + 1e-9);
      expect(studentQuantile(1 - probability, freedom)).toBeCloseTo(-studentQuantile(probability, freedom), 8);
    });
  });

  test("with one and two degrees of freedom are those of the closed forms, far into the tails", () => {
    for (const p of [1e-9, 1e-4, 0.01, 0.2, 0.4, 0.499]) {
      const cauchy = -1 / Math.tan(Math.PI * p);
      const two = (2 * p - 1) / Math.sqrt(2 * p * (1 - p));
      expect(studentQuantile(p, 1) / cauchy).toBeCloseTo(1, 8);
      expect(studentQuantile(p, 2) / two).toBeCloseTo(1, 8);
    }
  });

  test("come near the normal's with many degrees of freedom", () => {
    expect(studentQuantile(0.975, 1e6)).toBeCloseTo(1.959964, 4);
    expect(studentQuantile(0.5, 3)).toBe(0);
  });

  test("outside of their range are refused", () => {
    for (const p of [0, 1, -0.1, Number.NaN]) expect(() => studentQuantile(p, 5)).toThrow(RangeError);
    for (const freedom of [0, -1, Number.NaN]) expect(() => studentQuantile(0.9, freedom)).toThrow(RangeError);
  });
});

/**
 * The chance of a t below `t` by Simpson's rule over the density, brought to (-π/2, π/2) by t = √ν tan θ: it is then
 * cos^(ν-1) θ, and its whole is added up by the same rule.
 */
function addedUp(t: number, freedom: number): number {
  const density = (angle: number) => Math.max(0, Math.cos(angle)) ** (freedom - 1);
  const simpson = (from: number, to: number, pieces = 20_000) => {
    const width = (to - from) / pieces;
    let total = density(from) + density(to);
    for (let i = 1; i < pieces; i++) total += (i % 2 === 1 ? 4 : 2) * density(from + i * width);
    return (total * width) / 3;
  };
  const end = Math.atan(t / Math.sqrt(freedom));
  return simpson(-Math.PI / 2, end) / simpson(-Math.PI / 2, Math.PI / 2);
}

test.each([1, 2, 3, 5, 8, 39, 200])("chances with %i degrees of freedom are the density's, added up", (freedom) => {
  for (const t of [-30, -4, -1.3, -0.2, 0, 0.01, 0.7, 2.2, 9])
    expect(studentProbability(t, freedom)).toBeCloseTo(addedUp(t, freedom), 8);
  expect(studentProbability(Number.POSITIVE_INFINITY, freedom)).toBe(1);
  expect(studentProbability(Number.NEGATIVE_INFINITY, freedom)).toBe(0);
});

test("quantiles and chances undo each other", () => {
  for (const freedom of [1, 3, 7, 20, 500])
    for (const p of [1e-6, 0.001, 0.05, 0.3, 0.7, 0.95, 0.9999])
      expect(studentProbability(studentQuantile(p, freedom), freedom)).toBeCloseTo(p, 9);
});
