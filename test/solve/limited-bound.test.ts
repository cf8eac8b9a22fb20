/** The LP bound under limits on sums, against HiGHS: the relaxation's value, the integer optimum, and what breaks a limit. */
import { describe, expect, test } from "vitest";
import {
  closedFormBound,
  type LimitedChoice,
  type LimitedGroup,
  limitedFrontier,
  limitedLowerBound,
  limitedRelaxation,
  type SumLimits,
} from "../../src/solve/index.js";
import { highsLeastLoss, highsRelaxation, type Limit } from "../oracle/highs-knapsack.js";
import { expectFailure } from "../support/failure.js";
import { trials } from "../support/long.js";
import { seeds } from "./instances.js";
import { limitedBlocks, limitedInstance } from "./limited-instances.js";

const limitsOf = ({ skipped, bytes }: SumLimits): Limit<LimitedChoice>[] => [
  ...(skipped === null ? [] : [{ most: skipped, of: (choice: LimitedChoice) => choice.skipped }]),
  ...(bytes === null ? [] : [{ most: bytes, of: (choice: LimitedChoice) => choice.bytes }]),
];
const choicesOf = (groups: readonly LimitedGroup[], chosen: readonly string[]): LimitedChoice[] =>
  groups.map(({ choices }, g) => choices.find(({ id }) => id === chosen[g]) as LimitedChoice);

/** A point of the frontier, the relaxation at its cost by two solvers, and the bound that is reported with it. */
function bounded({ groups, limits }: { groups: LimitedGroup[]; limits: SumLimits }, share: number) {
  const frontier = limitedFrontier(groups, limits);
  if (frontier.length === 0) return null;
  const point = frontier[Math.floor(share * (frontier.length - 1))];
  const own = choicesOf(groups, point.chosen);
  return {
    ...{ point, own },
    lp: limitedRelaxation(groups, point.costUs, limits) ?? Number.NaN,
    bound: limitedLowerBound(groups, point.costUs, limits, own),
    highs: highsRelaxation(groups, point.costUs, limitsOf(limits)),
  };
}

describe("under limits on sums", () => {
  const small = seeds(trials(40, 200)).map((seed) => ({ seed, ...limitedInstance(seed, 1_000) }));

  test.each(small)("bound and relaxation are HiGHS's: seed $seed, $kind, $limits", ({ seed, groups, limits }) => {
    if (groups.length === 0) return;
    for (const share of [0, (seed % 10) / 10, 1]) {
      const found = bounded({ groups, limits }, share);
      if (found === null) return;
      const { point, lp, bound, highs } = found;
      const tolerance = 1e-6 * Math.max(1, highs);
      expect(bound).toBeLessThanOrEqual(point.loss);
      expect(Math.abs(lp - highs)).toBeLessThanOrEqual(tolerance);
      expect(Math.abs(bound - Math.min(highs, point.loss))).toBeLessThanOrEqual(tolerance);
    }
  });

  const modelled = seeds(trials(6, 60)).map((seed) => ({ seed, count: [12, 24, 40, 61][seed % 4] }));

  test.each(modelled)("the optimum is HiGHS's, and so is its bound: seed $seed, $count blocks", ({ seed, count }) => {
    const { groups, limits, budgetUs } = limitedBlocks(seed, count);
    const frontier = limitedFrontier(groups, limits, { maxStates: 2 ** 20 });
    expect(frontier.some(({ resolutionUs }) => resolutionUs !== undefined)).toBe(false);
    const best = frontier.findLast(({ costUs }) => costUs <= budgetUs);
    const highs = highsLeastLoss(groups, budgetUs, limitsOf(limits));
    expect(best === undefined).toBe(highs === null);
    if (best === undefined || highs === null) return;
    expect(best.loss).toBeLessThanOrEqual(highs.loss + 1e-12);
    expect(best.loss).toBeGreaterThan(highs.loss - 1e-6);
    const bound = limitedLowerBound(groups, budgetUs, limits, choicesOf(groups, best.chosen));
    expect(bound).toBeCloseTo(highsRelaxation(groups, budgetUs, limitsOf(limits)), 6);
    expect(bound).toBeLessThanOrEqual(best.loss);
  });

  test.each(seeds(6))("of 160 blocks of four choices the bound is HiGHS's, from any draft (seed %i)", (seed) => {
    const { groups } = limitedBlocks(seed, 160, seed % 2 === 0);
    // a draft that is no optimum, and limits that it just keeps
    const own = groups.map(({ choices }, g) => choices[(7 * g + seed) % 4]);
    const sum = (of: (choice: LimitedChoice) => number) => own.reduce((total, choice) => total + of(choice), 0);
    const limits = { skipped: sum(({ skipped }) => skipped), bytes: sum(({ bytes }) => bytes) };
    const budgetUs = sum(({ costUs }) => costUs);
    const bound = limitedLowerBound(groups, budgetUs, limits, own);
    expect(bound).toBeCloseTo(highsRelaxation(groups, budgetUs, limitsOf(limits)), 6);
    expect(bound).toBeLessThan(sum(({ loss }) => loss));
  });

  test("the bound is nowhere below the one without limits, and mostly above it", () => {
    const gains = seeds(30).flatMap((seed) => {
      const { groups, limits } = limitedBlocks(seed, 24);
      const found = bounded({ groups, limits }, 0.3);
      if (found === null) return [];
      const free = closedFormBound(
        groups.map(({ id, choices }) => ({ id, choices: [...choices] })),
        found.point.costUs,
      );
      return [found.bound - Math.min(free, found.point.loss)];
    });
    expect(Math.min(...gains)).toBeGreaterThanOrEqual(-1e-6);
    expect(gains.filter((gain) => gain > 1e-3).length).toBeGreaterThan(gains.length / 2);
  });

  test.each([
    ["skips more than it may", { skipped: 1, bytes: null }],
    ["holds more than it may", { skipped: null, bytes: 100 }],
  ])("a draft that %s loses less than any may: a bug, and refused", async (_, limits) => {
    const groups: LimitedGroup[] = seeds(6, 0).map((g) => ({
      id: `b${g}`,
      choices: [
        { id: "target", costUs: 100, loss: 0, skipped: 0, bytes: 0 },
        { id: "int8", costUs: 40, loss: 0.01, skipped: 0, bytes: 100 },
        { id: "skip", costUs: 0, loss: 0.02, skipped: 1, bytes: 0 },
        { id: "bad", costUs: 10, loss: 5, skipped: 0, bytes: 0 },
      ],
    }));
    const id = limits.skipped === null ? "int8" : "skip";
    const own = groups.map(({ choices }) => choices.find((choice) => choice.id === id) as LimitedChoice);
    const budgetUs = own.reduce((sum, { costUs }) => sum + costUs, 0) + (id === "skip" ? 60 : 0);
    await expectFailure(() => limitedLowerBound(groups, budgetUs, limits, own), "LP_BOUND_VIOLATED", /less than/);
  });
});
