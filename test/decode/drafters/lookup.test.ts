/** A lookup proposes what a search through the whole text would. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NgramIndex } from "../../../src/core/ngram-index.js";
import { silentProgress } from "../../../src/core/progress.js";
import type { DraftState, Proposal } from "../../../src/decode/drafters/drafter.js";
import { lookupDrafter } from "../../../src/decode/drafters/lookup.js";
import { naiveBranches, naiveLookup, naiveMatch } from "../../oracle/naive-lookup.js";
import { trials } from "../../support/long.js";

const nobody = {} as DraftState;

test("random text of few tokens: match and continuation are those of brute force, token by token", async () => {
  const cases = fc.record({
    text: fc.array(fc.nat(3), { minLength: 1, maxLength: 60 }),
    lengths: fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 4 })),
    prompt: fc.nat(10),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ text, lengths: [min, more], prompt }) => {
      const max = min + more;
      const drafter = lookupDrafter({ min, max });
      const begun = Math.min(text.length, 1 + prompt);
      await drafter.begin?.(text.slice(0, begun), silentProgress);
      for (let end = begun; end <= text.length; end++) {
        if (end > begun) drafter.extend?.([text[end - 1]]);
        const so = text.slice(0, end);
        expect(drafter.matched()).toBe(naiveMatch(so, min, max).tokens);
        for (const count of [1, 3, 9])
          expect(drafter.draft(nobody, count).tokens).toEqual(naiveLookup(so, min, max, count));
      }
    }),
    { seed: 20, numRuns: trials(150, 2000) },
  );
});

/** Every path from the root, as text. */
function pathsOf({ tokens, parents }: Proposal): string[] {
  const paths: string[] = [];
  for (const [node, parent] of parents.entries())
    paths.push(parent === null ? String(tokens[node]) : `${paths[parent]},${tokens[node]}`);
  return paths;
}

test("several places: the tree has the beginnings of what brute force finds behind them, and each once", async () => {
  const cases = fc.record({
    text: fc.array(fc.nat(3), { minLength: 1, maxLength: 60, size: "max" }),
    lengths: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 3 })),
    count: fc.integer({ min: 2, max: 8 }),
    first: fc.integer({ min: 1, max: 9 }),
    other: fc.integer({ min: 1, max: 6 }),
    mostNodes: fc.constantFrom(63, 63, 4, 1),
  });
  let trees = 0;
  await fc.assert(
    fc.asyncProperty(cases, async ({ text, lengths: [min, more], count, first, other, mostNodes }) => {
      const max = min + more;
      const drafter = lookupDrafter({ min, max }, { count, draft_tokens: other });
      await drafter.begin?.(text, silentProgress);
      const proposal = drafter.draft({ mostNodes } as DraftState, first);
      const found = naiveBranches(text, [min, max], { most: count, count: 16, places: 32 });
      const expected = found.flatMap((going, i) =>
        Array.from({ length: i === 0 ? first : Math.min(first, other) }, (_, k) => going.slice(0, k + 1).join()),
      );
      expect(pathsOf(proposal)).toEqual([...new Set(expected)].slice(0, mostNodes));
      if (proposal.parents.some((parent, node) => parent !== (node === 0 ? null : node - 1))) trees++;
      const chain = naiveLookup(text, min, max, first).slice(0, mostNodes);
      expect(proposal.tokens.slice(0, chain.length)).toEqual(chain);
    }),
    { seed: 21, numRuns: trials(200, 3000) },
  );
  expect(trees).toBeGreaterThan(trials(40, 600));
});

test("tokens of large ids are told apart", () => {
  const index = new NgramIndex(3);
  const a = 2 ** 18 - 1;
  index.extend([a, 0, 5, 0, a, 7, a, 0]);
  expect(index.match()).toEqual({ tokens: 2, followedAt: 2 });
});

describe("what is proposed", () => {
  const proposed = async (text: number[], min: number, max: number, count: number) => {
    const drafter = lookupDrafter({ min, max });
    await drafter.begin?.(text, silentProgress);
    return drafter.draft(nobody, count);
  };
  test.each([
    ["the longest match, though a shorter one is nearer", [1, 2, 9, 9, 3, 2, 8, 8, 1, 2], 1, 2, 2, [9, 9]],
    ["of two as long the later one", [1, 2, 5, 1, 2, 6, 1, 2], 2, 3, 1, [6]],
    ["a repetition, further than the text goes", [4, 5, 4, 5], 1, 3, 5, [4, 5, 4, 5, 4]],
    ["nothing where no n-gram of the least length stood before", [1, 2, 3, 2], 2, 3, 4, []],
    ["nothing at a text of one token", [1], 1, 3, 4, []],
  ])("%s", async (_what, text, min, max, count, tokens) => {
    const proposal = await proposed(text, min, max, count);
    expect(proposal.tokens).toEqual(tokens);
    expect(proposal.parents).toEqual(tokens.map((_, i) => (i === 0 ? null : i - 1)));
    expect(proposal.distributions).toBeUndefined();
  });
});

test("a new generation knows nothing of the one before", async () => {
  const drafter = lookupDrafter({ min: 1, max: 2 });
  await drafter.begin?.([1, 2, 1], silentProgress);
  expect(drafter.matched()).toBe(1);
  await drafter.begin?.([3, 1], silentProgress);
  expect(drafter.matched()).toBe(0);
});

test("a further token adds at most `max` entries, however long the text", () => {
  const sizes = [1_000, 20_000].map((length) => {
    const index = new NgramIndex(4);
    index.extend(Array.from({ length }, (_, i) => (i * 7919) % 5003));
    const before = index.size;
    index.extend([5004]);
    return index.size - before;
  });
  expect(Math.max(...sizes)).toBeLessThanOrEqual(4);
});
