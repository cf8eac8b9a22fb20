/** Change points by seeded simulation, and against counting every order. */
import { describe, expect, test } from "vitest";
import {
  FALSE_ALARM_RATE,
  findChanges,
  LEAST_OBSERVATIONS,
  MOST_OBSERVATIONS,
  type Observation,
} from "../../src/stats/change-points.js";
import { seededRandom } from "../../src/stats/random.js";
import { trials } from "../support/long.js";

/** As for logarithms of speedups. */
const OPTIONS = { seed: 1, leastDifference: Math.log(1.01), leastNoise: 0.001 };
const TEN_PERCENT = Math.log(0.9);
const NOISE = 0.02;

/** Standard normal numbers (Box and Muller). */
function normal(seed: number): () => number {
  const random = seededRandom(seed);
  return () => Math.sqrt(-2 * Math.log(1 - random.float())) * Math.cos(2 * Math.PI * random.float());
}

type Draw = (normal: () => number, i: number) => Observation;
const simulate = (seed: number, length: number, draw: Draw): Observation[] => {
  const next = normal(seed);
  return Array.from({ length }, (_, i) => draw(next, i));
};
/** Intervals of single runs are too narrow by a third: runs differ from each other beyond them. */
const around =
  (level: (i: number) => number): Draw =>
  (next, i) => ({ value: level(i) + NOISE * next(), noise: (2 * NOISE) / 3 });
const marks = (series: readonly Observation[]): number[] => findChanges(series, OPTIONS).map(({ index }) => index);
const seeds = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);
const exactly = (value: number, noise = 0.01): Observation => ({ value, noise });

describe("a series without a change gets a mark in at most 1 % of cases", () => {
  // With a true rate of 1 % so many or more alarms come up in 1 % of such simulations.
  const mostOf = (count: number) => Math.ceil(count * FALSE_ALARM_RATE + 2.33 * Math.sqrt(count * FALSE_ALARM_RATE));

  test.each<[string, number, number, Draw]>([
    ["normal noise, 10 verifications", 10, trials(100, 500), around(() => 0)],
    ["normal noise, 20 verifications", 20, trials(75, 500), around(() => 0)],
    ["normal noise, 60 verifications", 60, trials(20, 100), around(() => 0)],
    [
      "skewed noise: sometimes much slower",
      30,
      trials(40, 200),
      (next) => ({ value: -NOISE * Math.exp(next()), noise: NOISE }),
    ],
    ["intervals that are far too narrow", 30, trials(40, 200), (next) => ({ value: 0.05 * next(), noise: 0.001 })],
    [
      "noise that differs, and is known",
      30,
      trials(40, 200),
      (next, i) => {
        const noise = i % 5 === 0 ? 0.1 : 0.01;
        return { value: noise * next(), noise };
      },
    ],
    [
      "figures of few digits, many of them equal",
      30,
      trials(40, 200),
      (next) => ({ value: Math.round(2 * next()) / 20, noise: 0 }),
    ],
  ])("%s", (_what, length, count, draw) => {
    const alarms = seeds(count).filter((seed) => marks(simulate(seed, length, draw)).length > 0).length;
    expect(alarms).toBeLessThanOrEqual(mostOf(count));
  });
});

describe("a slowdown by 10 %, with noise of 2 %, is marked at its place", () => {
  // of 40 series at least 38 have exactly these marks, each at most one verification off
  test.each<[string, number, number[], (i: number) => number]>([
    ["in the middle of 20", 20, [10], (i) => (i < 10 ? 0 : TEN_PERCENT)],
    ["in the middle of 12", 12, [6], (i) => (i < 6 ? 0 : TEN_PERCENT)],
    ["four verifications before the end", 20, [16], (i) => (i < 16 ? 0 : TEN_PERCENT)],
    ["and its repair ten later", 30, [10, 20], (i) => (i >= 10 && i < 20 ? TEN_PERCENT : 0)],
    ["and its repair five later", 30, [12, 17], (i) => (i >= 12 && i < 17 ? TEN_PERCENT : 0)],
    ["and another by as much again", 36, [12, 24], (i) => TEN_PERCENT * Math.floor(i / 12)],
  ])("%s", (_what, length, places, level) => {
    const found = seeds(40).map((seed) => marks(simulate(seed, length, around(level))));
    const right = found.filter(
      (each) => each.length === places.length && each.every((mark, i) => Math.abs(mark - places[i]) <= 1),
    );
    expect(right.length).toBeGreaterThanOrEqual(38);
  });

  test("with the means of both sides, weighted by the verifications' own noise", () => {
    const series = [...Array<number>(16).fill(0), ...Array<number>(16).fill(1)].map((level, i) =>
      exactly(level + (i % 2 === 0 ? 0.1 : 0), i % 2 === 0 ? 1e6 : 0.01),
    );
    const [change] = findChanges(series, OPTIONS);
    // every other measurement tells nothing, so its 0.1 too much does not count
    expect(change).toMatchObject({ index: 16, before: expect.closeTo(0, 6), after: expect.closeTo(1, 6) });
  });
});

describe("a series in steps that are each of no use to anyone", () => {
  /** three levels, each 0.9 % above the one before */
  const steps = (...lengths: number[]) =>
    lengths.flatMap((length, level) =>
      Array.from({ length }, (_, i) => exactly(0.009 * level + 0.0002 * (i % 3), 0.0001)),
    );

  test("keeps one mark where two steps together are of use: of equally certain ones the later stays", () => {
    expect(marks(steps(20, 20))).toEqual([]);
    expect(marks(steps(20, 20, 20))).toEqual([40]);
  });
});

test("means of both sides are weighted by 1 / (noise² + τ²), τ² from the spread by moments", () => {
  const next = normal(11);
  const series = Array.from({ length: 24 }, (_, i) => {
    const noise = [0.01, 0.03, 0.1][i % 3];
    return { value: (i < 12 ? 0 : 1) + 0.05 * next() + noise * next(), noise };
  });
  // DerSimonian and Laird 1986, (Q − (k − 1)) / (Σw − Σw² / Σw), as in the formula's textbook form
  const w = series.map(({ noise }) => noise ** -2);
  const add = (values: number[]) => values.reduce((a, b) => a + b, 0);
  const fixed = add(series.map(({ value }, i) => w[i] * value)) / add(w);
  const q = add(series.map(({ value }, i) => w[i] * value ** 2)) - add(w) * fixed ** 2;
  const tau2 = (q - 23) / (add(w) - add(w.map((x) => x * x)) / add(w));
  const mean = (part: Observation[]) =>
    add(part.map(({ value, noise }) => value / (noise ** 2 + tau2))) /
    add(part.map(({ noise }) => 1 / (noise ** 2 + tau2)));
  const [change] = findChanges(series, OPTIONS);
  expect(change).toMatchObject({
    index: 12,
    before: expect.closeTo(mean(series.slice(0, 12)), 9),
    after: expect.closeTo(mean(series.slice(12)), 9),
  });
});

describe("what is not marked", () => {
  const step = (length: number, at: number, by = 1) => Array.from({ length }, (_, i) => exactly(i < at ? 0 : by));

  test("anything, with too few verifications; with just enough a change in the middle is", () => {
    expect(marks(step(LEAST_OBSERVATIONS - 1, 5))).toEqual([]);
    expect(marks(step(LEAST_OBSERVATIONS, 5))).toEqual([5]);
    expect(findChanges([], OPTIONS)).toEqual([]);
  });

  test("one or two odd verifications", () => {
    const odd = (...places: number[]) =>
      Array.from({ length: 20 }, (_, i) => exactly(places.includes(i) ? -1 : 0.001 * (i % 3)));
    expect([odd(7), odd(7, 8), odd(0), odd(18, 19)].map(marks)).toEqual([[], [], [], []]);
    // among so many that chance would hardly ever put the two side by side; three are a stretch, at the ends too
    expect(marks(step(250, 100).map((_, i) => exactly(i === 100 || i === 101 ? -1 : 0)))).toEqual([]);
    expect([step(43, 40), step(43, 3)].map(marks)).toEqual([[40], [3]]);
  });

  test("a difference that is of no use to anyone, however certain", () => {
    const small = (by: number) =>
      Array.from({ length: 40 }, (_, i) => exactly((i < 20 ? 0 : by) + 0.0005 * (i % 2), 0.0001));
    expect(marks(small(0.008))).toEqual([]);
    expect(marks(small(0.012))).toEqual([20]);
  });

  test("a series of equal values, with and without noise", () => {
    expect(marks(Array.from({ length: 20 }, () => exactly(0.3)))).toEqual([]);
    expect(marks(Array.from({ length: 20 }, () => exactly(0.3, 0)))).toEqual([]);
  });
});

/** All ways to choose `count` of `length` places. */
function* subsets(length: number, count: number, from = 0): Generator<number[]> {
  if (count === 0) yield [];
  else
    for (let i = from; i <= length - count; i++)
      for (const rest of subsets(length, count - 1, i + 1)) yield [i, ...rest];
}

test("the p-value is the share of all orders in which the sides differ as much, counted one by one", () => {
  const values = [0, 0.02, 0.05, 0.01, 0.03, -0.2, -0.15, -0.22, -0.18, -0.16, -0.21];
  const mean = (places: readonly number[]) => places.reduce((sum, i) => sum + values[i], 0) / places.length;
  const all = values.map((_, i) => i);
  const difference = (chosen: readonly number[]) =>
    Math.abs(mean(chosen) - mean(all.filter((i) => !chosen.includes(i))));
  const every = [...subsets(11, 5)];
  const asMuch = every.filter((chosen) => difference(chosen) >= difference([0, 1, 2, 3, 4]) - 1e-12).length;
  const [change] = findChanges(
    values.map((value) => exactly(value)),
    OPTIONS,
  );
  expect(change.index).toBe(5);
  // 2,000 random orders or more estimate it to within three standard errors
  const exact = asMuch / every.length;
  expect(Math.abs(change.pValue - exact)).toBeLessThan(3 * Math.sqrt(exact / 2000));
});

test("the same series gives the same marks, and is left as it was", () => {
  const series = simulate(
    3,
    40,
    around((i) => (i < 25 ? 0 : TEN_PERCENT)),
  );
  const copy = structuredClone(series);
  expect(findChanges(series, OPTIONS)).toEqual(findChanges(copy, OPTIONS));
  expect(series).toEqual(copy);
});

test("a series longer than can be searched is refused", () => {
  const series = Array.from({ length: MOST_OBSERVATIONS + 1 }, () => exactly(0));
  expect(() => findChanges(series, OPTIONS)).toThrow(RangeError);
});
