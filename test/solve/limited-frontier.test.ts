/** The frontier within limits on sums, against trying every combination. */
import { describe, expect, test } from "vitest";
import { type LimitedGroup, limitedFrontier, paretoFrontier } from "../../src/solve/index.js";
import { PrefixMinimum } from "../../src/solve/knapsack/prefix-minimum.js";
import { nonDominated, withinSums } from "../oracle/brute-force-limits.js";
import { trials } from "../support/long.js";
import { draw, recompute, seeds, smallInstance } from "./instances.js";
import { type LimitedInstance, limitedInstance } from "./limited-instances.js";

const values = (points: readonly { costUs: number; loss: number }[]) =>
  points.map(({ costUs, loss }) => ({ costUs, loss }));

function sums(groups: readonly LimitedGroup[], chosen: readonly string[]): { skipped: number; bytes: number } {
  const items = groups.map(({ choices }, g) => choices.find(({ id }) => id === chosen[g]));
  return {
    skipped: items.reduce((sum, item) => sum + (item?.skipped ?? Number.NaN), 0),
    bytes: items.reduce((sum, item) => sum + (item?.bytes ?? Number.NaN), 0),
  };
}

/** Every point is a choice of each group with these sums, within the limits, and none dominates another. */
function expectReal({ groups, limits }: LimitedInstance, points: ReturnType<typeof limitedFrontier>): void {
  expect(points.map(({ chosen }) => recompute(groups, chosen))).toEqual(values(points));
  for (const { chosen } of points) {
    const { skipped, bytes } = sums(groups, chosen);
    expect(skipped).toBeLessThanOrEqual(limits.skipped ?? Number.POSITIVE_INFINITY);
    expect(bytes).toBeLessThanOrEqual(limits.bytes ?? Number.POSITIVE_INFINITY);
  }
  expect(values(points)).toEqual(nonDominated(points));
}

describe("the frontier within limits", () => {
  const instances = seeds(trials(100, 400)).map((seed) => ({ seed, ...limitedInstance(seed, 2_000) }));

  test.each(instances)("holds every non-dominated point and no other: seed $seed, $kind, $limits", (instance) => {
    const { groups, limits } = instance;
    const frontier = limitedFrontier(groups, limits);
    expect(values(frontier)).toEqual(withinSums(groups, limits.skipped, limits.bytes));
    expectReal(instance, frontier);
    expect(frontier.some((point) => point.resolutionUs !== undefined)).toBe(false);
  });

  test("the instances have limits that matter, limits that nothing keeps, and limits that rule nothing out", () => {
    const kinds = instances.map(({ groups, limits }) => {
      const within = withinSums(groups, limits.skipped, limits.bytes);
      if (within.length === 0) return "nothing fits";
      return within.length === withinSums(groups, null, null).length ? "nothing is lost" : "something is lost";
    });
    for (const kind of ["nothing fits", "nothing is lost", "something is lost"])
      expect(kinds.filter((each) => each === kind).length).toBeGreaterThan(trials(10, 40));
  });

  test.each(seeds(trials(20, 60)).map((seed) => ({ seed, ...smallInstance(seed, 5_000) })))(
    "without limits, or with such as all choices keep, is the frontier: seed $seed, $kind",
    ({ seed, groups }) => {
      const random = draw(seed);
      const limited = groups.map((group) => ({
        ...group,
        choices: group.choices.map((choice) => ({ ...choice, skipped: random.int(0, 2), bytes: random.int(0, 99) })),
      }));
      for (const limits of [
        { skipped: null, bytes: null },
        { skipped: 2 * groups.length, bytes: 99 * groups.length },
      ])
        expect(values(limitedFrontier(limited, limits))).toEqual(values(paretoFrontier(groups)));
    },
  );

  test("looser limits never lose: every point is as cheap and loses as little", () => {
    for (const { groups, limits } of instances) {
      const tight = limitedFrontier(groups, limits);
      for (const looser of [
        { ...limits, skipped: limits.skipped === null ? null : limits.skipped + 1 },
        { ...limits, bytes: limits.bytes === null ? null : 1.5 * limits.bytes },
        { skipped: null, bytes: limits.bytes },
      ]) {
        const loose = limitedFrontier(groups, looser);
        for (const { costUs, loss } of tight)
          expect(loose.some((point) => point.costUs <= costUs && point.loss <= loss)).toBe(true);
      }
    }
  });

  test("of no group is the one point that chooses nothing", () => {
    expect(limitedFrontier([], { skipped: 0, bytes: 0 })).toEqual([{ chosen: [], costUs: 0, loss: 0 }]);
  });

  test("bytes too fine for the grid are rounded up: nothing above the limit, and little below it is lost", () => {
    const random = draw(5);
    const groups: LimitedGroup[] = seeds(8, 0).map((g) => ({
      id: `b${g}`,
      choices: seeds(3, 0).map((c) => ({
        id: `c${c}`,
        costUs: random.int(0, 50),
        loss: random.int(0, 50),
        skipped: c === 2 ? 1 : 0,
        bytes: c === 2 ? 0 : random.int(1, 2 ** 33) * 2 + 1, // prime to each other, near enough
      })),
    }));
    const within = (bytes: number) => {
      const limits = { skipped: 5, bytes };
      const points = limitedFrontier(groups, limits);
      expectReal({ kind: "whole", groups, limits }, points);
      return points;
    };
    const limit = 3 * 2 ** 33;
    const frontier = within(limit);
    // eight roundings by one unit each, of a limit cut into 2^20 / 6 units
    const lost = (8 * 6 * limit) / 2 ** 20 + 8;
    for (const { costUs, loss } of withinSums(groups, 5, limit - lost))
      expect(frontier.some((point) => point.costUs <= costUs && point.loss <= loss)).toBe(true);
    // one byte too little for a draft that is worth having
    for (const { chosen } of paretoFrontier(groups.map((group) => ({ ...group, choices: [...group.choices] }))))
      within(Math.max(0, sums(groups, chosen).bytes - 1));
  });
});

describe("a frontier within limits that is too long to be exact", () => {
  const instances = seeds(trials(75, 300)).map((seed) => ({ seed, ...limitedInstance(seed, 2_000) }));
  const rounded = (maxStates: number) =>
    instances.map((instance) => ({
      instance,
      points: limitedFrontier(instance.groups, instance.limits, { maxStates }),
    }));

  test.each([1, 3, 10])("of at most %i states has real points within the limits, none dominated", (maxStates) => {
    for (const { instance, points } of rounded(maxStates)) expectReal(instance, points);
  });

  test.each([1, 3, 10])("of at most %i states is nowhere further from the exact one than its rounding", (maxStates) => {
    let withResolution = 0;
    for (const { instance, points } of rounded(maxStates)) {
      const { groups, limits } = instance;
      const exact = withinSums(groups, limits.skipped, limits.bytes);
      expect(points.length === 0).toBe(exact.length === 0);
      const resolutionUs = points[0]?.resolutionUs;
      if (resolutionUs === undefined) expect(values(points)).toEqual(exact);
      else withResolution++;
      const most = exact[exact.length - 1]?.costUs ?? 0;
      const farUs = groups.length * (resolutionUs ?? 0) + 1e-9 * most;
      for (const { costUs, loss } of exact)
        expect(points.some((point) => point.loss <= loss && point.costUs <= costUs + farUs)).toBe(true);
    }
    expect(withResolution).toBeGreaterThan(trials(12, 50));
  });
});

test.each([
  ["a cost below 0", { costUs: -1 }],
  ["a loss that is no number", { loss: Number.NaN }],
])("%s is refused", (_, wrong) => {
  const groups = [{ id: "b", choices: [{ id: "c", costUs: 1, loss: 1, skipped: 0, bytes: 0, ...wrong }] }];
  expect(() => limitedFrontier(groups, { skipped: 0, bytes: null })).toThrow(
    expect.objectContaining({ code: "GROUP_INVALID" }),
  );
});

test("the least value in a corner of the grid is that of looking at every place", () => {
  for (const seed of seeds(20)) {
    const random = draw(seed);
    const [rows, columns] = [random.int(1, 9), random.int(1, 9)];
    const minimum = new PrefixMinimum(rows, columns);
    for (const round of [1, 2]) {
      const added: [number, number, number][] = [];
      for (let i = 0; i < 60; i++) {
        const [value, row, column] = [random.int(0, 9), random.int(0, rows - 1), random.int(0, columns - 1)];
        const known = added.some(([v, r, c]) => v <= value && r <= row && c <= column);
        expect({ round, has: minimum.hasAtMost(value, row, column) }).toEqual({ round, has: known });
        if (random.chance(0.3)) {
          minimum.add(value, row, column);
          added.push([value, row, column]);
        }
      }
      minimum.clear();
    }
  }
});
