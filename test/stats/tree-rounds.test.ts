import { describe, expect, test } from "vitest";
import { RankPaths } from "../../src/solve/trees/rank-paths.js";
import { type Random, seededRandom } from "../../src/stats/random.js";
import { type RanksAlongTexts, treeRounds } from "../../src/stats/tree-rounds.js";

/** Texts of [positions] ranks under each head, null where the head does not list the token -> what is kept of them. */
function kept(texts: (number | null)[][][]): RanksAlongTexts {
  const paths: { ranks: number[]; positions: number }[] = [];
  return {
    texts: texts.map((text) =>
      text.map((all) => {
        const end = all.indexOf(null);
        const ranks = (end === -1 ? all : all.slice(0, end)) as number[];
        const index = paths.findIndex((path) => path.ranks.join() === ranks.join());
        if (index === -1) return paths.push({ ranks, positions: 1 }) - 1;
        paths[index].positions++;
        return index;
      }),
    ),
    paths,
  };
}

const randomTexts = (random: Random, heads: number, ranks: number, lengths: number[]) =>
  lengths.map((length) =>
    Array.from({ length }, () =>
      Array.from({ length: heads }, () => {
        const rank = Math.floor(-Math.log(1 - random.float()) * 1.5);
        return rank < ranks ? rank : null;
      }),
    ),
  );

/** By looking for the deepest node at every round anew, tokens and all: nothing is taken from the record. */
function decodeAlong(texts: (number | null)[][][], tree: number[][]) {
  const accepted: number[] = [];
  for (const text of texts) {
    for (let at = 0; at < text.length; ) {
      const path: number[] = [];
      for (const rank of text[at]) {
        if (rank === null || !tree.some((node) => node.join() === [...path, rank].join())) break;
        path.push(rank);
      }
      accepted.push(path.length);
      at += path.length + 1;
    }
  }
  return accepted;
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);

describe.each(Array.from({ length: 20 }, (_, seed) => seed))("ranks of random texts, seed %i", (seed) => {
  const random = seededRandom(100 + seed);
  const texts = randomTexts(random, 4, 5, [1, 7, 40, 0, 25]);
  const record = kept(texts);
  const likeliest = (nodes: number) =>
    new RankPaths(record.paths, texts.flat().length)
      .likeliest(nodes, 4, { leastPositions: 1 })
      .map(({ ranks }) => ranks);

  test("a tree's rounds are those of walking along the texts with it", () => {
    const tree = likeliest(1 + random.index(20)).map((path) => [...path]);
    const accepted = decodeAlong(texts, tree);
    const found = treeRounds(record, tree);
    expect(found.rounds).toBe(accepted.length);
    expect(found.tokens).toBe(sum(accepted) + accepted.length);
    found.curve.forEach((a, i) => {
      expect(a).toBeCloseTo(accepted.filter((n) => n >= i).length / accepted.length, 12);
    });
    expect(sum(found.curve)).toBeCloseTo(found.tokens / found.rounds, 10);
    expect(found.reached).toEqual(
      Array.from({ length: found.curve.length - 1 }, (_, i) => accepted.filter((n) => n >= i).length),
    );
    expect(found.byText.map(({ rounds }) => rounds)).toHaveLength(texts.length);
  });
});

test("rounds follow one another: what is easy is gone over quickly, and counts less than by positions", () => {
  const easy = Array.from({ length: 12 }, () => [0, 0, 0]);
  const hard = Array.from({ length: 12 }, () => [null, null, null]);
  const record = kept([[...easy, ...hard]]);
  const tree = [[0], [0, 0], [0, 0, 0]];
  const { rounds, tokens, curve, reached } = treeRounds(record, tree);
  expect({ rounds, tokens, curve, reached }).toEqual({
    rounds: 3 + 12,
    tokens: 24,
    curve: [1, 0.2, 0.2, 0.2],
    reached: [15, 3, 3],
  });
  const { positions, chance } = {
    positions: 24,
    chance: (path: number[]) => new RankPaths(record.paths, 24).chance(path),
  };
  expect(tree.map((path) => chance(path) * positions)).toEqual([12, 12, 12]); // half of the positions
});

test("without a position there is no round, and without a node nothing is accepted", () => {
  expect(treeRounds({ paths: [], texts: [[]] }, [[0]])).toMatchObject({
    rounds: 0,
    tokens: 0,
    curve: [1, 0],
    reached: [0],
  });
  expect(treeRounds(kept([[[0], [0]]]), [])).toMatchObject({ rounds: 2, tokens: 2, curve: [1], reached: [] });
});
