/** Arms of every drafter say what plain decoding says, and cost what a profile says of their nodes. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type AdaptiveDraft, requestOf } from "../../../src/decode/adaptive/arms.js";
import type { Heads } from "../../../src/decode/drafters/heads.js";
import type { DraftModel } from "../../../src/decode/drafters/model.js";
import { OwnCache } from "../../../src/decode/drafters/own-cache.js";
import { type DraftPolicy, decode } from "../../../src/decode/loop.js";
import { DrafterShelf, hybridArm, lookupArm, singleArm } from "../../../src/pipeline/generate/adaptive-arms.js";
import { uniformChoices } from "../../../src/schema/choice.js";
import { type ContextData, modelOf, type SingleDrafter } from "../../../src/solve/index.js";
import { headsDrafter } from "../../../src/solve/trees/heads.js";
import { fakeNextToken, naiveGreedy } from "../../oracle/naive-greedy.js";
import { fakeEngine } from "../../support/fake-model.js";
import { trials } from "../../support/long.js";

const VOCAB = 4;
const LAYERS = 3;
const LONGEST = 6;
const SHA = { heads: "ab".repeat(32), model: "cd".repeat(32) };
const guesses = Int32Array.from([0, 1, 2, 3, 1, 0, 3, 2]);
const heads: Heads = {
  ...{ kind: "medusa", heads: 2, ranks: VOCAB, sha256: SHA.heads },
  guess: (_hidden, depth) => guesses.subarray(depth * VOCAB, (depth + 1) * VOCAB),
  guessAll: () => guesses,
  close: () => {},
};
const draftModel = (): DraftModel => {
  const { engine } = fakeEngine({ vocab: VOCAB, layers: 1, missRate: 0.2 });
  return { kind: "model", weightsSha256: SHA.model, cache: new OwnCache(engine), close: () => {} };
};
const tree = [[0], [1], [0, 0], [0, 1], [1, 0]];
const unknownText = { heads: new Map(), guessed: {}, measured: [] } as unknown as ContextData;

function armsOf(shelf: DrafterShelf): AdaptiveDraft[] {
  const singles: SingleDrafter[] = [
    { kind: "self", set: uniformChoices(LAYERS, "int8"), siblings: 0 },
    modelOf({ name: "small", weightsSha256: SHA.model, path: "small", kernel: "int8" }),
    headsDrafter({ path: "heads", sha256: SHA.heads }, tree),
  ];
  const alone = singles.map((drafter) => {
    const running = shelf.single(drafter);
    if (running === null) throw new Error(`${drafter.kind} is not open`);
    return singleArm(drafter, running, { curve: [1, 0.7, 0.5], tokens: 100 }, LONGEST);
  });
  const beside = { minMatch: 2, lookupTokens: 4, ngramTokens: { min: 1, max: 5 } };
  return [
    ...alone,
    lookupArm(unknownText, { min: 1, max: 5 }, shelf, LONGEST),
    ...alone.map((other) => hybridArm(unknownText, other, beside, shelf, LONGEST)),
  ];
}

test("any arms in any order, of any length, give what naive greedy decoding gives, and its cache", async () => {
  const cases = fc.record({
    prompt: fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 10 }),
    maxTokens: fc.integer({ min: 1, max: 60 }),
    rounds: fc.array(fc.option(fc.record({ arm: fc.nat(6), d: fc.integer({ min: 1, max: LONGEST }) })), {
      minLength: 1,
    }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ prompt, maxTokens, rounds }) => {
      const arms = armsOf(new DrafterShelf([heads, draftModel()]));
      expect(arms).toHaveLength(7);
      let asked = 0;
      const policy: DraftPolicy = Object.assign(
        () => {
          const round = rounds[asked++ % rounds.length];
          if (round === null) return null;
          const draft = arms[round.arm];
          return requestOf({ draft, draftTokens: Math.min(round.d, draft.hazards.length) });
        },
        { drafters: [...new Set(arms.flatMap(({ holders, drafter }) => holders ?? [drafter]))] },
      );
      const { engine, clock } = fakeEngine({ vocab: VOCAB, layers: LAYERS });
      const { ids } = await decode(engine, prompt, { maxTokens, endTokens: [], clock, policy });
      expect(ids).toEqual(naiveGreedy((text) => fakeNextToken(text, VOCAB), prompt, maxTokens));
      const held = [...prompt, ...ids].slice(0, -1);
      expect(Array.from(engine.readCache(0, "key", 0, held.length))).toEqual(held.map((id) => id + 1));
    }),
    { seed: 20205, numRuns: trials(40, 400) },
  );
});

test("a lookup's index follows the text once, however many arms ask it", () => {
  const arms = armsOf(new DrafterShelf([heads, draftModel()]));
  const lookups = arms
    .flatMap(({ holders, drafter }) => holders ?? [drafter])
    .filter(({ key }) => key.startsWith("lookup"));
  expect(new Set(lookups).size).toBe(1);
});

test("heads that hear the text's states are told them once, however many trees they fill", () => {
  const shelf = new DrafterShelf([{ ...heads, states: () => {} }]);
  const of = (tree: number[][]) => shelf.single(headsDrafter({ path: "heads", sha256: SHA.heads }, tree));
  const [first, second] = [of([[0]]), of([[0], [1]])];
  expect(first?.states).toBeDefined();
  expect(second?.states).toBeUndefined();
  expect(second?.key).not.toBe(first?.key);
  expect(of([[0]])).toBe(first);
});

test("what is not open, or not to such ranks or in such a kernel, is no arm", () => {
  const shelf = new DrafterShelf([{ ...heads, ranks: 1 }, draftModel()]);
  expect(shelf.single(headsDrafter({ path: "heads", sha256: SHA.heads }, tree))).toBeNull();
  expect(shelf.single(headsDrafter({ path: "heads", sha256: "00" }, [[0]]))).toBeNull();
  const small = { name: "small", weightsSha256: SHA.model, path: "small" };
  expect(shelf.single(modelOf({ ...small, kernel: "int4" }))).toBeNull();
  expect(shelf.single(modelOf({ ...small, kernel: "int8" }))).not.toBeNull();
});

test("a tree is verified at what its nodes cost, cut off at a depth at what those before it cost", () => {
  const [, , arm] = armsOf(new DrafterShelf([heads, draftModel()]));
  const latency = {
    draftUs: () => 0,
    verifyUs: (_n: number, d: number) => 100 + d,
    verifyTreeUs: (_n: number, nodes: number) => 1000 + nodes,
    stepUs: () => 100,
    roundUs: 1,
  };
  // two nodes of depth 1, three of depth 2
  expect([1, 2].map((d) => arm.verifyUs?.(latency, 10, d))).toEqual([1002, 1005]);
  const chain = singleArm(
    headsDrafter({ path: "heads", sha256: SHA.heads }, [[0], [0, 0]]),
    arm.drafter,
    { curve: [1, 0.5], tokens: 10 },
    LONGEST,
  );
  expect([1, 2].map((d) => chain.verifyUs?.(latency, 10, d))).toEqual([101, 102]);
});
