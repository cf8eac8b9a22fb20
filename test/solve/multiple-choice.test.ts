import { describe, expect, test } from "vitest";
import { closedFormBound, type Group, paretoFrontier, solveMultipleChoice } from "../../src/solve/index.js";
import { leastLoss } from "../oracle/brute-force-knapsack.js";
import { highsLeastLoss } from "../oracle/highs-knapsack.js";
import { expectFailure, failureOf } from "../support/failure.js";
import { trials } from "../support/long.js";
import { blocks, draw, recompute, seeds, smallInstance } from "./instances.js";

const group = (id: string, ...pairs: [costUs: number, loss: number][]): Group => ({
  id,
  choices: pairs.map(([costUs, loss], c) => ({ id: `c${c}`, costUs, loss })),
});

describe("the least loss within a budget", () => {
  const drawn = seeds(trials(200, 500)).map((seed) => {
    // Every tenth has 14 groups, of two choices: more combinations would take too long to try.
    const instance =
      seed % 10 === 0 ? smallInstance(seed, 20_000, { groups: 14, choices: 2 }) : smallInstance(seed, 20_000);
    return { seed, ...instance, best: leastLoss(instance.groups, instance.budgetUs) };
  });

  test.each(drawn)("equals trying every combination: seed $seed, $kind", async ({ groups, budgetUs, best }) => {
    if (best === null)
      return expectFailure(() => solveMultipleChoice(groups, budgetUs), "BUDGET_INFEASIBLE", "cheapest choices cost");
    const solved = solveMultipleChoice(groups, budgetUs);
    expect(recompute(groups, solved.chosen)).toEqual({ costUs: solved.costUs, loss: solved.loss });
    expect(solved.costUs).toBeLessThanOrEqual(budgetUs);
    expect(solved.loss).toBe(best.loss); // to the last bit: both add up left to right
    expect(solved.costUs).toBe(best.costUs); // of equal losses the cheapest
    expect(solved.lowerBound).toBeLessThanOrEqual(solved.loss);
    expect(solved.resolutionUs).toBeUndefined();
  });

  test("the instances hold every case they are meant to hold", () => {
    expect(drawn.filter(({ best }) => best === null).length).toBeGreaterThan(trials(8, 20));
    expect(drawn.filter(({ best, budgetUs }) => best?.costUs === budgetUs).length).toBeGreaterThan(trials(20, 50));
    expect(drawn.filter(({ groups }) => groups.length === 14).length).toBeGreaterThan(trials(16, 40));
    expect(drawn.filter(({ groups }) => groups.some((each) => each.choices.length === 4)).length).toBeGreaterThan(
      trials(120, 300),
    );
  });

  const modelled = seeds(trials(40, 200)).map((seed) => {
    const random = draw(1000 + seed);
    const count = [20, 40, 80, 160][seed % 4];
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

  test("the instances reach 160 blocks of four choices", () => {
    expect(modelled.filter(({ count, choices }) => count === 160 && choices === 4).length).toBeGreaterThan(
      trials(2, 10),
    );
  });

  test.each(modelled)("equals HiGHS: seed $seed, $count blocks of $choices choices", ({ groups, budgetUs }) => {
    const solved = solveMultipleChoice(groups, budgetUs);
    const highs = highsLeastLoss(groups, budgetUs);
    if (highs === null) throw new Error("skipping everything costs nothing");
    expect(highs.costUs).toBeLessThanOrEqual(budgetUs);
    expect(recompute(groups, solved.chosen)).toEqual({ costUs: solved.costUs, loss: solved.loss });
    expect(solved.costUs).toBeLessThanOrEqual(budgetUs);
    expect(solved.loss).toBeLessThanOrEqual(highs.loss + 1e-12); // summed alike: never worse
    expect(solved.loss).toBeGreaterThan(highs.loss - 1e-6); // HiGHS prunes within its feasibility tolerance
  });
});

describe("a budget", () => {
  const groups = [group("a", [1, 5], [2, 0]), group("b", [3, 4], [7, 1])];

  test("that only just holds the cheapest choices is enough", () => {
    expect(solveMultipleChoice(groups, 4)).toMatchObject({ chosen: ["c0", "c0"], costUs: 4, loss: 9 });
  });

  test("that is met to the last bit is met: 0.1 + 0.2 + 0.3 added up left to right", () => {
    const tenths = [group("a", [0, 1], [0.1, 0]), group("b", [0, 1], [0.2, 0]), group("c", [0, 1], [0.3, 0])];
    expect(solveMultipleChoice(tenths, 0.1 + 0.2 + 0.3)).toMatchObject({ loss: 0, costUs: 0.1 + 0.2 + 0.3 });
    expect(0.6).toBeLessThan(0.1 + 0.2 + 0.3);
    expect(solveMultipleChoice(tenths, 0.6)).toMatchObject({ loss: 1 });
  });

  test("of Infinity gives the least loss at any cost", () => {
    expect(solveMultipleChoice(groups, Number.POSITIVE_INFINITY)).toMatchObject({
      chosen: ["c1", "c1"],
      costUs: 9,
      loss: 1,
      lowerBound: 1,
    });
  });

  test.each([3.999999, 0, -1, Number.NaN, Number.NEGATIVE_INFINITY].map((budgetUs) => ({ budgetUs })))(
    "of $budgetUs is infeasible, and the error says the least that is not",
    async ({ budgetUs }) => {
      await expectFailure(
        () => solveMultipleChoice(groups, budgetUs),
        "BUDGET_INFEASIBLE",
        "cheapest choices cost 4 µs",
      );
    },
  );

  test("for no group at all is kept by choosing nothing", () => {
    expect(solveMultipleChoice([], 0)).toEqual({ chosen: [], costUs: 0, loss: 0, lowerBound: 0 });
  });

  test("tie between equal choices goes to the first", () => {
    expect(solveMultipleChoice([group("a", [2, 1], [2, 1], [2, 1])], 2).chosen).toEqual(["c0"]);
  });
});

describe("losses and costs of unequal size", () => {
  // Costs at least 1 and losses at least 0.001, so that neither extra choice is dominated.
  const groups = blocks(7, 60, 3, 3000, false).map((each) => ({
    ...each,
    choices: each.choices.map(({ id, costUs, loss }) => ({ id, costUs: costUs + 1, loss: loss + 0.001 })),
  }));
  const withExtra = (extra: { costUs: number; loss: number }) =>
    groups.map((each) => ({ ...each, choices: [...each.choices, { id: "extra", ...extra }] }));
  const plain = solveMultipleChoice(groups, 1500);

  test.each([
    { name: "a forbidding loss of 1e15 at no cost", extra: { costUs: 0, loss: 1e15 } },
    { name: "a choice without loss that costs 1e15 µs", extra: { costUs: 1e15 + 0.5, loss: 0 } },
  ])("blur nothing: $name", ({ extra }) => {
    const { chosen, costUs, loss, resolutionUs } = solveMultipleChoice(withExtra(extra), 1500, { maxStates: 150 });
    expect({ chosen, costUs, loss, resolutionUs }).toEqual({
      chosen: plain.chosen,
      costUs: plain.costUs,
      loss: plain.loss,
      resolutionUs: undefined,
    });
  });
});

describe("rounding, where lists would grow too long", () => {
  // Loss follows cost: the frontier holds nearly every combination.
  const hard = (seed: number, count: number) => {
    const random = draw(seed);
    return seeds(count).map((g) => {
      const costUs = 50 + 300 * random.float();
      return group(`b${g}`, [0, costUs / 1000], [costUs / 2, costUs / 2100 + 0.01 * random.float()], [costUs, 0]);
    });
  };

  test.each(seeds(20).map((seed) => ({ seed })))(
    "loses at most what a 0.1 percent smaller budget would: seed $seed",
    ({ seed }) => {
      const groups = hard(seed, 9);
      const budgetUs = 300 + 900 * draw(seed + 99).float();
      const rounded = solveMultipleChoice(groups, budgetUs, { maxStates: 20 });
      const exact = leastLoss(groups, budgetUs);
      const smaller = leastLoss(groups, budgetUs * 0.999);
      expect(rounded.resolutionUs).toBeCloseTo((0.001 * budgetUs) / 9, 9);
      expect(rounded.costUs).toBeLessThanOrEqual(budgetUs);
      expect(recompute(groups, rounded.chosen)).toEqual({ costUs: rounded.costUs, loss: rounded.loss });
      expect(rounded.loss).toBeGreaterThanOrEqual(exact?.loss ?? Number.NaN);
      expect(rounded.loss).toBeLessThanOrEqual(smaller?.loss ?? Number.NaN);
      expect(rounded.lowerBound).toBe(Math.min(closedFormBound(groups, budgetUs), rounded.lowerBound));
    },
  );

  test("is upwards: nine times 100.03 and once 99.93 µs, rounded to nearest, would seem to fit 1,000 µs", () => {
    const groups = seeds(10, 0).map((g) => group(`b${g}`, [0, 1], [g === 9 ? 99.93 : 100.03, 0]));
    const solved = solveMultipleChoice(groups, 1000, { maxStates: 1 });
    expect(solved.resolutionUs).toBeCloseTo(0.1, 12);
    expect(solved).toMatchObject({ loss: 1, costUs: expect.closeTo(900.17, 9) });
  });

  test("is shared among the groups that have a choice", () => {
    const fixed = group("fixed", [0, 0]);
    expect(solveMultipleChoice([fixed, ...hard(1, 9)], 700, { maxStates: 20 }).resolutionUs).toBeCloseTo(0.7 / 9, 12);
  });

  test("finds the cheapest choices when the budget holds nothing else", () => {
    const groups = hard(3, 12).map((each) => ({
      ...each,
      choices: each.choices.map((c) => ({ ...c, costUs: c.costUs + 0.1 })),
    }));
    const leastUs = groups.reduce((sum, each) => sum + each.choices[0].costUs, 0);
    expect(solveMultipleChoice(groups, leastUs, { maxStates: 1 }).costUs).toBe(leastUs);
    expect(solveMultipleChoice(groups, leastUs + 200, { maxStates: 1 }).resolutionUs).toBeGreaterThan(0);
  });

  test("never happens to whole numbers", () => {
    const groups = hard(5, 10).map((each) => ({
      ...each,
      choices: each.choices.map((c) => ({ ...c, costUs: Math.round(c.costUs) })),
    }));
    const solved = solveMultipleChoice(groups, 900, { maxStates: 1 });
    expect(solved.resolutionUs).toBeUndefined();
    expect(solved.loss).toBe(leastLoss(groups, 900)?.loss);
  });
});

describe("groups without meaning are refused", () => {
  const item = { id: "c", costUs: 1, loss: 1 };
  test.each([
    { name: "no choice", groups: [{ id: "a", choices: [] }], where: "groups[0] (a).choices" },
    { name: "a group id used twice", groups: [group("a", [1, 1]), group("a", [1, 1])], where: "groups[1] (a).id" },
    {
      name: "a choice id used twice",
      groups: [{ id: "a", choices: [item, item] }],
      where: "groups[0] (a).choices[1] (c).id",
    },
    ...[-1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].flatMap((value) => [
      {
        name: `cost ${value}`,
        groups: [group("a", [1, 1]), group("b", [1, 1], [value, 1])],
        where: "groups[1] (b).choices[1] (c1).costUs",
      },
      { name: `loss ${value}`, groups: [group("a", [1, value])], where: "groups[0] (a).choices[0] (c0).loss" },
    ]),
    {
      name: "costs that add up to Infinity",
      groups: [group("a", [1e308, 0]), group("b", [1e308, 0])],
      where: "groups",
    },
    {
      name: "more choices than 16 bits name",
      groups: [{ id: "a", choices: seeds(65_536).map((c) => ({ ...item, id: `${c}` })) }],
      where: "groups[0] (a).choices",
    },
  ])("$name", async ({ groups, where }) => {
    expect(await failureOf(() => solveMultipleChoice(groups, 10))).toMatchObject({ code: "GROUP_INVALID", at: where });
    expect(await failureOf(() => paretoFrontier(groups))).toMatchObject({ code: "GROUP_INVALID", at: where });
  });
});
