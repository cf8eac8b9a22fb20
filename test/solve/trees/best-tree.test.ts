import { describe, expect, test } from "vitest";
import { bestTree } from "../../../src/solve/trees/best-tree.js";
import { everyTree, tokensOf } from "../../oracle/brute-force-tree.js";
import { failureOf } from "../../support/failure.js";

/** Numbers in [0, 1) from a seed: a linear congruential generator, for instances only. */
function numbers(seed: number): () => number {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Up to 3 depths of up to 3 ranks, chances in any order, ties and zeros among them; rounds that get dearer in steps. */
function instance(seed: number) {
  const next = numbers(seed);
  const depths = 1 + Math.floor(next() * 3);
  const acceptance = Array.from({ length: depths }, () => {
    const ranks = 1 + Math.floor(next() * 3);
    const parts = Array.from({ length: ranks + 1 }, () => Math.floor(next() * 5));
    const sum = Math.max(
      1,
      parts.reduce((a, b) => a + b, 0),
    );
    return parts.slice(0, ranks).map((part) => part / sum);
  });
  let us = 100;
  const roundUs = Array.from({ length: 2 + Math.floor(next() * 4) }, () => {
    us += next() < 0.5 ? 0 : next() * 60;
    return us;
  });
  return { acceptance, roundUs };
}

describe("bestTree", () => {
  test.each(Array.from({ length: 300 }, (_, seed) => ({ seed })))(
    "equals trying every tree: seed $seed",
    ({ seed }) => {
      const { acceptance, roundUs } = instance(seed);
      const trees = everyTree(
        acceptance.map((chances) => chances.length),
        roundUs.length - 1,
      );
      const best = Math.max(...trees.map((tree) => (1e6 * tokensOf(tree, acceptance)) / roundUs[tree.length]));
      const { paths, tokensPerRound, tokensPerSecond } = bestTree(acceptance, roundUs);
      const written = paths.map((ranks) => ranks.join(","));
      expect(new Set(written).size).toBe(written.length);
      // a tree, in an order in which every node follows its parent
      paths.forEach((ranks, i) => {
        if (ranks.length > 1) expect(written.slice(0, i)).toContain(ranks.slice(0, -1).join(","));
      });
      expect(tokensPerRound).toBeCloseTo(tokensOf(written, acceptance), 10);
      expect(tokensPerSecond).toBeCloseTo((1e6 * tokensPerRound) / roundUs[paths.length], 6);
      expect(tokensPerSecond).toBeGreaterThan(best * (1 - 1e-12));
      expect(tokensPerSecond).toBeLessThan(best * (1 + 1e-12));
    },
  );

  test("a plain step where no guess is worth its time", () => {
    expect(bestTree([[0.1]], [100, 120])).toEqual({ paths: [], tokensPerRound: 1, tokensPerSecond: 1e4 });
    expect(bestTree([], [100, 50])).toEqual({ paths: [], tokensPerRound: 1, tokensPerSecond: 1e4 });
    expect(bestTree([[0, 0]], [100, 50]).paths).toEqual([]);
  });

  test("a chain where one guess a depth is all there is", () => {
    const { paths, tokensPerRound } = bestTree([[0.8], [0.7], [0.6]], [100, 101, 102, 103]);
    expect(paths).toEqual([[0], [0, 0], [0, 0, 0]]);
    expect(tokensPerRound).toBeCloseTo(1 + 0.8 + 0.56 + 0.336, 12);
  });

  test("as large as its time allows, beyond a step in the cost", () => {
    // 4 nodes cost as much as 8: a staircase of the kernel's rows
    const roundUs = [100, 130, 130, 130, 130, 170, 170, 170, 170];
    const acceptance = [
      [0.6, 0.2, 0.1],
      [0.5, 0.2, 0.1],
    ];
    expect(bestTree(acceptance, roundUs).paths).toHaveLength(4);
  });

  test.each([
    { name: "a chance above 1", acceptance: [[1.5]], roundUs: [1, 1], at: "bestTree: acceptance[0][0]" },
    { name: "a chance below 0", acceptance: [[0.5], [0.2, -0.1]], roundUs: [1, 1], at: "bestTree: acceptance[1][1]" },
    { name: "no number", acceptance: [[Number.NaN]], roundUs: [1, 1], at: "bestTree: acceptance[0][0]" },
    {
      name: "children that are right together",
      acceptance: [[0.7, 0.7]],
      roundUs: [1, 1],
      at: "bestTree: acceptance[0]",
    },
    { name: "no time", acceptance: [[0.5]], roundUs: [1, 0], at: "bestTree: roundUs[1]" },
    { name: "no end", acceptance: [[0.5]], roundUs: [1, Number.POSITIVE_INFINITY], at: "bestTree: roundUs[1]" },
    { name: "no rounds", acceptance: [[0.5]], roundUs: [], at: "bestTree: roundUs" },
  ])("refuses $name", async ({ acceptance, roundUs, at }) => {
    expect(await failureOf(() => bestTree(acceptance, roundUs))).toMatchObject({ code: "TREE_INVALID", at });
  });
});
