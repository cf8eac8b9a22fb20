import { expect, test } from "vitest";
import { drafterText, draftingText, refutedText } from "../../src/schema/plan-text.js";

const heads = (tree: number[][]) => ({ kind: "heads" as const, path: "heads", sha256: "a".repeat(64), tree });

test.each([
  ["a single node", [[2]], "heads, a chain"],
  ["nodes one behind the other, whatever their ranks", [[0], [0, 1], [0, 1, 0]], "heads, a chain"],
  ["two children of one parent", [[0], [1]], "heads, a tree of 2 nodes"],
  ["a branch at the end", [[0], [0, 0], [0, 1]], "heads, a tree of 3 nodes"],
])("%s", (_what, tree, text) => {
  expect(drafterText(heads(tree))).toBe(text);
});

test("without a drafter the model's own blocks draft", () => {
  expect(drafterText(undefined)).toBe("its own blocks");
});

test.each([
  [1, "1 token with heads, a chain"],
  [3, "3 tokens with heads, a chain"],
])("drafts of %i are counted in words that fit the number", (draft_tokens, text) => {
  const planned = { drafter: heads([[0]]), draft_tokens };
  expect(draftingText(planned, 2)).toBe(text);
  const refuted = [{ ...planned, at_context: 64, speedup: 0.9 }];
  const segment = { context_tokens: { from: 0, to: 100 }, speculate: false, refuted };
  expect(refutedText(segment, 2)).toContain(`a loss for ${text} (0.90 times`);
});
