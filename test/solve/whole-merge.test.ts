import { describe, expect, test } from "vitest";
import { paretoFrontier, solveMultipleChoice } from "../../src/solve/index.js";
import type { Group } from "../../src/solve/knapsack/group.js";
import { everyNonDominated } from "../oracle/brute-force-knapsack.js";
import { denseFrontier } from "../oracle/dense-knapsack.js";
import { highsLeastLoss } from "../oracle/highs-knapsack.js";
import { blocks, draw, recompute, seeds } from "./instances.js";

const values = (points: readonly { costUs: number; loss: number }[]) =>
  points.map(({ costUs, loss }) => ({ costUs, loss }));

/** Loss follows cost, so hardly a cost is dominated and lists are as long as they get. */
const crowded = (seed: number, count: number, choices: number, mostUs: number, ties: boolean): Group[] => {
  const random = draw(seed);
  return seeds(count, 0).map((g) => ({
    id: `b${g}`,
    choices: seeds(choices, 0).map((c) => {
      const costUs = random.int(0, mostUs);
      const loss = mostUs - costUs + (ties ? 0 : random.float() / 2);
      return { id: `c${c}`, costUs, loss };
    }),
  }));
};

describe("lists in which nearly every cost is taken", () => {
  test.each(seeds(60))("equal trying every combination: seed %i", (seed) => {
    const [count, choices] = [4 + (seed % 2), 3 + (seed % 8)];
    const groups = crowded(seed, count, Math.min(choices, count === 5 ? 6 : 10), 3 + seed, seed % 3 === 0);
    const frontier = paretoFrontier(groups);
    expect(values(frontier)).toEqual(everyNonDominated(groups));
    expect(frontier.map(({ chosen }) => recompute(groups, chosen))).toEqual(values(frontier));
  });

  test("of equal sums the first choice is taken, as where few costs are", () => {
    const twice = (g: number): Group => ({
      id: `b${g}`,
      choices: [3, 2, 1, 0].map((costUs, c) => ({ id: `c${c}`, costUs, loss: 3 - costUs })),
    });
    // the last group's cheapest choice that reaches a sum stands: the groups before it then pay as much as they can
    const points = paretoFrontier(seeds(3, 0).map(twice));
    expect(points.map(({ chosen }) => chosen.join(" "))).toEqual([
      "c3 c3 c3",
      "c2 c3 c3",
      "c1 c3 c3",
      "c0 c3 c3",
      "c0 c2 c3",
      "c0 c1 c3",
      "c0 c0 c3",
      "c0 c0 c2",
      "c0 c0 c1",
      "c0 c0 c0",
    ]);
  });

  test.each(seeds(2))("a single budget is what HiGHS finds: seed %i", (seed) => {
    const groups = crowded(seed, 8, 10, 60, false);
    const budgetUs = 100 + 60 * seed;
    const point = solveMultipleChoice(groups, budgetUs);
    expect(point.loss).toBeCloseTo(highsLeastLoss(groups, budgetUs)?.loss ?? Number.NaN, 6);
    expect(point.costUs).toBeLessThanOrEqual(budgetUs);
  });
});

describe("at full width, 160 groups of ten choices", () => {
  test.each([
    { name: "losses drawn at random", groups: blocks(1, 160, 10, 30_000) },
    { name: "every µs on the frontier", groups: crowded(2, 160, 10, 190, false) },
  ])("the frontier is the textbook's, to the last bit: $name", ({ groups }) => {
    const frontier = paretoFrontier(groups);
    expect(values(frontier)).toEqual(denseFrontier(groups));
    for (const at of [0, frontier.length >> 1, frontier.length - 1])
      expect(recompute(groups, frontier[at].chosen)).toEqual(values(frontier)[at]);
  });
});
