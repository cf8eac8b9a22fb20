/** How a short head is written, where it may stand, and the ranking that it is over. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rankTokens } from "../../src/calibrate/ranking.js";
import { parseChoices, planShortHeads } from "../../src/pipeline/choices.js";
import {
  type Choice,
  choiceFault,
  compactDraft,
  describeChoices,
  everywhere,
  expandDraft,
  headKernels,
  inTargetsTerms,
  kernelOf,
  orderedChoices,
  shortOf,
  spanOf,
  suits,
} from "../../src/schema/choice.js";
import { firstTokens, rankingOf, TokenRanking } from "../../src/schema/choices/ranking.js";
import { parseDocument, stringifyDocument } from "../../src/schema/document.js";
import { plan } from "../support/example-documents.js";
import { expectFailure } from "../support/failure.js";

test.each(["target:16", "int8:8192", "int4:1048576"])("%s is a choice, of the head alone", (text) => {
  expect(choiceFault(text)).toBeNull();
  const choice = text as Choice;
  expect(kernelOf(choice)).toBe(text.split(":")[0]);
  expect([shortOf(choice), spanOf(choice)]).toEqual([Number(text.split(":")[1]), null]);
  expect([suits(choice, "attn"), suits(choice, "mlp")]).toEqual([false, false]);
});

test.each([
  ["int8:15", /head over 15 tokens.*16 to 1048576/],
  ["int8:1048577", /head over 1048577 tokens/],
  ["skip:64", /'skip:64' is none of/],
  ["int8:064", /none of/],
  ["int8:64:64", /none of/],
  ["int8@64:64", /none of/],
  [":64", /none of/],
])("%s is not, and it is said why", async (text, said) => {
  expect(choiceFault(text)).toMatch(said);
  await expectFailure(() => parseChoices(["skip", text]), "OPTION_INVALID", said);
});

test("in order a kernel comes before its spans, and those before its short heads, the widest first", () => {
  const asked = ["int8:512", "skip", "int8@64", "int8", "int8:8192", "target:64", "int4"];
  expect(parseChoices(asked)).toEqual(["target:64", "int8", "int8@64", "int8:8192", "int8:512", "int4", "skip"]);
  expect(headKernels(orderedChoices(["target", "int8@64", "int8:512", "skip"]))).toEqual([
    ...["target", "int8", "int8:512"],
  ]);
});

test("a draft with one is written and read as it is, and the target's own kernel is the target's", () => {
  const set = everywhere(2, "int8:512");
  expect(set).toEqual({ blocks: ["int8", "int8", "int8", "int8"], head: "int8:512" });
  const draft = compactDraft(set);
  expect(draft).toEqual({ default: "int8", head: "int8:512", skip: [], choices: {} });
  expect(expandDraft(draft, 2, "plan")).toEqual(set);
  expect(describeChoices(set)).toBe("int8 4, head int8:512");
  expect(inTargetsTerms(set, "int8")).toEqual({ ...everywhere(2, "target"), head: "target:512" });
});

test("a block that is given one is refused, with the place", () =>
  expectFailure(
    () => expandDraft({ default: "int8", head: "int8", skip: [], choices: { "1.attn": "int8:512" } }, 2, "plan"),
    "DOCUMENT_INVALID",
    /1\.attn has the short head int8:512/,
  ));

describe("a ranking", () => {
  test("is written as documented: differences less 1, zigzag, seven bits a byte", () => {
    // 5 is 5 above 0: 10; 6 follows it: 0; 3 is 4 below 7: 7; 304 is 300 above 4: 600 = 4 · 128 + 88
    expect(Buffer.from(rankingOf([5, 6, 3, 304]).first, "base64")).toEqual(Buffer.from([10, 0, 7, 128 | 88, 4]));
  });

  test("gives the tokens that it lists, then the others by their number: for any list and any count", () => {
    const lists = fc.uniqueArray(fc.integer({ min: 0, max: 299 }), { minLength: 1, maxLength: 120 });
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 400 }), (ids, count) => {
        const ranking = rankingOf(ids);
        expect(TokenRanking.parse(ranking)).toEqual(ranking);
        const rest = Array.from({ length: 300 }, (_, id) => id).filter((id) => !ids.includes(id));
        expect(Array.from(firstTokens(ranking, count, 300))).toEqual([...ids, ...rest].slice(0, count));
      }),
    );
  });

  test.each([
    ["no base64", { listed: 1, first: "!" }],
    ["a number that goes on", { listed: 1, first: "gA==" }],
    ["fewer than it says", { listed: 2, first: rankingOf([4]).first }],
    ["a token twice", { listed: 2, first: Buffer.from([0, 1]).toString("base64") }],
    ["below 0", { listed: 1, first: Buffer.from([1]).toString("base64") }],
  ])("of %s is refused", (_name, ranking) => {
    expect(TokenRanking.safeParse(ranking).success).toBe(false);
  });

  test("a token beyond the vocabulary is no token of this model", () => {
    expect(() => firstTokens(rankingOf([7]), 3, 7)).toThrow(RangeError);
  });

  test("counts texts: what must be there first, then by how often, then by number", () => {
    const ranking = rankTokens(
      [
        [4, 4, 9, 2],
        [9, 4, 7, 2],
      ],
      [8, 1],
    );
    expect(Array.from(firstTokens(ranking, 10, 10))).toEqual([1, 8, 4, 2, 9, 7, 0, 3, 5, 6]);
    expect(ranking.counted_tokens).toBe(8);
  });
});

describe("a plan", () => {
  const made = plan();
  const segments = made.segments.map((segment) =>
    segment.draft === undefined ? segment : { ...segment, draft: { ...segment.draft, head: "int8:64" as const } },
  );
  const ranking = rankingOf([3, 1, 2], 99);
  const whole = { ...made, segments, ranking };

  test("with a short head has the tokens that it is over, and is read as it was written", async () => {
    expect(parseDocument(stringifyDocument(whole), "plan.yaml")).toEqual(whole);
    await expectFailure(
      () => parseDocument(stringifyDocument({ ...made, segments }), "plan.yaml"),
      "DOCUMENT_INVALID",
      /int8:64, and the plan has no ranking/,
    );
  });

  test("says which heads to open; two plans only over one ranking", async () => {
    expect(planShortHeads([made, null])).toBeUndefined();
    expect(planShortHeads([whole, made])).toEqual({ heads: ["int8:64"], ranking });
    expect(planShortHeads([whole], ["skip", "target:32"])).toEqual({ heads: ["target:32", "int8:64"], ranking });
    await expectFailure(
      () => planShortHeads([whole, { ...whole, ranking: rankingOf([1, 2]) }]),
      "DOCUMENT_MISMATCH",
      /different tokens/,
    );
  });
});
