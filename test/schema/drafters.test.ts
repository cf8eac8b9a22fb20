/** The keys of drafters that are no part of the model: lookups, other models, and a lookup beside either. */
import { describe, expect, test } from "vitest";
import type { Comparison } from "../../src/schema/comparison.js";
import { type AnyDocument, parseDocument, stringifyDocument } from "../../src/schema/document.js";
import type { DrafterRef } from "../../src/schema/drafter.js";
import { mainDrafter } from "../../src/schema/drafter.js";
import type { Plan, Segment } from "../../src/schema/plan.js";
import { draftText } from "../../src/schema/plan-text.js";
import { comparison, plan } from "../support/example-documents.js";
import { failureOf } from "../support/failure.js";

const read = (document: AnyDocument) => parseDocument(stringifyDocument(document), "some.yaml") as Plan;
const ngram_tokens = { min: 2, max: 4 };
const lookup: DrafterRef = { kind: "lookup", ngram_tokens };
const model: DrafterRef = {
  ...{ kind: "model", name: "small", weights_sha256: "a".repeat(64), path: "../small", kernel: "int8" },
};
const heads: DrafterRef = { kind: "heads", path: "heads", sha256: "b".repeat(64), tree: [[0], [0, 0]] };
const hybrid = (otherwise: Extract<DrafterRef, { kind: "hybrid" }>["otherwise"], more = {}): DrafterRef => ({
  ...{ kind: "hybrid", lookup: { min_match: 3, ngram_tokens, ...more }, otherwise },
});
const [{ draft: blocks, context_tokens }] = plan().segments;

/** The example's first segment with another drafter, and nothing predicted. */
const withSegment = (segment: Partial<Segment>): Plan => {
  const document = plan();
  const [, ...others] = document.segments;
  return { ...document, segments: [{ context_tokens, speculate: true, draft_tokens: 2, ...segment }, ...others] };
};

test.each([
  ["a lookup", { drafter: lookup }, "a lookup of 2 to 4 tokens"],
  [
    "a lookup from several places",
    { drafter: { ...lookup, branches: { count: 3, draft_tokens: 1 } } },
    "a lookup of 2 to 4 tokens from up to 3 places (1 token of each further one)",
  ],
  [
    "the same in front of another model",
    { drafter: hybrid(model, { draft_tokens: 6, branches: { count: 2, draft_tokens: 4 } }) },
    "a lookup of 3 to 4 tokens (6 tokens drafted) from up to 2 places (4 tokens of each further one), else small in int8",
  ],
  [
    "the model's own blocks with siblings of the last token",
    { drafter: { kind: "self", siblings: 2 }, draft: blocks },
    / and 2 siblings of the last token$/,
  ],
  ["another model", { drafter: model }, "small in int8"],
  ["another model as it is", { drafter: { ...model, kernel: "target" as const } }, "small in its own precision"],
  ["a lookup, else another model", { drafter: hybrid(model) }, "a lookup of 3 to 4 tokens, else small in int8"],
  [
    "a lookup, else the model's own blocks",
    { drafter: hybrid({ kind: "self" }, { draft_tokens: 8 }), draft: blocks },
    /^a lookup of 3 to 4 tokens \(8 tokens drafted\), else .*head/,
  ],
  ["a lookup, else heads", { drafter: hybrid(heads) }, "a lookup of 3 to 4 tokens, else heads, a chain"],
])("%s: read as it was written, and said in words", (_what, segment, words) => {
  const document = withSegment(segment as Partial<Segment>);
  expect(read(document)).toEqual(document);
  const text = draftText(document.segments[0], document.model.layers);
  if (typeof words === "string") expect(text).toBe(words);
  else expect(text).toMatch(words);
});

test("a comparison's row may name its drafter, whose depth is its draft length", () => {
  const document = comparison();
  Object.assign(document.contexts[0].rows[0], { drafter: heads, draft: undefined, draft_tokens: 2 });
  const written = parseDocument(stringifyDocument(document), "c.yaml") as Comparison;
  expect(written.contexts[0].rows[0].drafter).toEqual(heads);
  Object.assign(document.contexts[0].rows[0], { draft_tokens: 3 });
  expect(() => parseDocument(stringifyDocument(document), "c.yaml")).toThrow(/the tree is 2 deep/);
  Object.assign(document.contexts[0].rows[0], { draft_tokens: undefined });
  expect(() => parseDocument(stringifyDocument(document), "c.yaml")).toThrow(/come together/);
});

test("the drafter beside a lookup is the segment's main one", () => {
  expect(mainDrafter(undefined)).toEqual({ kind: "self" });
  expect(mainDrafter(lookup)).toEqual(lookup);
  expect(mainDrafter(hybrid(heads))).toEqual(heads);
});

describe("is refused:", () => {
  test.each([
    ["n-grams of no token", { drafter: { kind: "lookup", ngram_tokens: { min: 0, max: 4 } } }, /min: /],
    [
      "more at least than at most",
      { drafter: { kind: "lookup", ngram_tokens: { min: 4, max: 3 } } },
      /min is above max/,
    ],
    ["n-grams beyond 16", { drafter: { kind: "lookup", ngram_tokens: { min: 2, max: 17 } } }, /max: /],
    ["blocks beside a lookup", { drafter: lookup, draft: blocks }, /draft: .*the drafter is lookup/],
    ["blocks beside another model", { drafter: model, draft: blocks }, /draft: .*the drafter is model/],
    ["no blocks for a hybrid of them", { drafter: hybrid({ kind: "self" }) }, /draft: .*missing/],
    ["another depth than the tree's", { drafter: hybrid(heads), draft_tokens: 3 }, /draft_tokens: .*2 deep/],
    ["a match that is longer than any looked up", { drafter: hybrid(model, { min_match: 5 }) }, /min_match is above/],
    ["a hybrid in a hybrid", { drafter: hybrid(hybrid(model) as never) }, /otherwise/],
    ["a kernel that is none", { drafter: { ...model, kernel: "int3" } }, /kernel: /],
    [
      "further places of more tokens than the first",
      { drafter: { ...lookup, branches: { count: 2, draft_tokens: 3 } } },
      /branches of 3 tokens are longer than the lookup's 2/,
    ],
    ["one place that is none further", { drafter: { ...lookup, branches: { count: 1, draft_tokens: 1 } } }, /count: /],
    [
      "more nodes than a pass has rows",
      { drafter: { ...lookup, branches: { count: 8, draft_tokens: 8 } }, draft_tokens: 8 },
      /64 nodes, and 63 is the most/,
    ],
    ["no digest", { drafter: { ...model, weights_sha256: "x" } }, /weights_sha256: /],
  ])("%s", async (_what, segment, said) => {
    const { code, at, message } = await failureOf(() => read(withSegment(segment as Partial<Segment>)));
    expect(code).toBe("DOCUMENT_INVALID");
    expect(`${at}: ${message}`).toMatch(said);
  });
});
