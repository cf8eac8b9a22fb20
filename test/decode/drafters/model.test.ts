/** Another model's cache follows the text, whoever wrote it and whatever was rejected. */
import { describe, expect, test } from "vitest";
import { silentProgress } from "../../../src/core/progress.js";
import { greedy } from "../../../src/decode/accept/greedy.js";
import { chain, type Drafter, type DraftState, NOTHING } from "../../../src/decode/drafters/drafter.js";
import { hybridDrafter } from "../../../src/decode/drafters/hybrid.js";
import { lookupDrafter } from "../../../src/decode/drafters/lookup.js";
import { type DraftModel, modelDrafter } from "../../../src/decode/drafters/model.js";
import { OwnCache } from "../../../src/decode/drafters/own-cache.js";
import { type DraftPolicy, decode } from "../../../src/decode/loop.js";
import { acceptanceOf } from "../../../src/decode/statistics.js";
import { fakeNextToken, naiveGreedy } from "../../oracle/naive-greedy.js";
import type { FakeEngine } from "../../support/fake-engine.js";
import { type FakeOptions, fakeEngine } from "../../support/fake-model.js";

const VOCAB = 50;
const next = (text: readonly number[]) => fakeNextToken(text, VOCAB);

function opened(options: FakeOptions = {}): DraftModel & { engine: FakeEngine } {
  const { engine } = fakeEngine({ vocab: VOCAB, layers: 1, missRate: 0.3, ...options });
  const cache = new OwnCache(engine);
  return { kind: "model", weightsSha256: "e".repeat(64), cache, close: () => engine.close(), engine };
}

/** Decodes with a policy, and compares with naive greedy decoding. */
async function decodeChecked(policy: DraftPolicy, { prompt = [3, 1, 2], maxTokens = 80 } = {}) {
  const { engine, clock } = fakeEngine({ vocab: VOCAB });
  const decoded = await decode(engine, prompt, { maxTokens, endTokens: [], clock, policy });
  expect(decoded.ids).toEqual(naiveGreedy(next, prompt, maxTokens, []));
  return decoded;
}

test("a draft model that always agrees: every drafted token stands, and every pass but the first is one of few tokens", async () => {
  const model = opened();
  const drafter = modelDrafter(model, "target");
  const { rounds } = await decodeChecked(() => ({ drafter, draftTokens: 4 }));
  expect(acceptanceOf(rounds).acceptance).toBe(1);
  // behind the prompt: what the round before emitted beyond what was drafted, then token by token
  expect(Math.max(...model.engine.passes.slice(1).map(({ q }) => q))).toBeLessThanOrEqual(2);
});

test("one that misses now and then goes on as if it had written nothing wrong", async () => {
  const model = opened();
  const drafter = modelDrafter(model, "int8");
  const { rounds } = await decodeChecked(() => ({ drafter, draftTokens: 5 }));
  const { acceptance } = acceptanceOf(rounds);
  expect(acceptance).toBeGreaterThan(0.4);
  expect(acceptance).toBeLessThan(1);
  // its cells are those of the text, each marked as a draft's
  const held = model.engine.readCache(0, "value", 0, 40).map(Math.abs);
  const text = [3, 1, 2, ...naiveGreedy(next, [3, 1, 2], 80, [])];
  expect(Array.from(held)).toEqual(text.slice(0, 40).map((id) => id + 1));
});

test("rounds of others are caught up with in one pass", async () => {
  const model = opened();
  const drafter = modelDrafter(model, "target");
  const policy: DraftPolicy = (context) => (context < 30 ? null : { drafter, draftTokens: 3 });
  const { rounds } = await decodeChecked(Object.assign(policy, { drafters: [drafter] }));
  expect(acceptanceOf(rounds.filter(({ drafted }) => drafted > 0)).acceptance).toBe(1);
  expect(model.engine.passes.map(({ q }) => q).slice(0, 3)).toEqual([3, 28, 1]);
});

test("a second text that begins as the first did is not read again", async () => {
  const model = opened();
  const drafter = modelDrafter(model, "target");
  const policy: DraftPolicy = Object.assign(() => ({ drafter, draftTokens: 3 }), { drafters: [drafter] });
  await decodeChecked(policy, { prompt: [3, 1, 2, 4, 5] });
  const before = model.engine.passes.length;
  await decodeChecked(policy, { prompt: [3, 1, 2, 4, 6] });
  expect(model.engine.passes[before]).toMatchObject({ position: 4, q: 1 });
});

describe("where it cannot draft it proposes nothing, and decoding goes on", () => {
  test("its own context ends before the target's", async () => {
    const model = opened({ context: 40 });
    const drafter = modelDrafter(model, "target");
    const { rounds } = await decodeChecked(() => ({ drafter, draftTokens: 4 }));
    // of the last draft only what fits: the last token drafted need not be in the cache
    for (const { context, nodes } of rounds.slice(0, -1)) expect(nodes).toBe(Math.max(0, Math.min(4, 40 - context)));
  });

  test("a prompt longer than its context", async () => {
    const model = opened({ context: 8 });
    const drafter = modelDrafter(model, "target");
    const policy: DraftPolicy = Object.assign(() => ({ drafter, draftTokens: 4 }), { drafters: [drafter] });
    const { rounds } = await decodeChecked(policy, { prompt: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] });
    expect(rounds.every(({ drafted }) => drafted === 0)).toBe(true);
    expect(model.engine.passes).toEqual([]);
  });

  test("a token that it does not have", async () => {
    const model = opened({ vocab: 20 });
    const drafter = modelDrafter(model, "target");
    const { ids, rounds } = await decodeChecked(() => ({ drafter, draftTokens: 4 }));
    const unknown = 3 + ids.findIndex((id) => id >= 20);
    expect(unknown).toBeGreaterThan(2);
    expect(rounds.filter(({ context }) => context >= unknown).every(({ drafted }) => drafted === 0)).toBe(true);
  });

  test("tokens that the target does not have are not drafted", async () => {
    const model = opened({ vocab: 3 * VOCAB });
    const choose = (logits: Float32Array) => greedy.choose(logits, [], []);
    const { tokens } = modelDrafter(model, "target").draft(
      { text: [1, 2], engine: { spec: { vocabSize: VOCAB } }, choose } as unknown as DraftState,
      4,
    );
    expect(tokens.length).toBe(4);
    for (const token of tokens) expect(token).toBeLessThan(VOCAB);
  });
});

describe("a hybrid", () => {
  const state = {} as DraftState;
  const other = (tokens: number[]): Drafter => ({
    key: "other",
    draft: (_state, draftTokens) => (tokens.length === 0 ? NOTHING : chain(tokens.slice(0, draftTokens))),
    costUs: () => 7,
  });
  const drafted = async (text: number[], tokens: number[], asked = 9) => {
    const options = { minMatch: 2, lookupTokens: 4, otherwiseTokens: 2 };
    const drafter = hybridDrafter(lookupDrafter({ min: 1, max: 3 }), other(tokens), options);
    await drafter.begin?.(text, silentProgress);
    return drafter.draft(state, asked).tokens;
  };
  test.each([
    ["looks up where enough tokens match, up to its own length", [1, 2, 3, 4, 5, 1, 2], 9, [3, 4, 5, 1]],
    ["never more than asked for", [1, 2, 3, 4, 5, 1, 2], 1, [3]],
    ["else the other drafts, up to its own length", [1, 2, 3, 4, 9, 2], 9, [8, 8]],
  ])("%s", async (_what, text, asked, tokens) => {
    expect(await drafted(text, [8, 8, 8, 8], asked)).toEqual(tokens);
  });

  test("a shorter match is better than nothing", async () => {
    expect(await drafted([1, 2, 3, 4, 9, 2], [])).toEqual([3, 4, 9, 2]);
    expect(await drafted([1, 2, 3, 4, 9, 6], [])).toEqual([]);
  });

  test("with another model: while the lookup drafts, the model's cache waits", async () => {
    const model = opened();
    const hybrid = hybridDrafter(lookupDrafter({ min: 1, max: 3 }), modelDrafter(model, "target"), {
      ...{ minMatch: 2, lookupTokens: 6, otherwiseTokens: 3 },
    });
    await decodeChecked(() => ({ drafter: hybrid, draftTokens: 6 }), { prompt: [4, 5, 6, 7, 4, 5], maxTokens: 200 });
  });
});
