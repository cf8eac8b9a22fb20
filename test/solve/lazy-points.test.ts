/** Points whose lists of choices are made when first read cannot be told from points that had them all along. */
import { isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import { type Group, paretoFrontier } from "../../src/solve/index.js";
import { lazyPoints } from "../../src/solve/knapsack/lazy-points.js";
import { blocks, recompute, seeds } from "./instances.js";

const whole = blocks(3, 30, 3, 3000);
const fractional = blocks(4, 30, 3, 3000, false);
/** the same points with lists of their own */
const plain = (groups: readonly Group[]) =>
  paretoFrontier(groups).map((point) => ({ chosen: [...point.chosen], costUs: point.costUs, loss: point.loss }));

describe.each([
  { name: "whole costs", groups: whole },
  { name: "costs that are not whole", groups: fractional },
])("a frontier of $name", ({ groups }) => {
  const expected = plain(groups);

  test("is long enough for several blocks of points", () => {
    expect(expected.length).toBeGreaterThan(200);
  });

  test.each([
    ["from the first point on", (i: number) => i],
    ["from the last point on", (i: number) => expected.length - 1 - i],
    ["here and there", (i: number) => (i * 97) % expected.length],
  ])("has the same lists read %s, and they add up to the point", (_, order) => {
    const points = paretoFrontier(groups);
    for (const i of seeds(expected.length, 0)) {
      const point = points[order(i)];
      expect(point.chosen).toEqual(expected[order(i)].chosen);
      expect(recompute(groups, point.chosen)).toEqual({ costUs: point.costUs, loss: point.loss });
    }
  });

  test.each([
    ["JSON", (points: unknown) => JSON.stringify(points), (p: unknown) => JSON.stringify(p)],
    ["structuredClone", (points: unknown) => structuredClone(points), (p: unknown) => p],
    ["spreading", (points: unknown) => (points as object[]).map((point) => ({ ...point })), (p: unknown) => p],
    [
      "keys",
      (points: unknown) => (points as object[]).map(Object.keys),
      (p: unknown) => (p as object[]).map(Object.keys),
    ],
  ])("looks the same to %s", (_, view, same) => {
    expect(view(paretoFrontier(groups))).toStrictEqual(same(expected));
  });

  test("is deeply and strictly equal to plain objects", () => {
    expect(paretoFrontier(groups)).toStrictEqual(expected);
    expect(isDeepStrictEqual(paretoFrontier(groups), expected)).toBe(true);
  });
});

test("points read one behind the other are traced back together, each block of them once", () => {
  const size = 150;
  const traced: [number, number][] = [];
  const trace = (first: number, count: number) => {
    traced.push([first, count]);
    return Uint16Array.from({ length: 2 * count }, (_, i) => (first + (i >> 1) + (i % 2)) % 3);
  };
  const list = { size, costs: new Float64Array(size), losses: new Float64Array(size) };
  const ids = [
    ["a", "b", "c"],
    ["x", "y", "z"],
  ];
  const points = lazyPoints(ids, { list, trace });
  points.forEach(({ chosen }, i) => {
    expect(chosen).toEqual([ids[0][i % 3], ids[1][(i + 1) % 3]]);
  });
  expect(traced).toEqual([
    [0, 64],
    [64, 64],
    [128, 22],
  ]);
});

test("a list is one array, which can be changed and replaced", () => {
  const [first, second] = paretoFrontier(whole);
  const list = first.chosen;
  list[0] = "mine";
  expect(first.chosen).toBe(list);
  expect(second.chosen[0]).not.toBe("mine");
  first.chosen = ["other"];
  expect({ ...first }.chosen).toEqual(["other"]);
});

test("groups may change once the frontier is there", () => {
  const groups = structuredClone(whole);
  const points = paretoFrontier(groups);
  for (const { choices } of groups) for (const choice of choices) choice.id = "gone";
  expect(points[5].chosen).toEqual(paretoFrontier(whole)[5].chosen);
});
