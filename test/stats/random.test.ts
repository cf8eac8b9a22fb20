/** Draws of neighbouring seeds: what a generator that takes seeds as they are gets wrong. */
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/stats/random.js";

const SEEDS = 4096;
const DRAWS = 3;
/**
 * Every statistic of this file is held to what a perfect generator exceeds once in a million: with some hundred of them,
 * and seeds that never change, a failure is a fault. Two-sided normal, 4.89 standard errors.
 */
const Z = 4.892;

/** [DRAWS][SEEDS] */
const drawsOf = (seedAt: (i: number) => [number, ...number[]]): number[][] => {
  const perSeed = Array.from({ length: SEEDS }, (_, i) => {
    const random = seededRandom(...seedAt(i));
    return Array.from({ length: DRAWS }, () => random.float());
  });
  return Array.from({ length: DRAWS }, (_, draw) => perSeed.map((values) => values[draw]));
};

/** Kolmogorov and Smirnov's distance from the uniform distribution. */
function distance(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.max(...sorted.map((x, i) => Math.max(x - i / sorted.length, (i + 1) / sorted.length - x)));
}
/** P(distance > d) ≤ 2 exp(-2 n d²) (Massart 1990), at one in a million. */
const MOST_DISTANCE = Math.sqrt(Math.log(2e6) / (2 * SEEDS));

/** Σ (seen - expected)² / expected over equal cells. */
function chiSquare(cells: readonly number[], count: number): number {
  const seen = new Array<number>(count).fill(0);
  for (const cell of cells) seen[cell] += 1;
  const expected = cells.length / count;
  return seen.reduce((total, n) => total + (n - expected) ** 2 / expected, 0);
}
/** Wilson and Hilferty 1931: (χ²/k)^(1/3) is nearly normal with mean 1 - 2/(9k), variance 2/(9k). */
const mostChiSquare = (freedom: number): number =>
  freedom * (1 - 2 / (9 * freedom) + 4.753 * Math.sqrt(2 / (9 * freedom))) ** 3;

/** Pearson; under independence its standard error is 1/√n. */
function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((total, x) => total + x, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  const product = (x: readonly number[], mx: number, y: readonly number[], my: number) =>
    x.reduce((total, value, i) => total + (value - mx) * (y[i] - my), 0);
  return product(a, meanA, b, meanB) / Math.sqrt(product(a, meanA, a, meanA) * product(b, meanB, b, meanB));
}

describe.each<[string, (i: number) => [number, ...number[]]]>([
  ["1, 2, 3…", (i) => [i + 1]],
  ["0, -1, -2…", (i) => [-i]],
  ["as times of a clock give", (i) => [1_700_000_000_000 + i]],
  ["multiples of 2 to the 16", (i) => [i * 65536]],
  ["streams of one seed", (i) => [1, i]],
  ["seeds of one stream", (i) => [i, 4096]],
  ["streams of streams", (i) => [7, i >> 6, i & 63]],
])("over 4,096 neighbouring seeds: %s", (_name, seedAt) => {
  const draws = drawsOf(seedAt);

  test.each([0, 1, 2])("draw %i is uniform", (draw) => {
    expect(distance(draws[draw])).toBeLessThan(MOST_DISTANCE);
    // 64 coarse cells, and the 6 bits below the first 20: steps would show there
    for (const cell of [(x: number) => Math.floor(x * 64), (x: number) => Math.floor(x * 2 ** 26) & 63])
      expect(chiSquare(draws[draw].map(cell), 64)).toBeLessThan(mostChiSquare(63));
  });

  test("draws are uncorrelated with each other, and with those of the seeds beside them", () => {
    for (let a = 0; a < DRAWS; a++) {
      for (let b = 0; b < DRAWS; b++) {
        for (const apart of a < b ? [0, 1, 2, 3, 16] : [1, 2, 3, 16]) {
          const n = SEEDS - apart;
          const r = correlation(draws[a].slice(0, n), draws[b].slice(apart));
          expect(Math.abs(r), `draws ${a} and ${b}, seeds ${apart} apart`).toBeLessThan(Z / Math.sqrt(n));
        }
      }
    }
  });

  test("pairs of draws fill the square", () => {
    for (const [a, b] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ]) {
      const cells = draws[a].map((x, i) => 8 * Math.floor(8 * x) + Math.floor(8 * draws[b][i]));
      expect(chiSquare(cells, 64)).toBeLessThan(mostChiSquare(63));
    }
  });
});

test("the tests above find fault with a generator that takes seeds as they are", async () => {
  const { xoroshiro128plus } = await import("pure-rand/generator/xoroshiro128plus");
  const { uniformFloat64 } = await import("pure-rand/distribution/uniformFloat64");
  const perSeed = Array.from({ length: SEEDS }, (_, i) => {
    const generator = xoroshiro128plus(i + 1);
    return [uniformFloat64(generator), uniformFloat64(generator)];
  });
  const first = perSeed.map(([x]) => x);
  const second = perSeed.map(([, x]) => x);
  expect(distance(first)).toBeGreaterThan(0.99);
  expect(
    chiSquare(
      second.map((x) => Math.floor(x * 64)),
      64,
    ),
  ).toBeGreaterThan(mostChiSquare(63));
});

describe("a generator", () => {
  test("is the same for the same seed, and another for every stream", () => {
    const sequence = (seed: number, ...stream: number[]) => {
      const random = seededRandom(seed, ...stream);
      return Array.from({ length: 20 }, () => random.bits());
    };
    expect(sequence(5)).toEqual(sequence(5));
    const all = [
      sequence(5),
      sequence(5, 0),
      sequence(5, 1),
      sequence(6),
      sequence(6, 0),
      sequence(5, 0, 1),
      sequence(0, 5),
    ];
    expect(new Set(all.map(String)).size).toBe(all.length);
  });

  test("draws indices evenly, within their count", () => {
    const random = seededRandom(11);
    const drawn = Array.from({ length: 60_000 }, () => random.index(7));
    expect(chiSquare(drawn, 7)).toBeLessThan(mostChiSquare(6));
    expect(Math.min(...drawn)).toBe(0);
    expect(Math.max(...drawn)).toBe(6);
    expect(random.index(1)).toBe(0);
  });

  test("shuffles into every order alike, and leaves the original alone", () => {
    const random = seededRandom(12);
    const items = [0, 1, 2, 3];
    const orders = Array.from({ length: 24_000 }, () => random.shuffle(items).join(""));
    const names = [...new Set(orders)];
    expect(names).toHaveLength(24);
    expect(
      chiSquare(
        orders.map((order) => names.indexOf(order)),
        24,
      ),
    ).toBeLessThan(mostChiSquare(23));
    expect(items).toEqual([0, 1, 2, 3]);
  });

  test("draws normal numbers: moments of 40,000 within what chance allows once in a million", () => {
    const random = seededRandom(13);
    const values = Array.from({ length: 40_000 }, () => random.normal());
    const moment = (power: number) => values.reduce((total, x) => total + x ** power, 0) / values.length;
    // the variance of xᵖ is E x²ᵖ - (E xᵖ)²: 1, 2, 15, 96
    for (const [power, expected, variance] of [
      [1, 0, 1],
      [2, 1, 2],
      [3, 0, 15],
      [4, 3, 96],
    ])
      expect(Math.abs(moment(power) - expected)).toBeLessThan(Z * Math.sqrt(variance / values.length));
  });

  test("refuses a seed that is no integer", () => {
    expect(() => seededRandom(0.5)).toThrow(RangeError);
    expect(() => seededRandom(Number.NaN)).toThrow(RangeError);
    expect(() => seededRandom(1, 0.5)).toThrow(RangeError);
  });
});
