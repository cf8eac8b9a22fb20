import { expect, test } from "vitest";
import { drafterText } from "../../src/schema/plan-text.js";

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
