import { describe, expect, test } from "vitest";
import {
  checkedLowerBound,
  closedFormBound,
  lpGapPercent,
  lpSolverBound,
  solveMultipleChoice,
} from "../../src/solve/index.js";
import { leastLoss } from "../oracle/brute-force-knapsack.js";
import { highsRelaxation } from "../oracle/highs-knapsack.js";
import { expectFailure, failureOf } from "../support/failure.js";
import { blocks, seeds, smallInstance } from "./instances.js";

describe("the lower bound", () => {
  const feasible = seeds(300)
    .map((seed) => ({ seed, ...smallInstance(seed, 5_000) }))
    .filter(({ groups, budgetUs }) => leastLoss(groups, budgetUs));

  test.each(feasible)(
    "is the LP's optimum by three solvers, and never above the least loss: seed $seed, $kind",
    ({ groups, budgetUs }) => {
      const best = leastLoss(groups, budgetUs)?.loss ?? Number.NaN;
      const closed = closedFormBound(groups, budgetUs);
      const tolerance = 1e-6 * Math.max(1, closed);
      expect(closed).toBeLessThanOrEqual(best + 1e-12);
      expect(Math.abs((lpSolverBound(groups, budgetUs) ?? Number.NaN) - closed)).toBeLessThanOrEqual(
        2e-9 * Math.max(1, closed),
      );
      // HiGHS reads budgets within its feasibility tolerance, which a steep loss magnifies.
      if (groups.length > 0) expect(highsRelaxation(groups, budgetUs)).toBeLessThanOrEqual(closed + tolerance);
      expect(solveMultipleChoice(groups, budgetUs).lowerBound).toBeLessThanOrEqual(best);
      expect(solveMultipleChoice(groups, budgetUs).lowerBound).toBeGreaterThanOrEqual(closed - tolerance);
    },
  );

  test.each(seeds(8).map((seed) => ({ seed })))("of 160 blocks equals HiGHS's relaxation: seed $seed", ({ seed }) => {
    const groups = blocks(seed, 160, 4, 30_000, seed % 2 === 0);
    const closed = closedFormBound(groups, 4_000 * seed);
    expect(closed).toBeCloseTo(highsRelaxation(groups, 4_000 * seed), 6);
    expect(lpSolverBound(groups, 4_000 * seed)).toBeCloseTo(closed, 8);
  });

  test("counts part of a step: half of the way from 8 to 2, past a choice above the hull", () => {
    const groups = [
      {
        id: "a",
        choices: [
          { id: "lo", costUs: 1, loss: 8 },
          { id: "above", costUs: 2, loss: 7 },
          { id: "hi", costUs: 5, loss: 2 },
        ],
      },
    ];
    expect(closedFormBound(groups, 3)).toBe(5);
    expect(closedFormBound(groups, 1)).toBe(8);
    expect(closedFormBound(groups, 0.99)).toBe(Number.POSITIVE_INFINITY);
    expect(lpSolverBound(groups, 0.99)).toBeNull();
    expect(closedFormBound(groups, Number.POSITIVE_INFINITY)).toBe(2);
    expect(lpSolverBound(groups, Number.POSITIVE_INFINITY)).toBeCloseTo(2, 8);
  });

  test("takes steps by gain per µs: 4 for 1 µs, then 3 for 3 µs", () => {
    const groups = [
      {
        id: "a",
        choices: [
          { id: "lo", costUs: 0, loss: 3 },
          { id: "hi", costUs: 3, loss: 0 },
        ],
      },
      {
        id: "b",
        choices: [
          { id: "lo", costUs: 0, loss: 4 },
          { id: "hi", costUs: 1, loss: 0 },
        ],
      },
    ];
    expect(seeds(5, 0).map((budgetUs) => closedFormBound(groups, budgetUs))).toEqual([7, 3, 2, 1, 0]);
  });
});

describe("a loss below the bound", () => {
  const groups = blocks(3, 40, 3, 4000);
  const bound = closedFormBound(groups, 2000);

  test("is reported as a bug", async () => {
    const run = () => checkedLowerBound(groups, 2000, bound - 1e-5);
    await expectFailure(run, "LP_BOUND_VIOLATED", /no choice can lose less than/);
    expect((await failureOf(run)).remedy).toContain("bug in draftplan; please report it");
  });

  test("where only added up in group order the choices keep the budget is no violation", () => {
    const absorbed = [
      {
        id: "a",
        choices: [
          { id: "lo", costUs: 0, loss: 1e6 },
          { id: "hi", costUs: 5e-324, loss: 0 },
        ],
      },
      { id: "b", choices: [{ id: "only", costUs: 1, loss: 0 }] },
    ];
    expect(solveMultipleChoice(absorbed, 1)).toMatchObject({
      chosen: ["hi", "only"],
      costUs: 1,
      loss: 0,
      lowerBound: 0,
    });
  });

  test("by rounding alone is no violation, and the bound is not above it", () => {
    expect(checkedLowerBound(groups, 2000, bound - 1e-9)).toBe(bound - 1e-9);
    expect(checkedLowerBound(groups, 2000, bound + 1)).toBeCloseTo(bound, 9);
  });
});

describe("the gap", () => {
  test("is zero where the bound is reached, and a tenth where α could be a ninth larger", () => {
    expect(lpGapPercent(0.7, 0.7)).toBe(0);
    expect(lpGapPercent(-Math.log(0.9), 0)).toBeCloseTo(10, 12);
    expect(lpGapPercent(2, 1)).toBeCloseTo(100 * (1 - 1 / Math.E), 12);
  });
});
