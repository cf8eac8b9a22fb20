import { describe, expect, test } from "vitest";
import { type Group, paretoFrontier, solveMultipleChoice } from "../../src/solve/index.js";
import { everyNonDominated } from "../oracle/brute-force-knapsack.js";
import { blocks, draw, recompute, seeds, smallInstance } from "./instances.js";

const values = (points: readonly { costUs: number; loss: number }[]) =>
  points.map(({ costUs, loss }) => ({ costUs, loss }));

describe("the frontier", () => {
  test.each(seeds(200).map((seed) => ({ seed, ...smallInstance(seed, 5_000) })))(
    "holds every non-dominated point and no other: seed $seed, $kind",
    ({ groups }) => {
      const frontier = paretoFrontier(groups);
      expect(values(frontier)).toEqual(everyNonDominated(groups));
      expect(frontier.map(({ chosen }) => recompute(groups, chosen))).toEqual(values(frontier));
      expect(frontier.some((point) => point.resolutionUs !== undefined)).toBe(false);
    },
  );

  test.each(seeds(6).map((seed) => ({ seed })))(
    "answers every budget as the solver for one budget does: seed $seed",
    ({ seed }) => {
      const groups = blocks(seed, 24 * seed, 2 + (seed % 3), 30_000, seed % 2 === 0);
      const frontier = paretoFrontier(groups);
      const random = draw(seed);
      for (let i = 0; i < 25; i += 1) {
        const at = random.int(0, frontier.length - 1);
        const { costUs, loss } = frontier[at];
        expect(solveMultipleChoice(groups, costUs)).toMatchObject({ costUs, loss });
        if (at === 0) continue;
        const justBelow = costUs * (1 - 2 ** -52);
        expect(solveMultipleChoice(groups, justBelow)).toMatchObject({
          costUs: frontier[at - 1].costUs,
          loss: frontier[at - 1].loss,
        });
      }
    },
  );

  test("of no group is the one point that chooses nothing", () => {
    expect(paretoFrontier([])).toEqual([{ chosen: [], costUs: 0, loss: 0 }]);
  });

  test("is longer than what is traced back at a time, and each point is still its own", () => {
    const groups: Group[] = seeds(11, 0).map((g) => ({
      id: `b${g}`,
      choices: [
        { id: "off", costUs: 0, loss: 2 ** g },
        { id: "on", costUs: 2 ** g, loss: 0 },
      ],
    }));
    const frontier = paretoFrontier(groups);
    expect(values(frontier)).toEqual(seeds(2048, 0).map((n) => ({ costUs: n, loss: 2047 - n })));
    expect(frontier[1365].chosen).toEqual(seeds(11, 0).map((g) => (g % 2 === 0 ? "on" : "off")));
  });
});

describe("a frontier too long to be exact", () => {
  const groups = seeds(10, 0).map((g): Group => {
    const costUs = 50 + 300 * draw(g).float();
    return {
      id: `b${g}`,
      choices: [
        { id: "skip", costUs: 5, loss: costUs / 1000 },
        { id: "half", costUs: 5 + costUs / 2, loss: costUs / 2050 },
        { id: "full", costUs: 5 + costUs, loss: 0 },
      ],
    };
  });
  const exact = everyNonDominated(groups);
  const rounded = paretoFrontier(groups, { maxStates: 50 });
  const most = exact[exact.length - 1].costUs;

  test("has true costs and losses, rising and falling, and says its resolution", () => {
    expect(rounded.map(({ chosen }) => recompute(groups, chosen))).toEqual(values(rounded));
    expect(everyNonDominated([{ id: "all", choices: rounded.map((point, i) => ({ id: `${i}`, ...point })) }])).toEqual(
      values(rounded),
    );
    expect(new Set(rounded.map((point) => point.resolutionUs))).toEqual(new Set([(0.001 * most) / 10]));
    expect(rounded.length).toBeLessThan(exact.length);
  });

  test("keeps both ends", () => {
    expect(values([rounded[0]])).toEqual([exact[0]]);
    expect(values([rounded[rounded.length - 1]])).toEqual([exact[exact.length - 1]]);
  });

  test("is within 0.1 % of the dearest cost of every exact point", () => {
    for (const point of exact) {
      const reached = rounded.some((each) => each.loss <= point.loss && each.costUs <= point.costUs + 0.001 * most);
      expect(reached).toBe(true);
    }
  });

  test.each(seeds(60).map((seed) => ({ seed, ...smallInstance(seed, 5_000) })))(
    "has no dominated point: seed $seed, $kind",
    ({ groups }) => {
      const points = paretoFrontier(groups, { maxStates: 2 });
      expect(everyNonDominated([{ id: "all", choices: points.map((point, i) => ({ id: `${i}`, ...point })) }])).toEqual(
        values(points),
      );
      expect(points.map(({ chosen }) => recompute(groups, chosen))).toEqual(values(points));
    },
  );

  test("leaves out what only rounding made cheaper: 2.9 units at once, for twice 1.01", () => {
    const unit = 0.5; // 0.1 % of 1,500 µs, shared by three groups
    const group = (id: string, pairs: [number, number][]): Group => ({
      id,
      choices: pairs.map(([costUs, loss], c) => ({ id: `c${c}`, costUs, loss })),
    });
    const shared = [
      group("twice", [
        [0, 0.3],
        [1.01 * unit, 0],
      ]),
      group("again", [
        [0, 0.3],
        [1.01 * unit, 0],
      ]),
    ];
    const groups = [
      ...shared,
      group("at once", [
        [0, 1.5],
        [2.9 * unit, 1],
        [1500 - 2.02 * unit, 0],
      ]),
    ];
    const points = paretoFrontier(groups, { maxStates: 2 });
    expect(points[0].resolutionUs).toBeCloseTo(unit, 9);
    expect(values(points)).toEqual(everyNonDominated(groups));
  });

  test("stays exact where costs are whole numbers", () => {
    const whole = groups.map((group) => ({
      ...group,
      choices: group.choices.map((each) => ({ ...each, costUs: Math.round(each.costUs) })),
    }));
    expect(values(paretoFrontier(whole, { maxStates: 50 }))).toEqual(everyNonDominated(whole));
  });
});
