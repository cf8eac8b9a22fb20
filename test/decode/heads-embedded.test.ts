/** The embedded model with heads that guess well, at random, or wrong on purpose: the tokens of plain decoding. */

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Heads, headsDrafter } from "../../src/decode/drafters/heads.js";
import { decode } from "../../src/decode/loop.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import { headsBeside } from "../../src/model/heads/open.js";
import { systemClock } from "../../src/runtime/device.js";
import { openHeads } from "../../src/runtime/heads-engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { seededRandom } from "../../src/stats/random.js";
import { LONG, trials } from "../support/long.js";

const CPU = { provider: "cpu", threads: 1 };
const PROMPTS = trials(2, 20);
/** of heads that are wrong on purpose: every round rejects, so every prompt has as many rejections as tokens */
const WRONG_PROMPTS = trials(2, 6);
const TOKENS = trials(24, 64);
const [HEADS, RANKS] = [4, 10];
/** 29 nodes: wide at first, four deep */
const TREE = [
  ...Array.from({ length: RANKS }, (_, rank) => [rank]),
  ...[0, 1, 2].flatMap((first) => Array.from({ length: 4 }, (_, rank) => [first, rank])),
  ...[0, 1].flatMap((first) => [0, 1].map((second) => [first, second, 0])),
  [0, 0, 1],
  [0, 0, 0, 0],
  [0, 0, 1, 0],
];
const CHAIN = [[0], [0, 0], [0, 0, 0], [0, 0, 0, 0]];

let model: LoadedModel;
let trained: Heads;
let medusa: Heads;
/** [prompts] ids, and what plain decoding puts behind them */
let prompts: number[][];
let plain: number[][];

beforeAll(async () => {
  model = await loadModel("embedded", { ...CPU, capacity: 256 });
  const folder = headsBeside("embedded");
  if (folder === null) throw new Error("the embedded model has no heads beside it");
  trained = await openHeads(folder, model, { ...CPU, ranks: RANKS });
  medusa = await openHeads(join(folder, "..", "medusa-heads"), model, { ...CPU, ranks: RANKS });
  const random = seededRandom(1);
  prompts = Array.from({ length: PROMPTS }, () =>
    Array.from({ length: 3 + random.index(30) }, () => 5 + random.index(model.spec.vocabSize - 5)),
  );
  plain = [];
  for (const prompt of prompts) plain.push((await run(prompt, null)).ids);
});
afterAll(() => {
  trained?.close();
  medusa?.close();
  model?.close();
});

const run = (prompt: readonly number[], heads: Heads | null, tree: number[][] = TREE) => {
  const drafter = heads === null ? null : headsDrafter(heads, tree);
  const policy =
    drafter === null ? null : Object.assign(() => ({ drafter, draftTokens: HEADS }), { drafters: [drafter] });
  return decode(model.engine, prompt, { maxTokens: TOKENS, endTokens: [], clock: systemClock, policy });
};

/** Heads of the trained ones' shape that say something else: of a row, by rank, and what the trained ones say there. */
const made =
  (guess: (rank: number, of: Int32Array) => number): (() => Heads) =>
  () => ({
    ...{ kind: "hydra", heads: HEADS, ranks: RANKS, sha256: "ab".repeat(32) },
    guess(hidden, depth, path) {
      const all = trained.guess(hidden, depth, path); // [rows, ranks]
      return all.map((_, i) => {
        const rank = i % RANKS;
        return guess(rank, all.subarray(i - rank, i - rank + RANKS));
      });
    },
    close: () => {},
  });
const random = seededRandom(2);

const subjects: [string, () => Heads][] = [
  ["trained heads", () => trained],
  ["trained heads that are all asked at once", () => medusa],
  ["heads that guess at random", made(() => random.index(model.spec.vocabSize))],
  ["heads that name one token ten times", made((_rank, of) => of[0])],
  ["heads that leave out what they think", made((rank, of) => (of[rank] + 1) % model.spec.vocabSize)],
  ["heads that say the least likely first", made((rank, of) => of[RANKS - 1 - rank])],
];
const isTrained = (heads: Heads) => heads === trained || heads === medusa;

describe.each(LONG ? subjects : subjects.slice(0, 3))("%s", (_name, open) => {
  test("draft trees and chains, and the tokens are those of plain decoding", async () => {
    const heads = open();
    const rounds = [];
    for (const [i, prompt] of prompts.slice(0, isTrained(heads) ? PROMPTS : WRONG_PROMPTS).entries()) {
      for (const tree of [TREE, CHAIN]) {
        const decoded = await run(prompt, heads, tree);
        expect(decoded.ids).toEqual(plain[i]);
        if (tree === TREE) rounds.push(...decoded.rounds);
      }
    }
    expect(rounds.some(({ nodes }) => nodes === TREE.length)).toBe(true);
    if (isTrained(heads)) expect(acceptanceOf(rounds).acceptedLength).toBeGreaterThan(1.3);
  });
});
