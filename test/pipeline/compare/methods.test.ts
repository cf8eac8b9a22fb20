import { describe, expect, test } from "vitest";
import { continuePrompts } from "../../../src/calibrate/continuation.js";
import { METHOD_NAMES } from "../../../src/methods/names.js";
import { comparedMethods, mergeMeasured } from "../../../src/pipeline/compare/methods.js";
import { compareRequest } from "../../../src/pipeline/compare/options.js";
import { heldBackPrompts, promptsByContext } from "../../../src/pipeline/compare/prompts.js";
import { readCalibrationText } from "../../../src/pipeline/text/calibration-text.js";
import type { Calibration, MeasuredDraft } from "../../../src/schema/calibration.js";
import { choiceKey, compactDraft, expandDraft, uniformChoices } from "../../../src/schema/choice.js";
import type { Plan } from "../../../src/schema/plan.js";
import { planDocument } from "../../../src/solve/index.js";
import { openTokenizer } from "../../../src/tokenizer/open.js";
import { LAYERS, makeCalibration, makeProfile } from "../../support/documents.js";
import { expectFailure } from "../../support/failure.js";
import { fakeEngine } from "../../support/fake-model.js";

type Names = Parameters<typeof comparedMethods>[0];
type Choices = Parameters<typeof comparedMethods>[1];
const names = (asked: Names, choices: Choices, hasHeads = false) =>
  comparedMethods(asked, choices, hasHeads).map(({ name }) => name);

describe("the methods that are compared", () => {
  test("are all that the choices allow: a rule for every kernel, and those that skip where skipping is allowed", () => {
    expect(names(undefined, ["int8", "skip"])).toEqual(["knapsack", "int8", ...METHOD_NAMES, "none"]);
    expect(names(undefined, ["int8", "int4", "skip"])).toEqual(["knapsack", "int8", "int4", ...METHOD_NAMES, "none"]);
    expect(names(undefined, ["int8"])).toEqual(["knapsack", "int8", "none"]);
    expect(names(undefined, ["int8"], true)).toEqual(["knapsack", "heads", "int8", "none"]);
  });

  test("are those asked for and plain decoding, which speedups are over", () => {
    expect(names(["knapspec", "knapsack"], ["skip"])).toEqual(["knapsack", "knapspec", "none"]);
    expect(names(["heads"], ["skip"], true)).toEqual(["heads", "none"]);
  });

  test("are the drafters asked for besides, whatever methods are named", () => {
    const named = (asked: Names) =>
      comparedMethods(asked, ["int8"], true, ["lookup", "hybrid"]).map(({ name }) => name);
    expect(named(undefined)).toEqual(["knapsack", "heads", "lookup", "hybrid", "int8", "none"]);
    expect(named(["int8"])).toEqual(["lookup", "hybrid", "int8", "none"]);
  });

  test("are refused by name, and where a choice is missing", async () => {
    await expectFailure(
      () => comparedMethods(["knapsak"], ["skip"], true),
      "OPTION_INVALID",
      "'knapsak' is not a method",
    );
    await expectFailure(() => comparedMethods(["int4"], ["skip"], true), "OPTION_INVALID", "int4 needs a choice");
    await expectFailure(() => comparedMethods(["swift"], ["int8"], true), "OPTION_INVALID", "swift needs a choice");
    await expectFailure(() => comparedMethods(["heads"], ["int8"], false), "DRAFTER_UNAVAILABLE", "no trained heads");
  });

  test("a context of no token is refused", async () => {
    await expectFailure(
      () => compareRequest({ choices: ["skip"], context: "0,64" }, "embedded"),
      "OPTION_INVALID",
      "--context",
    );
  });
});

const prompt = (length: number, first: number) => Array.from({ length }, (_, i) => (first + 3 * i) % 50);

describe("what a method is solved from", () => {
  async function request(measured: MeasuredDraft[]) {
    const { engine, clock } = fakeEngine({ layers: LAYERS });
    const progress = { tick: async () => {}, warn: () => {} };
    const continuations = new Map([
      [
        128,
        await continuePrompts(
          engine,
          clock,
          [1, 2, 3].map((seed) => prompt(128, seed)),
          64,
          progress,
        ),
      ],
    ]);
    const text = { continuations, prompts: [], continuationTokens: 32 };
    const measuring = { model: { engine }, profile: makeProfile(), variants: [], text, progress };
    return { measuring, calibration: makeCalibration([128], measured), refineSeconds: 0 };
  }
  const method = (name: string) => {
    const found = comparedMethods(undefined, ["int8", "skip"], true).find((one) => one.name === name);
    if (found === undefined) throw new Error(`no method ${name}`);
    return found;
  };
  const INT8 = uniformChoices(LAYERS, "int8");
  const keys = (measured: readonly MeasuredDraft[]) =>
    measured.map(({ draft }) => choiceKey(expandDraft(draft, LAYERS, "")));

  test("a rule has one draft, whatever else was measured, and the length that is best for it", async () => {
    const better = { ...compactDraft(INT8), skip: ["1.attn"] };
    const measured: MeasuredDraft[] = [
      { at_context: 128, part: "choose", draft: better, tokens: 900, curve: [1, 1, 1, 1] },
    ];
    const { plan, calibration } = await method("int8").solve({ ...(await request(measured)), choices: ["int8"] });
    expect(keys(calibration.measured)).toEqual([
      choiceKey({ ...INT8, blocks: INT8.blocks.map((c, i) => (i === 2 ? "skip" : c)) }),
      choiceKey(INT8),
    ]);
    const drafts = plan.segments.flatMap(({ draft }) => draft ?? []);
    expect(drafts.length).toBeGreaterThan(0);
    for (const draft of drafts) expect(choiceKey(expandDraft(draft, LAYERS, ""))).toBe(choiceKey(INT8));
  });

  test("a rule that was measured is not measured again", async () => {
    const known: MeasuredDraft = {
      at_context: 128,
      part: "choose",
      draft: compactDraft(INT8),
      tokens: 900,
      curve: [1, 0.9, 0.8],
    };
    const one = await request([known]);
    const { calibration, plan } = await method("int8").solve({ ...one, choices: ["int8"] });
    expect(calibration.measured).toEqual([known]);
    for (const { draft_tokens } of plan.segments) expect(draft_tokens ?? 1).toBeLessThanOrEqual(2);
  });

  test("plain decoding has no draft", async () => {
    const { plan } = await method("none").solve({ ...(await request([])), choices: [] });
    expect(plan.segments.map(({ speculate }) => speculate)).toEqual([false]);
  });

  /** heads whose first two guesses are right throughout one part of the text, and never in the other */
  async function withHeads(right: "choose" | "report") {
    const heads = { path: "heads", sha256: "c".repeat(64), kind: "medusa" as const, heads: 2, ranks: 10 };
    const contexts = (["choose", "report"] as const).map((part) => ({
      ...{ at_context: 128, part, positions: 600, texts: [new Array(600).fill(0)] },
      paths: [{ ranks: part === right ? [0, 0] : [], positions: 600 }],
    }));
    const one = await request([]);
    const profile = { ...one.measuring.profile, heads: [{ ...heads, passes: [{ rows: 1, us: 1, passes: 9 }] }] };
    const calibration = { ...one.calibration, heads: [{ ...heads, contexts }] };
    const planOf = (name: string) =>
      method(name).solve({
        ...{ ...one, calibration, measuring: { ...one.measuring, profile } },
        choices: method(name).choices(["int8", "skip"]),
      });
    return { profile, calibration, planOf };
  }

  test("heads that are always right are in no plan of blocks, though a plan of all drafters would have them", async () => {
    const { profile, calibration, planOf } = await withHeads("choose");
    const right = { ...calibration, heads: calibration.heads.map((one) => onBothParts(one)) };
    const unwritten = { path: "x", sha256: "0".repeat(64) };
    const inputs = { profile: unwritten, calibration: unwritten };
    const all = planDocument({ profile, calibration: right, choices: ["int8"] }, inputs);
    expect(all.segments.some(({ drafter }) => drafter?.kind === "heads")).toBe(true);
    for (const name of ["knapsack", "int8", "uniform"]) {
      const { plan } = await planOf(name);
      expect(plan.segments.map(({ drafter }) => drafter)).toEqual(plan.segments.map(() => undefined));
    }
  });
  /** a lookup and another model that are right throughout one part of the text, and never in the other */
  async function withOthers(right: "choose" | "report") {
    const one = await request([]);
    const at = (part: "choose" | "report") => ({ at_context: 128, part, positions: 600 });
    const text = (of: number) => [new Array<number>(600).fill(of)];
    const followed = (part: string) =>
      part === right ? [Array.from({ length: 600 }, (_, i) => Math.min(16, 600 - i))] : text(0);
    const parts = ["choose", "report"] as const;
    const lookup = {
      ...{ max_ngram_tokens: 8, draft_tokens: 16 },
      contexts: parts.map((part) => ({ ...at(part), matched: text(4), followed: followed(part) })),
    };
    const known = { name: "small", weights_sha256: "d".repeat(64), path: "small", kernel: "int8" as const };
    const hits = parts.map((part) => ({ ...at(part), hits: text(part === right ? 1 : 0) }));
    const profile = {
      ...one.measuring.profile,
      models: [{ ...known, steps: [{ context_tokens: 128, us: 1, passes: 9 }] }],
    };
    const calibration: Calibration = { ...one.calibration, lookup, models: [{ ...known, contexts: hits }] };
    return async (name: "lookup" | "model" | "hybrid") => {
      const [row] = comparedMethods([], ["int8"], false, [name]);
      const solved = await row.solve({ ...one, calibration, measuring: { ...one.measuring, profile }, choices: [] });
      return solved.plan.segments.map(({ drafter }) => drafter?.kind);
    };
  }

  test.each(["lookup", "model"] as const)(
    "%s drafts by the text of choosing, and the other part says nothing",
    async (name) => {
      expect(await (await withOthers("choose"))(name)).toEqual([name]);
      expect(await (await withOthers("report"))(name)).toEqual([undefined]);
    },
  );

  test("hybrid is the best of all of them, a lookup in front of another or by itself", async () => {
    expect(["lookup", "hybrid"]).toContain((await (await withOthers("choose"))("hybrid"))[0]);
    expect(await (await withOthers("report"))("hybrid")).toEqual([undefined]);
  });

  type Known = NonNullable<Calibration["heads"]>[number];
  const onBothParts = ({ contexts: [choose, report], ...rest }: Known): Known => ({
    ...rest,
    contexts: [choose, { ...choose, part: report.part }],
  });

  test("heads draft what is best by the text of choosing; the other part, which plans are run on, says nothing", async () => {
    const drafters = (plan: Plan) => plan.segments.map(({ drafter }) => drafter);
    const tree = [[0], [0, 0]];
    const found = { kind: "heads", path: "heads", sha256: "c".repeat(64), tree };
    const { plan, calibration } = await (await withHeads("choose")).planOf("heads");
    expect(drafters(plan)).toEqual([found]);
    expect(plan.segments[0].draft_tokens).toBe(2);
    expect(calibration.measured).toEqual([]);
    expect(drafters((await (await withHeads("report")).planOf("heads")).plan)).toEqual([undefined]);
  });

  test.each(["knapsack", "uniform", "knapspec"])("%s measures drafts of its own", async (name) => {
    const one = method(name);
    const choices = one.choices(["int8", "skip"]);
    const { plan, calibration } = await one.solve({ ...(await request([])), choices });
    expect(calibration.measured.length).toBeGreaterThan(0);
    for (const key of keys(calibration.measured)) if (name !== "knapsack") expect(key).not.toContain("int8");
    expect(plan.method).toBe(name);
  });
});

test("what several methods had measured is one document: each draft once, the first one's record", () => {
  const record = (choice: "int8" | "skip", tokens: number, at_context = 128): MeasuredDraft => ({
    ...{ at_context, part: "choose", draft: compactDraft(uniformChoices(LAYERS, choice)), tokens, curve: [1, 0.5] },
  });
  const base = makeCalibration([128, 512], [record("int8", 1)]);
  const merged = mergeMeasured(base, [
    { ...base, measured: [record("int8", 2), record("skip", 3)] },
    { ...base, measured: [record("skip", 4), record("skip", 5, 512)] },
  ]);
  expect(merged.measured.map(({ tokens }) => tokens)).toEqual([1, 3, 5]);
});

describe("prompts that plans are run on", () => {
  test("are of the lengths asked for, of the text's second part, and none that a draft was chosen on", async () => {
    const text = readCalibrationText(undefined);
    const tokenizer = await openTokenizer("embedded");
    const nothing = { continuations: new Map(), prompts: [], continuationTokens: 64 };
    const found = heldBackPrompts(text, tokenizer, [64, 200], nothing);
    expect(found.map(({ contextTokens }) => contextTokens)).toEqual([64, 200]);
    const report = text.report.map((kind) => tokenizer.encode(kind).join(" ")).join(" / ");
    for (const { contextTokens, prompts } of found) {
      expect(prompts.length).toBeGreaterThan(3);
      expect(new Set(prompts.map(({ ids }) => ids.join())).size).toBe(prompts.length);
      for (const { ids } of prompts) {
        expect(ids).toHaveLength(contextTokens);
        expect(report).toContain(ids.slice(1).join(" "));
      }
    }
    const [{ prompts }] = found;
    const chosen = { atContext: 64, choose: [[...prompts[0].ids]], report: [] };
    const [others] = heldBackPrompts(text, tokenizer, [64], { ...nothing, prompts: [chosen] });
    expect(others.prompts.map(({ ids }) => ids.join())).toEqual(prompts.slice(1).map(({ ids }) => ids.join()));
  });

  test("of a file are each at the nearest context; a group's is its median", () => {
    const prompts = [10, 12, 90, 110, 130].map((length, i) => ({ name: `p${i}`, ids: prompt(length, i) }));
    const grouped = promptsByContext(prompts, [16, 100, 1000]);
    expect(grouped.map(({ contextTokens, prompts: own }) => [contextTokens, own.map(({ name }) => name)])).toEqual([
      [11, ["p0", "p1"]],
      [110, ["p2", "p3", "p4"]],
    ]);
  });

  test("of a text that is too short are refused", async () => {
    const tokenizer = await openTokenizer("embedded");
    const text = { ...readCalibrationText(undefined), report: ["short"] };
    const nothing = { continuations: new Map(), prompts: [], continuationTokens: 64 };
    await expectFailure(() => heldBackPrompts(text, tokenizer, [64], nothing), "TEXT_TOO_SHORT", "64");
  });
});
