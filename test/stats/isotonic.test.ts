import { describe, expect, test } from "vitest";
import { isotonic } from "../../src/stats/isotonic.js";
import { uniform } from "../support/numbers.js";

/** Projection by trying every way to cut the sequence into runs of one mean: the best rising one. */
function isotonicByTrying(values: readonly number[]): number {
  let best = Number.POSITIVE_INFINITY;
  for (let cuts = 0; cuts < 1 << (values.length - 1); cuts++) {
    const fitted: number[] = [];
    for (let from = 0; from < values.length; ) {
      let to = from + 1;
      while (to < values.length && (cuts & (1 << (to - 1))) === 0) to++;
      const run = values.slice(from, to);
      fitted.push(...run.map(() => run.reduce((a, b) => a + b, 0) / run.length));
      from = to;
    }
    if (fitted.some((v, i) => i > 0 && v < fitted[i - 1] - 1e-12)) continue;
    best = Math.min(
      best,
      values.reduce((sum, v, i) => sum + (v - fitted[i]) ** 2, 0),
    );
  }
  return best;
}

describe("isotonic smoothing", () => {
  test.each([
    { values: [1, 2, 3], rising: [1, 2, 3] },
    { values: [1, 3, 2], rising: [1, 2.5, 2.5] },
    { values: [3, 2, 1], rising: [2, 2, 2] },
    { values: [5], rising: [5] },
    { values: [4, 4, 1, 9], rising: [3, 3, 3, 9] },
  ])("$values become $rising", ({ values, rising }) => {
    expect(isotonic(values)).toEqual(rising);
  });

  test.each(Array.from({ length: 30 }, (_, i) => i + 1))(
    "is as near as the best of all rising sequences: seed %i",
    (seed) => {
      const next = uniform(seed);
      const values = Array.from({ length: 1 + Math.floor(9 * next()) }, () => Math.floor(20 * next()));
      const rising = isotonic(values);
      expect(rising.every((v, i) => i === 0 || v >= rising[i - 1])).toBe(true);
      expect(values.reduce((sum, v, i) => sum + (v - rising[i]) ** 2, 0)).toBeCloseTo(isotonicByTrying(values), 9);
    },
  );
});
