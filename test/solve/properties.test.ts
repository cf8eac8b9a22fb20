import fc from "fast-check";
import { expect, test } from "vitest";
import { closedFormBound, type Group, paretoFrontier, solveMultipleChoice } from "../../src/solve/index.js";
import { recompute } from "./instances.js";

const amount = fc.oneof(
  fc.integer({ min: 0, max: 50 }),
  fc.double({ min: 0, max: 50, noNaN: true }),
  fc.constantFrom(0, 0.1, 1 / 3, 1e-9, 1e6),
);
const choice = fc.record({ costUs: amount, loss: amount });
const groupsOf = fc
  .array(fc.array(choice, { minLength: 1, maxLength: 5 }), { maxLength: 12 })
  .map((lists) =>
    lists.map((choices, g): Group => ({ id: `g${g}`, choices: choices.map((each, c) => ({ id: `c${c}`, ...each })) })),
  );

const leastUs = (groups: readonly Group[]) =>
  groups.reduce((sum, group) => sum + Math.min(...group.choices.map((each) => each.costUs)), 0);

const check = (property: fc.IRawProperty<unknown>) => fc.assert(property, { seed: 20260220, numRuns: 300 });

test("more budget never loses more", () => {
  check(
    fc.property(groupsOf, amount, amount, (groups, extra, more) => {
      const budgetUs = leastUs(groups) + extra;
      const tight = solveMultipleChoice(groups, budgetUs);
      const loose = solveMultipleChoice(groups, budgetUs + more);
      expect(loose.loss).toBeLessThanOrEqual(tight.loss);
      expect(loose.lowerBound).toBeLessThanOrEqual(tight.lowerBound + 1e-6 * Math.max(1, tight.lowerBound));
    }),
  );
});

test("another choice never loses more", () => {
  check(
    fc.property(groupsOf, amount, choice, fc.nat(), (groups, extra, added, where) => {
      fc.pre(groups.length > 0);
      const budgetUs = leastUs(groups) + extra;
      const at = where % groups.length;
      const larger = groups.map((group, g) =>
        g === at ? { ...group, choices: [...group.choices, { id: "added", ...added }] } : group,
      );
      expect(solveMultipleChoice(larger, budgetUs).loss).toBeLessThanOrEqual(
        solveMultipleChoice(groups, budgetUs).loss,
      );
    }),
  );
});

test("a dominated choice changes neither cost nor loss", () => {
  check(
    fc.property(groupsOf, amount, amount, (groups, extra, worse) => {
      const budgetUs = leastUs(groups) + extra;
      const larger = groups.map(({ id, choices: [first, ...rest] }) => {
        const dominated = { id: "worse", costUs: first.costUs + worse, loss: first.loss + worse };
        return { id, choices: [dominated, first, ...rest] };
      });
      const { costUs, loss } = solveMultipleChoice(groups, budgetUs);
      expect(solveMultipleChoice(larger, budgetUs)).toMatchObject({ costUs, loss });
    }),
  );
});

test("what is returned is what its choices add up to, within the budget and above the bound", () => {
  check(
    fc.property(groupsOf, amount, (groups, extra) => {
      const budgetUs = leastUs(groups) + extra;
      const { chosen, costUs, loss, lowerBound } = solveMultipleChoice(groups, budgetUs);
      expect(recompute(groups, chosen)).toEqual({ costUs, loss });
      expect(costUs).toBeLessThanOrEqual(budgetUs);
      expect(lowerBound).toBeLessThanOrEqual(loss);
      const bound = Math.min(closedFormBound(groups, budgetUs), loss);
      expect(Math.abs(lowerBound - bound)).toBeLessThanOrEqual(1e-6 * Math.max(1, bound));
    }),
  );
});

test("the frontier rises in cost, falls in loss, and its points are optimal at their own cost", () => {
  check(
    fc.property(groupsOf, fc.nat(), (groups, where) => {
      const frontier = paretoFrontier(groups);
      for (let i = 1; i < frontier.length; i += 1) {
        expect(frontier[i].costUs).toBeGreaterThan(frontier[i - 1].costUs);
        expect(frontier[i].loss).toBeLessThan(frontier[i - 1].loss);
      }
      const { costUs, loss } = frontier[where % frontier.length];
      expect(solveMultipleChoice(groups, costUs)).toMatchObject({ costUs, loss });
    }),
  );
});

test("inputs are left as they were", () => {
  check(
    fc.property(groupsOf, amount, (groups, extra) => {
      const before = structuredClone(groups);
      solveMultipleChoice(groups, leastUs(groups) + extra);
      paretoFrontier(groups);
      expect(groups).toEqual(before);
    }),
  );
});
