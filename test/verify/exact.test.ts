/** The filters a second time: the same probabilities as the naive twin's, and sure where no border is near. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Filters } from "../../src/schema/sampling.js";
import { seededRandom } from "../../src/stats/random.js";
import { exactDistribution } from "../../src/verify/distribution/exact.js";
import { naiveProbabilities } from "../oracle/naive-filters.js";
import { trials } from "../support/long.js";

const named = fc.record(
  {
    temperature: fc.double({ min: 0.2, max: 3, noNaN: true }),
    repetition_penalty: fc.double({ min: 0.5, max: 2, noNaN: true }),
    top_k: fc.integer({ min: 1, max: 50 }),
    top_p: fc.double({ min: 0.1, max: 1, noNaN: true }),
    min_p: fc.double({ min: 0, max: 0.9, noNaN: true }),
  },
  { requiredKeys: ["temperature"] },
);

test("probabilities are those of the twin, also where logits differ by less than the slack and it says that it is sure", () => {
  let sure = 0;
  let all = 0;
  fc.assert(
    fc.property(named, fc.nat(), (filters, seed) => {
      const random = seededRandom(seed);
      const logits = Float32Array.from({ length: 40 }, () => 2 * random.normal());
      const near = logits.map((logit) => logit + 1e-4 * (random.float() - 0.5));
      const text = [1, 5, 5, 30];
      const exact = exactDistribution(logits, filters as Filters, text, 1e-3);
      const twin = naiveProbabilities(logits, filters as Filters, text);
      twin.forEach((p, token) => {
        expect(Math.abs(exact.probability(token) - p)).toBeLessThan(1e-9);
        if (p > 0) expect(exact.possible(token)).toBe(true);
      });
      expect(exact.atLeast(0.05)).toEqual([...twin.keys()].filter((token) => exact.probability(token) >= 0.05));
      const other = naiveProbabilities(near, filters as Filters, text);
      all++;
      if (exact.sure) sure++;
      other.forEach((p, token) => {
        if (exact.sure) expect(p > 0).toBe(twin[token] > 0);
        if (p > 0) expect(exact.possible(token)).toBe(true);
      });
    }),
    { seed: 20269, numRuns: trials(300, 3000) },
  );
  expect(sure / all).toBeGreaterThan(0.8);
});

test("equal logits at a border are not sure, and either may be drawn", () => {
  const logits = Float32Array.of(3, 2, 2, 1);
  const exact = exactDistribution(logits, { temperature: 1, top_p: 0.7 }, [], 1e-3);
  expect([exact.sure, exact.possible(1), exact.possible(2), exact.possible(3)]).toEqual([false, true, true, false]);
  expect(exactDistribution(logits, { temperature: 1, top_k: 3 }, [], 1e-3).sure).toBe(true);
  expect(exactDistribution(logits, { temperature: 1, top_k: 2 }, [], 1e-3).possible(2)).toBe(true);
});
