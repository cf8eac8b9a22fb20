/** A draft with a cache of its own: what it holds, what it runs to keep it so, and what it may not touch. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { silentProgress } from "../../../src/core/progress.js";
import type { Drafter } from "../../../src/decode/drafters/drafter.js";
import { OwnCache } from "../../../src/decode/drafters/own-cache.js";
import { selfDrafter } from "../../../src/decode/drafters/self.js";
import { standaloneDrafter } from "../../../src/decode/drafters/standalone.js";
import { type DraftPolicy, decode } from "../../../src/decode/loop.js";
import { acceptanceOf } from "../../../src/decode/statistics.js";
import { type ChoiceSet, uniformChoices } from "../../../src/schema/choice.js";
import { fakeNextToken, naiveGreedy } from "../../oracle/naive-greedy.js";
import { type FakeOptions, fakeEngine } from "../../support/fake-model.js";
import { trials } from "../../support/long.js";
import { repeatDrafter } from "../../support/repeat-drafter.js";

const VOCAB = 6;
const LAYERS = 3;
const int8 = uniformChoices(LAYERS, "int8");
const skipping: ChoiceSet = { ...int8, blocks: int8.blocks.with(2, "skip") };

function standalone(options: FakeOptions = {}, choices: readonly ChoiceSet[] = [int8]) {
  const { engine, clock } = fakeEngine({ vocab: VOCAB, layers: LAYERS, ...options });
  const own = engine.withOwnCache();
  const cache = new OwnCache(own);
  return { engine, clock, own, drafters: choices.map((set) => standaloneDrafter(set, cache)) };
}

/** What the fake's cache holds of a text that a draft alone ran over. */
const draftCells = (text: readonly number[]) => text.map((id) => -(id + 1));

/** The draft's own greedy choices behind a text, by an engine that has run nothing else. */
function alone(text: readonly number[], choices: ChoiceSet, draftTokens: number, options: FakeOptions): number[] {
  const { engine } = fakeEngine({ vocab: VOCAB, layers: LAYERS, ...options });
  const drafted: number[] = [];
  for (let i = 0; i < draftTokens; i++) {
    const input = [...text, ...drafted];
    const { logits } = engine.run({ position: 0, input, choices, logitRows: 1 });
    drafted.push(logits.indexOf(Math.max(...logits)));
  }
  return drafted;
}

test("whoever drafts between, it drafts as an engine that runs the draft alone, and holds the text's states", async () => {
  const cases = fc.record({
    prompt: fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 8 }),
    missRate: fc.constantFrom(0, 0.2, 0.6, 1),
    plan: fc.array(fc.option(fc.record({ who: fc.nat(3), draftTokens: fc.integer({ min: 1, max: 7 }) })), {
      minLength: 1,
      maxLength: 6,
    }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ prompt, missRate, plan }) => {
      const { engine, clock, own, drafters } = standalone({ missRate }, [int8, skipping]);
      const sets = [int8, skipping];
      const watched = drafters.map(
        (drafter, i): Drafter => ({
          ...drafter,
          draft(state, draftTokens) {
            const proposal = drafter.draft(state, draftTokens);
            const { text } = state;
            expect(proposal.tokens).toEqual(alone(text, sets[i], draftTokens, { missRate }));
            const held = [...text, ...proposal.tokens.slice(0, -1)];
            expect(Array.from(own.readCache(0, "key", 0, held.length))).toEqual(draftCells(held));
            return proposal;
          },
        }),
      );
      const all = [...watched, selfDrafter(int8), repeatDrafter];
      const policy: DraftPolicy = (context) => {
        const round = plan[context % plan.length];
        return round === null ? null : { drafter: all[round.who], draftTokens: round.draftTokens };
      };
      const options = { maxTokens: 40, endTokens: [], clock, policy };
      for (const begin of [prompt, [...prompt].reverse()]) {
        const { ids } = await decode(engine, begin, options);
        expect(ids).toEqual(naiveGreedy((text) => fakeNextToken(text, VOCAB), begin, 40, []));
      }
    }),
    { seed: 1919, numRuns: trials(40, 400) },
  );
});

test("the target's cache is neither read nor written by it: every pass of the target's engine is the target's", async () => {
  const { engine, clock, drafters } = standalone({ missRate: 0.4 });
  const policy = () => ({ drafter: drafters[0], draftTokens: 3 });
  await decode(engine, [1, 2, 3], { maxTokens: 40, endTokens: [], clock, policy });
  expect(engine.passes.every(({ choices }) => choices.blocks.every((choice) => choice === "target"))).toBe(true);
});

test("a draft accepted entirely leaves two tokens to catch up with, a rejection one, plain steps as many as they were", async () => {
  const passes = async (missRate: number, policyOf: (drafter: Drafter) => DraftPolicy) => {
    const { engine, clock, own, drafters } = standalone({ missRate });
    await decode(engine, [1, 2, 3], { maxTokens: 14, endTokens: [], clock, policy: policyOf(drafters[0]) });
    return own.passes.map(({ position, q }) => [position, q]);
  };
  const three = (drafter: Drafter) => () => ({ drafter, draftTokens: 3 });
  // it begins in the first round: the prompt and the first token; then that token again, for its logits
  const begun = [
    [0, 4],
    [3, 1],
    [4, 1],
    [5, 1],
  ];
  expect((await passes(0, three)).slice(0, 7)).toEqual([...begun, [6, 2], [8, 1], [9, 1]]);
  expect((await passes(1, three)).slice(0, 7)).toEqual([...begun, [4, 1], [5, 1], [6, 1]]);
  const late = (drafter: Drafter) => (n: number) => (n === 3 || n >= 10 ? { drafter, draftTokens: 2 } : null);
  // of the first draft [3] and [4] stand where nothing is missed: 5 is the first of the rest
  expect((await passes(0, late)).slice(0, 5)).toEqual([
    [0, 4],
    [3, 1],
    [4, 1],
    [5, 6],
    [11, 1],
  ]);
});

test("a long prompt is read in passes that the engine's buffers hold, and interrupted between them", async () => {
  const { own } = standalone({ context: 2048 });
  const cache = new OwnCache(own);
  const prompt = Array.from({ length: 1100 }, (_, i) => i % VOCAB);
  let ticks = 0;
  const progress = { ...silentProgress, tick: async () => void ticks++ };
  await standaloneDrafter(int8, cache).begin?.(prompt, progress);
  expect(own.passes.map(({ q }) => q)).toEqual([512, 512, 76]);
  expect(ticks).toBe(3);
});

test("what a draft over the target's cache accepts says nothing of it: a planted difference is measured as planted", async () => {
  const rates = async (drafterOf: (own: Drafter) => Drafter) => {
    const { engine, clock, drafters } = standalone({ vocab: 50, missRate: 0.1, ownMissRate: 0.7, context: 4096 });
    const policy = () => ({ drafter: drafterOf(drafters[0]), draftTokens: 4 });
    const { rounds } = await decode(engine, [1, 2, 3], { maxTokens: 1500, endTokens: [], clock, policy });
    return acceptanceOf(rounds).acceptance;
  };
  // 5 standard errors of a rate over at least 900 trials
  expect(await rates(() => selfDrafter(int8))).toBeCloseTo(0.9, 1);
  expect(await rates((own) => own)).toBeCloseTo(0.3, 1);
});

test("another draft's keys and values are no use: the prompt is read again where drafts take turns", async () => {
  const { engine, clock, own, drafters } = standalone({ missRate: 0 }, [int8, skipping]);
  const policy: DraftPolicy = (n) => ({ drafter: drafters[n < 10 ? 0 : 1], draftTokens: 2 });
  await decode(engine, [1, 2, 3], { maxTokens: 14, endTokens: [], clock, policy });
  const first = own.passes.findIndex(({ choices }) => choices.blocks[2] === "skip");
  expect(own.passes[first]).toMatchObject({ position: 0 });
  expect(own.passes.slice(0, first).every(({ choices }) => choices.blocks[2] === "int8")).toBe(true);
});
