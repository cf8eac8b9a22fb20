/** Trees of ranks become trees of tokens: held against naive look-ups of what made-up heads say of each path. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { greedy } from "../../../src/decode/accept/greedy.js";
import type { DraftState } from "../../../src/decode/drafters/drafter.js";
import { type Heads, headsDrafter } from "../../../src/decode/drafters/heads.js";
import { expandedOf } from "../../oracle/tree-speed.js";
import { fakeEngine } from "../../support/fake-model.js";

const [HEADS, RANKS, HIDDEN] = [4, 5, 3];
const PENDING = 7;

/** What these heads say: a number made of all that a head of this kind may look at. */
const told = (kind: Heads["kind"], state: number, depth: number, path: readonly number[], rank: number): number =>
  kind === "medusa"
    ? 1000 * state + 100 * depth + rank
    : (path.reduce((sum, token) => (31 * sum + token) % 9973, state + depth) + 17 * rank) % 9973;

interface Calls {
  guesses: { depth: number; path: number[]; rows: number }[];
  all: number;
}

function fakeHeads(kind: Heads["kind"]): Heads & { calls: Calls } {
  const calls: Calls = { guesses: [], all: 0 };
  const each = (hidden: Float32Array, answer: (state: number, row: number) => number[]) =>
    Int32Array.from(
      Array.from({ length: hidden.length / HIDDEN }, (_, row) => answer(hidden[row * HIDDEN], row)).flat(),
    );
  const ranked = (state: number, depth: number, path: number[]) =>
    Array.from({ length: RANKS }, (_, rank) => told(kind, state, depth, path, rank));
  const heads = {
    ...{ kind, heads: HEADS, ranks: RANKS, sha256: "ab".repeat(32), calls },
    guess(hidden: Float32Array, depth: number, path: ArrayLike<number>) {
      const rows = hidden.length / HIDDEN;
      calls.guesses.push({ depth, path: Array.from(path), rows });
      expect(path.length).toBe(rows * (depth + 1));
      return each(hidden, (state, row) =>
        ranked(state, depth, Array.from(path).slice(row * (depth + 1), (row + 1) * (depth + 1))),
      );
    },
    close() {},
  };
  if (kind === "hydra") return heads;
  return {
    ...heads,
    guessAll(hidden: Float32Array) {
      calls.all++;
      return each(hidden, (state) => Array.from({ length: HEADS }, (_, depth) => ranked(state, depth, [])).flat());
    },
  };
}

const STATE = 5;
function stateWith(context = 10, capacity = 100): DraftState {
  const { engine } = fakeEngine({ vocab: 8, layers: 2, capacity });
  const text = new Array(context + 1).fill(PENDING);
  const mostNodes = Math.min(63, capacity - context - 1);
  return {
    engine,
    text,
    context,
    pending: PENDING,
    hidden: Float32Array.of(STATE, 0, 0),
    mostNodes,
    choose: (logits: Float32Array) => greedy.choose(logits, text, []),
  };
}

/** Trees in any order that has parents first, of at most so many nodes. */
const trees = fc
  .array(fc.array(fc.nat(RANKS - 1), { minLength: 1, maxLength: HEADS }), { minLength: 1, maxLength: 12 })
  .map((paths) => {
    const known = new Map<string, number[]>();
    for (const path of paths)
      for (let n = 1; n <= path.length; n++) known.set(path.slice(0, n).join(), path.slice(0, n));
    return [...known.values()];
  });

describe.each(["medusa", "hydra"] as const)("%s heads", (kind) => {
  test("every node's token is what its head says of its rank and of the path before it", () => {
    fc.assert(
      fc.property(trees, fc.integer({ min: 1, max: HEADS }), (tree, depth) => {
        const heads = fakeHeads(kind);
        const { tokens, parents } = headsDrafter(heads, tree).draft(stateWith(), depth);
        const kept = tree.filter((path) => path.length <= depth);
        expect(tokens).toHaveLength(kept.length);
        kept.forEach((path, node) => {
          const parent = parents[node];
          expect(parent === null ? [] : kept[parent]).toEqual(path.slice(0, -1));
          if (parent !== null) expect(parent).toBeLessThan(node);
          const before = [PENDING];
          for (let n = 1; n < path.length; n++)
            before.push(tokens[kept.findIndex((other) => other.join() === path.slice(0, n).join())]);
          expect(tokens[node]).toBe(told(kind, STATE, path.length - 1, before, path[path.length - 1]));
        });
        if (kind === "medusa") expect(heads.calls).toEqual({ guesses: [], all: 1 });
        else
          expect(heads.calls.guesses.map((call) => call.depth)).toEqual(
            [...new Set(kept.map((p) => p.length - 1))].sort(),
          );
      }),
      { numRuns: 300, seed: 17 },
    );
  });

  test("no more nodes than a pass has rows for, and than the cache has room for", () => {
    const chain = Array.from({ length: HEADS }, (_, i) => new Array(i + 1).fill(0));
    const drafter = headsDrafter(fakeHeads(kind), chain);
    expect(drafter.draft(stateWith(96), HEADS).tokens).toHaveLength(3);
    expect(drafter.draft(stateWith(99), HEADS).tokens).toHaveLength(0);
    expect(drafter.draft(stateWith(10), 2).tokens).toHaveLength(2);
    const wide = Array.from({ length: RANKS }, (_, a) => [
      [a],
      ...Array.from({ length: RANKS }, (_, b) => [
        [a, b],
        [a, b, 0],
        [a, b, 1],
      ]).flat(),
    ]).flat();
    expect(wide).toHaveLength(80);
    const { tokens } = headsDrafter(fakeHeads(kind), wide).draft(stateWith(), HEADS);
    expect(tokens).toHaveLength(63);
  });

  test("nothing where there is no state yet", () => {
    const drafter = headsDrafter(fakeHeads(kind), [[0]]);
    expect(drafter.draft({ ...stateWith(), hidden: null }, 4)).toEqual({ tokens: [], parents: [] });
  });
});

test("Hydra's heads are asked once a depth, of paths that go on and of no others", () => {
  const heads = fakeHeads("hydra");
  headsDrafter(heads, [[0], [1], [2], [0, 0], [0, 1], [2, 0], [2, 0, 4]]).draft(stateWith(), HEADS);
  expect(heads.calls.guesses.map(({ depth, rows }) => [depth, rows])).toEqual([
    [0, 1],
    [1, 2],
    [2, 1],
  ]);
});

test.each([
  ["a child before its parent", [[0, 0], [0]], "tree[0]", "[0] is not before [0,0]"],
  ["a node twice", [[0], [0]], "tree[1]", "[0] is there twice"],
  ["a rank that is not listed", [[5]], "tree[0]", "rank 5 is not among the 5"],
  [
    "deeper than there are heads",
    [[0], [0, 0], [0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0, 0]],
    "tree[4]",
    "there are 4 heads",
  ],
  ["a node without ranks", [[]], "tree[0]", "no ranks"],
  ["a rank that is no number of a place", [[0.5]], "tree[0]", "rank 0.5"],
])("refuses %s", (_, tree, at, what) => {
  expect(() => headsDrafter(fakeHeads("medusa"), tree)).toThrow(
    expect.objectContaining({ code: "TREE_INVALID", at, what: expect.stringContaining(what) }),
  );
});

test("drafters of other heads or other trees have other keys", () => {
  const heads = fakeHeads("medusa");
  const keys = [
    headsDrafter(heads, [[0]]),
    headsDrafter(heads, [[1]]),
    headsDrafter(heads, [[0], [1]]),
    headsDrafter({ ...heads, sha256: "cd".repeat(32) }, [[0]]),
  ].map(({ key }) => key);
  expect(new Set(keys).size).toBe(4);
});

test("a draft is priced by the passes that it takes: the nodes that have children at each depth it goes to", () => {
  const tree = [[0], [1], [0, 0], [2], [1, 0], [0, 0, 3], [0, 1], [1, 0, 0], [0, 0, 3, 1]];
  const written = tree.map((ranks) => ranks.join());
  const asked: { sha256: string; rows: readonly number[] }[] = [];
  const prices = {
    draftUs: () => Number.NaN,
    headsUs: (sha256: string, rows: readonly number[]) => {
      asked.push({ sha256, rows });
      return 100 * rows.length + rows.reduce((sum, n) => sum + n, 0);
    },
  };
  for (const kind of ["medusa", "hydra"] as const) {
    const heads = fakeHeads(kind);
    const drafter = headsDrafter(heads, tree);
    for (let depth = 1; depth <= 4; depth++) {
      const rows = expandedOf(written.filter((node) => node.split(",").length <= depth));
      expect(drafter.costUs(prices, 300, depth)).toBe(100 * depth + rows.reduce((sum, n) => sum + n, 0));
      expect(asked.at(-1)).toEqual({ sha256: heads.sha256, rows });
    }
    // a profile that knows no heads prices none
    expect(drafter.costUs({ draftUs: () => Number.NaN }, 300, 4)).toBe(0);
  }
});
