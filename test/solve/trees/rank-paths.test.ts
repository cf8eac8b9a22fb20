import { describe, expect, test } from "vitest";
import { depthOf, RankPaths } from "../../../src/solve/trees/rank-paths.js";
import { everyTree } from "../../oracle/brute-force-tree.js";

/** Numbers in [0, 1) from a seed: a linear congruential generator, for instances only. */
function numbers(seed: number): () => number {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Positions as ranks along the text: heads that are right together, so that no product of marginals describes them. */
function positionsOf(seed: number): number[][] {
  const next = numbers(seed);
  const [heads, ranks, count] = [1 + Math.floor(next() * 3), 1 + Math.floor(next() * 3), 5 + Math.floor(next() * 40)];
  return Array.from({ length: count }, () => {
    const easy = next() < 0.4;
    const path: number[] = [];
    while (path.length < heads && next() < (easy ? 0.95 : 0.45)) path.push(Math.floor(next() ** 2 * ranks));
    return path;
  });
}

function countedPaths(positions: readonly (readonly number[])[]) {
  const counts = new Map<string, { ranks: readonly number[]; positions: number }>();
  for (const ranks of positions) {
    const known = counts.get(ranks.join(","));
    if (known === undefined) counts.set(ranks.join(","), { ranks, positions: 1 });
    else known.positions++;
  }
  return [...counts.values()];
}

/** Tokens that a tree accepts at one position, by walking it. */
function acceptedAt(path: readonly number[], tree: readonly string[]): number {
  let accepted = 0;
  while (accepted < path.length && tree.includes(path.slice(0, accepted + 1).join(","))) accepted++;
  return accepted;
}

const written = (tree: readonly (readonly number[])[]) => tree.map((ranks) => ranks.join(","));

describe("the likeliest nodes of counted rank paths", () => {
  test.each(Array.from({ length: 200 }, (_, seed) => ({ seed })))(
    "accept as much as the best of all trees, at every size and depth: seed $seed",
    ({ seed }) => {
      const positions = positionsOf(seed);
      const paths = new RankPaths(countedPaths(positions), positions.length);
      const ranks = 1 + Math.max(0, ...positions.flat());
      for (const depth of [1, 2, 3]) {
        const trees = everyTree(new Array(depth).fill(ranks), 4);
        const total = (tree: readonly string[]) => positions.reduce((sum, path) => sum + acceptedAt(path, tree), 0);
        const best = [0, 1, 2, 3, 4].map((size) =>
          Math.max(...trees.filter(({ length }) => length <= size).map(total)),
        );
        const nodes = paths.likeliest(4, depth, { leastPositions: 0 });
        for (let size = 0; size <= nodes.length; size++)
          expect(total(written(nodes.slice(0, size).map((node) => node.ranks)))).toBe(best[size]);
        // fewer nodes than asked for only where no further one is ever right
        if (nodes.length < 4) expect(best[4]).toBe(best[nodes.length]);
        expect(depthOf(nodes.map((node) => node.ranks))).toBeLessThanOrEqual(depth);
      }
    },
  );

  test.each(Array.from({ length: 50 }, (_, seed) => ({ seed })))(
    "a tree's curve is what walking it at every position accepts: seed $seed",
    ({ seed }) => {
      const positions = positionsOf(seed);
      const paths = new RankPaths(countedPaths(positions), positions.length);
      const tree = paths.likeliest(6, 3, { leastPositions: 0 }).map(({ ranks }) => ranks);
      const lengths = positions.map((path) => acceptedAt(path, written(tree)));
      const depth = depthOf(tree);
      const share = (i: number) => lengths.filter((length) => length >= i).length / lengths.length;
      expect(paths.curve(tree)).toEqual(Array.from({ length: depth + 1 }, (_, i) => share(i)));
    },
  );

  test("a table that marginals cannot tell apart has a tree of its own", () => {
    // each head alone is right half of the time at rank 0; together always, or never
    const together = new RankPaths([{ ranks: [0, 0], positions: 50 }], 100);
    const apart = new RankPaths(
      [
        { ranks: [0], positions: 50 },
        { ranks: [1, 0], positions: 50 },
      ],
      100,
    );
    const tree = (paths: RankPaths) => paths.likeliest(2, 2, { leastPositions: 0 }).map(({ ranks }) => ranks);
    expect(tree(together)).toEqual([[0], [0, 0]]);
    expect(tree(apart)).toEqual([[0], [1]]);
  });

  test("nothing is put below a node that too few positions came to", () => {
    const paths = new RankPaths(
      [
        { ranks: [0, 0, 0], positions: 29 },
        { ranks: [0, 1], positions: 1 },
        { ranks: [1, 0], positions: 20 },
      ],
      60,
    );
    const tree = paths.likeliest(9, 3, { leastPositions: 30 }).map(({ ranks }) => ranks);
    expect(tree).toEqual([[0], [0, 0], [1], [0, 1]]);
  });
});
