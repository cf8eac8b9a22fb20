/** Trees of lookups: what comes out is what plain decoding gives, whatever the shape, with ends and limits inside of drafts. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import type { DraftState } from "../../src/decode/drafters/drafter.js";
import { hybridDrafter } from "../../src/decode/drafters/hybrid.js";
import { lookupDrafter } from "../../src/decode/drafters/lookup.js";
import { selfDrafter } from "../../src/decode/drafters/self.js";
import { decode } from "../../src/decode/loop.js";
import { uniformChoices } from "../../src/schema/choice.js";
import { fakeNextToken, naiveGreedy } from "../oracle/naive-greedy.js";
import type { TreeFault } from "../support/fake-engine.js";
import { fakeEngine } from "../support/fake-model.js";
import { heldText } from "../support/held-text.js";
import { trials } from "../support/long.js";

/** few tokens, so that each stood in many places */
const VOCAB = 6;
const naive = (prompt: readonly number[], maxTokens: number, endTokens: readonly number[] = []) =>
  naiveGreedy((text) => fakeNextToken(text, VOCAB), prompt, maxTokens, endTokens);
const PROMPT = [3, 1, 4, 1, 5, 3, 1, 2, 5, 3, 0];

test("any prompt, tree, end token, limit and room in the cache", async () => {
  const cases = fc.record({
    prompt: fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 30 }),
    min: fc.integer({ min: 1, max: 3 }),
    count: fc.integer({ min: 2, max: 8 }),
    other: fc.integer({ min: 1, max: 6 }),
    draftTokens: fc.integer({ min: 1, max: 9 }),
    maxTokens: fc.nat(60),
    spare: fc.constantFrom(0, 1, 7, 200),
    endTokens: fc.array(fc.nat(VOCAB - 1), { maxLength: 1 }),
    beside: fc.boolean(),
  });
  let moved = 0;
  await fc.assert(
    fc.asyncProperty(cases, async ({ prompt, min, count, other, draftTokens, maxTokens, spare, endTokens, beside }) => {
      const capacity = prompt.length + maxTokens + spare;
      const { engine, clock } = fakeEngine({ vocab: VOCAB, capacity });
      const lookup = lookupDrafter({ min, max: 5 }, { count, draft_tokens: other });
      const lengths = { lookupTokens: draftTokens, otherwiseTokens: 2 };
      const drafter = beside
        ? hybridDrafter(lookup, selfDrafter(uniformChoices(3, "int8")), { minMatch: 2, ...lengths })
        : lookup;
      const policy = () => ({ drafter, draftTokens });
      const { check: onTokens } = heldText(engine, prompt);
      const { ids, rounds } = await decode(engine, prompt, { maxTokens, endTokens, clock, policy, onTokens });
      expect(ids).toEqual(naive(prompt, maxTokens, endTokens));
      moved += rounds.filter(({ nodes, drafted, accepted }) => accepted > 0 && nodes > drafted).length;
    }),
    { seed: 20280, numRuns: trials(60, 1500) },
  );
  expect(moved).toBeGreaterThan(trials(60, 1500));
});

test.each<TreeFault>([
  "sibling visible",
  "no mask",
  "position by row",
  "cache not moved",
  "path order",
  "values not moved",
])("an engine with a fault gives other tokens: %s", async (treeFault) => {
  const { engine, clock } = fakeEngine({ vocab: VOCAB, treeFault });
  const drafter = lookupDrafter({ min: 1, max: 4 }, { count: 6, draft_tokens: 3 });
  const policy = () => ({ drafter, draftTokens: 3 });
  const { ids } = await decode(engine, PROMPT, { maxTokens: 120, endTokens: [], clock, policy });
  expect(ids).not.toEqual(naive(PROMPT, 120));
});

test("drafters that go on from other places are told apart, and one that goes on from one place is as before", async () => {
  const ngrams = { min: 1, max: 3 };
  const keys = [
    lookupDrafter(ngrams),
    lookupDrafter(ngrams, { count: 2, draft_tokens: 2 }),
    lookupDrafter(ngrams, { count: 3, draft_tokens: 2 }),
    lookupDrafter(ngrams, { count: 2, draft_tokens: 3 }),
  ].map(({ key }) => key);
  expect(new Set(keys).size).toBe(keys.length);
  expect(keys[0]).toBe("lookup 1 3");
  const [one, two] = [lookupDrafter(ngrams), lookupDrafter(ngrams, { count: 2, draft_tokens: 1 })];
  for (const drafter of [one, two]) await drafter.begin?.([7, 1, 7, 2, 7], silentProgress);
  const state = { mostNodes: 63 } as DraftState;
  expect(one.draft(state, 2)).toEqual({ tokens: [2, 7], parents: [null, 0] });
  expect(two.draft(state, 2)).toEqual({ tokens: [2, 7, 1], parents: [null, 0, null] });
});
