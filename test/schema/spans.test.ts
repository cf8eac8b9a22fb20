/** How a span is written, where it may stand, and what is said where it may not. */
import { describe, expect, test } from "vitest";
import { parseChoices } from "../../src/pipeline/choices.js";
import { checkBlocks } from "../../src/schema/blocks.js";
import {
  type Choice,
  choiceFault,
  compactDraft,
  describeChoices,
  everywhere,
  expandDraft,
  kernelOf,
  kernelsFor,
  layerSpans,
  orderedChoices,
  spanOf,
  tokensRead,
} from "../../src/schema/choice.js";
import { parseDocument, stringifyDocument } from "../../src/schema/document.js";
import { refuseSpans } from "../../src/schema/draft-cache.js";
import { plan } from "../support/example-documents.js";
import { expectFailure } from "../support/failure.js";

test.each(["target@16", "int8@512", "int4@65536"])("%s is a choice", (text) => {
  expect(choiceFault(text)).toBeNull();
  expect(kernelOf(text as Choice)).toBe(text.split("@")[0]);
  expect(spanOf(text as Choice)).toBe(Number(text.split("@")[1]));
});

test.each([
  ["int8@15", /span of 15 tokens.*16 to 65536/],
  ["int8@65537", /span of 65537 tokens/],
  ["skip@64", /'skip@64' is none of/],
  ["int9@64", /'int9@64' is none of/],
  ["int8@", /none of/],
  ["int8@064", /none of/],
  ["int8@6e4", /none of/],
  ["int8@-64", /none of/],
  ["int8@64@64", /none of/],
  ["@64", /none of/],
])("%s is not, and it is said why", async (text, said) => {
  expect(choiceFault(text)).toMatch(said);
  await expectFailure(() => parseChoices(["skip", text]), "OPTION_INVALID", said);
});

test("--choices are put in order, a kernel before its spans, and each is taken once", () => {
  expect(parseChoices(["int4@64", "skip", "int8@256", "int8@1024", "int8", "target@64", "int8"])).toEqual([
    ...["target@64", "int8", "int8@1024", "int8@256", "int4@64", "skip"],
  ]);
  expect(kernelsFor(["int4@64", "skip"])).toEqual(["target", "int4"]);
  expect(orderedChoices(["target", "skip", "target@64"])).toEqual(["target", "target@64", "skip"]);
});

const draft = (choices: Record<string, Choice>) => ({
  default: "int8" as const,
  head: "int8" as const,
  skip: [],
  choices,
});

describe("a draft with spans", () => {
  const set = expandDraft(draft({ "0.attn": "int8@64", "1.attn": "target@16" }), 3, "draft");

  test("says which layers read how much", () => {
    expect(layerSpans(set)).toEqual([64, 16, null]);
    expect(layerSpans(expandDraft(draft({}), 3, "draft"))).toBeNull();
    expect(describeChoices(set)).toBe("target@16 1, int8 4, int8@64 1, head int8");
    expect(tokensRead(64, 1000)).toBe(68);
    expect(tokensRead(64, 60)).toBe(60);
  });

  test("is the same after it was written in short", () => {
    expect(expandDraft(compactDraft(set), 3, "draft")).toEqual(set);
    const all = everywhere(3, "int8@64");
    expect(compactDraft(all)).toMatchObject({ default: "int8", head: "int8", choices: { "2.attn": "int8@64" } });
    expect(expandDraft(compactDraft(all), 3, "draft")).toEqual(all);
  });

  test("is read from a plan as it was written", () => {
    const [segment] = plan().segments;
    const document = { ...plan(), segments: [{ ...segment, draft: draft({ "0.attn": "int8@64" }) }] };
    expect(parseDocument(stringifyDocument(document), "plan.yaml")).toEqual(JSON.parse(JSON.stringify(document)));
  });
});

test.each([
  ["of an MLP", { "0.mlp": "int8@64" as Choice }, /0\.mlp has the span int8@64, and an MLP reads no context/],
  ["of no kernel", { "0.attn": "int9@64" as Choice }, /'int9@64' is none of/],
  ["of too few tokens", { "0.attn": "int8@8" as Choice }, /span of 8 tokens/],
])("a plan with a span %s is refused", async (_what, choices, said) => {
  const [segment] = plan().segments;
  const written = stringifyDocument({ ...plan(), segments: [{ ...segment, draft: draft(choices) }] });
  const read = () => checkBlocks(parseDocument(written, "plan.yaml"), "plan.yaml");
  await expectFailure(read, "DOCUMENT_INVALID", said);
});

test("a plan cannot have a span for every block, since MLPs have none", async () => {
  const [segment] = plan().segments;
  const every = { ...draft({}), default: "int8@64" as "int8" };
  const written = stringifyDocument({ ...plan(), segments: [{ ...segment, draft: every }] });
  await expectFailure(() => parseDocument(written, "plan.yaml"), "DOCUMENT_INVALID", /segments\[0\]\.draft\.default/);
});

test("a draft with a cache of its own has no spans", async () => {
  await expectFailure(() => refuseSpans(["int8", "int8@64"], "--standalone"), "CHOICE_UNAVAILABLE", /int8@64.*own/);
  refuseSpans(["int8", "skip"], "--standalone");
});
