import { describe, expect, test } from "vitest";
import { cholesky, inverseDiagonal, solveCholesky } from "../../src/stats/linear.js";
import { fitMixedModel, type Row } from "../../src/stats/mixed-model.js";
import { uniform } from "../support/numbers.js";

describe("Cholesky", () => {
  const a = Float64Array.of(4, 2, 0, 2, 5, 3, 0, 3, 6);

  test("solves a system by hand", () => {
    // a · (1, -2, 3) = (0, 1, 12)
    expect(
      [...solveCholesky(cholesky(a, 3), 3, Float64Array.of(0, 1, 12))].map((x) => Math.round(x * 1e12) / 1e12),
    ).toEqual([1, -2, 3]);
  });

  test("gives the inverse's diagonal: cofactors over the determinant, 60", () => {
    const diagonal = inverseDiagonal(cholesky(a, 3), 3);
    [21 / 60, 24 / 60, 16 / 60].forEach((value, i) => expect(diagonal[i]).toBeCloseTo(value, 12));
  });

  test("refuses a matrix that is not positive definite", () => {
    expect(() => cholesky(Float64Array.of(1, 2, 2, 1), 2)).toThrow(RangeError);
  });
});

/** Rows over one free base and `members` deviations: y = base + pooled + dev[i], sometimes the base alone. */
function grouped(members: number, repeats: number, y: (member: number | null, repeat: number) => number): Row[] {
  const rows: Row[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    rows.push({ columns: [0], y: y(null, repeat) });
    for (let i = 0; i < members; i++) rows.push({ columns: [0, 1, 2 + i], y: y(i, repeat) });
  }
  return rows;
}

describe("the mixed model", () => {
  const members = 8;
  const groups = new Array<number>(members).fill(0);
  const layer = (c: Float64Array, i: number) => c[1] + c[2 + i];

  test("without noise it returns what was planted, deviations included", () => {
    const planted = [30, 41, 35, 28, 50, 33, 39, 44];
    const rows = grouped(members, 3, (i) => 100 + (i === null ? 0 : planted[i]));
    const c = fitMixedModel({ rows, fixed: 2, groups }).coefficients;
    expect(c[0]).toBeCloseTo(100, 3);
    planted.forEach((us, i) => expect(layer(c, i)).toBeCloseTo(us, 3));
  });

  test("with noise and no deviation the members hardly leave the pool: a third of what plain averages would scatter", () => {
    const next = uniform(3);
    const noisy = grouped(
      members,
      5,
      (i) => (100 + (i === null ? 0 : 40)) * (1 + 0.05 * (next() + next() + next() - 1.5)),
    );
    const c = fitMixedModel({ rows: noisy, fixed: 2, groups }).coefficients;
    const deviation = (values: number[]) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
    const averages = Array.from({ length: members }, (_, i) => {
      const own = noisy.filter(({ columns }) => columns[2] === 2 + i);
      return own.reduce((sum, { y }) => sum + y, 0) / own.length - 140;
    });
    expect(deviation([...c.subarray(2)])).toBeLessThan(deviation(averages) / 3);
    expect(c[1]).toBeGreaterThan(37);
    expect(c[1]).toBeLessThan(43);
  });

  test("where the evidence says so a member leaves the pool in spite of the noise", () => {
    const next = uniform(4);
    const rows = grouped(
      members,
      20,
      (i) => (100 + (i === null ? 0 : i === 5 ? 80 : 40)) * (1 + 0.05 * (next() - 0.5)),
    );
    const c = fitMixedModel({ rows, fixed: 2, groups }).coefficients;
    expect(layer(c, 5)).toBeGreaterThan(75);
    expect(layer(c, 5)).toBeLessThan(83);
    expect(Math.abs(layer(c, 0) - 40)).toBeLessThan(3);
  });

  test("one row in ten ten times too long moves nothing by more than 2 %", () => {
    const next = uniform(5);
    const rows = grouped(
      members,
      20,
      (i) => (100 + (i === null ? 0 : 40)) * (1 + 0.02 * (next() - 0.5)) * (next() < 0.1 ? 10 : 1),
    );
    const c = fitMixedModel({ rows, fixed: 2, groups }).coefficients;
    expect(Math.abs(c[0] - 100)).toBeLessThan(2);
    for (let i = 0; i < members; i++) expect(Math.abs(c[0] + layer(c, i) - 140)).toBeLessThan(2.8);
  });

  test("errors count in share of a pass: what short passes say of the base is not drowned by long ones", () => {
    const next = uniform(6);
    // 5 % noise on passes of 100 and of 4100: in µs the long ones are 41 times noisier
    const rows = Array.from({ length: 400 }, (_, i): Row => {
      const long = i % 8 !== 0;
      return { columns: long ? [0, 1] : [0], y: (long ? 4100 : 100) * (1 + 0.1 * (next() - 0.5)) };
    });
    const c = fitMixedModel({ rows, fixed: 2, groups: [], constraints: [] }).coefficients;
    const skewed = fitMixedModel({
      rows: [...rows, ...rows.filter(({ y }) => y > 4200)],
      fixed: 2,
      groups: [],
    }).coefficients;
    for (const { 0: base } of [c, skewed]) expect(Math.abs(base - 100)).toBeLessThan(2);
    // a third sort of pass that contradicts the two: the compromise is one in shares, not in µs
    const odd = [...rows, ...Array.from({ length: 50 }, (): Row => ({ columns: [1], y: 3600 }))];
    const compromise = fitMixedModel({ rows: odd, fixed: 2, groups: [] }).coefficients;
    expect(Math.abs(compromise[0] - 100)).toBeLessThan(20);
  });

  test("a constraint holds, whatever the rows say", () => {
    const rows = grouped(members, 3, (i) => 100 + (i === null ? 0 : 40));
    const c = fitMixedModel({ rows, fixed: 2, groups, constraints: [{ columns: [0, 1, 2], y: 150 }] }).coefficients;
    expect(c[0] + layer(c, 0)).toBeCloseTo(150, 1);
  });

  test("a free part that would be negative is zero, and the others explain the times without it", () => {
    const rows: Row[] = [10, 10, 10, 10].flatMap((us) => [
      { columns: [0], y: us },
      { columns: [0, 1], y: us - 2 },
    ]);
    const c = fitMixedModel({ rows, fixed: 2, groups: [] }).coefficients;
    expect(c[1]).toBe(0);
    expect(c[0]).toBeGreaterThan(8);
    expect(c[0]).toBeLessThan(10);
  });
});
