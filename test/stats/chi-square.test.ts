import { describe, expect, test } from "vitest";
import { addedChiSquares, chanceOfAtLeast, chiSquare, NO_CELLS, upperGamma } from "../../src/stats/chi-square.js";
import { seededRandom } from "../../src/stats/random.js";
import { trials } from "../support/long.js";

describe("the upper incomplete gamma function", () => {
  test("is a Poisson sum for whole a: Q(a, x) = e^-x Σ_{k<a} x^k / k!", () => {
    for (const a of [1, 2, 5, 20])
      for (const x of [0.1, 1, 4, 19, 20.5, 60]) {
        let [term, total] = [1, 1];
        for (let k = 1; k < a; k++) {
          term *= x / k;
          total += term;
        }
        const exact = total * Math.exp(-x);
        expect(Math.abs(upperGamma(a, x) / exact - 1)).toBeLessThan(1e-10);
      }
  });

  test("gives the tabled 5 % points of χ² (Abramowitz and Stegun 1964, table 26.8)", () => {
    for (const [freedom, point] of [
      [1, 3.84146],
      [2, 5.99147],
      [10, 18.307],
      [30, 43.773],
    ])
      expect(upperGamma(freedom / 2, point / 2)).toBeCloseTo(0.05, 5);
    expect(upperGamma(3, 0)).toBe(1);
  });
});

test("a statistic by hand, and its exact variance for two cells: that of a squared binomial", () => {
  const { statistic, freedom, variance } = chiSquare([30, 70], [0.5, 0.5]);
  expect([statistic, freedom]).toEqual([16, 1]);
  // (X - np)² / npq has variance 2 + (1 - 6pq) / npq
  expect(variance).toBeCloseTo(2 + (1 - 6 / 4) / (100 / 4), 12);
  expect(chiSquare([5], [1])).toEqual(NO_CELLS);
  expect(chanceOfAtLeast(NO_CELLS)).toBe(1);
  expect(addedChiSquares([chiSquare([30, 70], [0.5, 0.5]), chiSquare([50, 50], [0.5, 0.5])])).toMatchObject({
    ...{ statistic: 16, freedom: 2 },
  });
});

/** Binomial: 1 % of 2,000 is 20, of 20,000 200, with a spread of 4.4 and 14; four of them. */
test("with cells of five each it is beyond its 1 % point about once in a hundred", () => {
  const random = seededRandom(12);
  const chances = [0.5, 0.25, 0.125, 0.05, 0.05, 0.025];
  const upTo = chances.map((_, i) => chances.slice(0, i + 1).reduce((a, b) => a + b, 0));
  let beyond = 0;
  const runs = trials(2000, 20_000);
  for (let run = 0; run < runs; run++) {
    const counts = chances.map(() => 0);
    for (let i = 0; i < 200; i++) {
      const u = random.float();
      const cell = upTo.findIndex((limit) => u < limit);
      counts[Math.max(0, cell)]++;
    }
    if (chanceOfAtLeast(chiSquare(counts, chances)) < 0.01) beyond++;
  }
  expect(Math.abs(beyond / runs - 0.01)).toBeLessThan(4 * Math.sqrt(0.01 / runs) + 0.002);
});
