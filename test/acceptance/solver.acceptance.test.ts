// The 200 instances that the solver is accepted by: a quarter of a minute, so not part of `npm test`.
// npx vitest run --project acceptance test/acceptance/solver.acceptance.test.ts
import { describe, expect, test } from "vitest";
import { paretoFrontier, solveMultipleChoice } from "../../src/solve/index.js";
import { highsLeastLoss, highsRelaxation } from "../oracle/highs-knapsack.js";
import { blocks, draw, recompute, seeds } from "../solve/instances.js";

const instances = seeds(200, 5001).map((seed) => {
  const random = draw(seed);
  const count = [20, 40, 80, 120, 160][seed % 5];
  const choices = random.int(2, 4);
  const totalUs = random.int(100, 30_000);
  return {
    seed,
    count,
    choices,
    groups: blocks(seed, count, choices, totalUs),
    budgetUs: Math.round(totalUs * (0.05 + 0.9 * random.float())),
  };
});

describe.skipIf(process.env.DRAFTPLAN_ACCEPTANCE !== "1")("200 instances, up to 160 blocks of 4 choices", () => {
  test.each(instances)(
    "HiGHS finds nothing better: seed $seed, $count blocks of $choices choices",
    ({ groups, budgetUs }) => {
      const solved = solveMultipleChoice(groups, budgetUs);
      const highs = highsLeastLoss(groups, budgetUs);
      if (highs === null) throw new Error("skipping everything costs nothing");
      expect(recompute(groups, solved.chosen)).toEqual({ costUs: solved.costUs, loss: solved.loss });
      expect(solved.costUs).toBeLessThanOrEqual(budgetUs);
      expect(solved.loss).toBeLessThanOrEqual(highs.loss + 1e-12);
      expect(solved.loss).toBeGreaterThan(highs.loss - 1e-6);
      expect(solved.lowerBound).toBeCloseTo(highsRelaxation(groups, budgetUs), 6);
      const onFrontier = paretoFrontier(groups).findLast((point) => point.costUs <= budgetUs);
      expect(onFrontier).toMatchObject({ costUs: solved.costUs, loss: solved.loss });
    },
  );
});
