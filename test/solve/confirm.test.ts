/** Decided on one part of the text, confirmed on the other; and no longer drafts than enough rounds came to. */
import { describe, expect, test } from "vitest";
import type { MeasuredDraft } from "../../src/schema/calibration.js";
import { type ChoiceSet, choiceKey, compactDraft, expandDraft, uniformChoices } from "../../src/schema/choice.js";
import { Segment } from "../../src/schema/plan.js";
import {
  contextFor,
  curveFromRate,
  openProblem,
  planSegments,
  refutedWarnings,
  unconfirmedDrafts,
} from "../../src/solve/index.js";
import { straight } from "../oracle/dense-ranges.js";
import {
  blockUs,
  CONTEXTS,
  FIXED_US,
  headUs,
  LAYERS,
  LOOP,
  makeCalibration,
  makeProfile,
} from "../support/documents.js";
import { draw, seeds } from "./instances.js";

const int8 = uniformChoices(LAYERS, "int8");
const without = (block: number): ChoiceSet => ({ ...int8, blocks: int8.blocks.with(block, "target") });
const SETS: ChoiceSet[] = [int8, without(0), without(2), without(4), without(1)];

interface Shown {
  set?: ChoiceSet;
  at?: number;
  curve: number[];
  reached?: number[];
}
const record = (part: MeasuredDraft["part"], { set = int8, at = 128, curve, reached }: Shown): MeasuredDraft => ({
  at_context: at,
  part,
  draft: compactDraft(set),
  tokens: 1_000_000,
  curve,
  ...(reached === undefined ? {} : { reached }),
});
const problemOf = (measured: MeasuredDraft[], contexts = [128]) =>
  openProblem({ profile: makeProfile(), calibration: makeCalibration(contexts, measured), choices: ["int8", "skip"] });
const setOf = (draft: Segment["draft"]): ChoiceSet => {
  if (draft === undefined) throw new Error("nothing is drafted");
  return expandDraft(draft, LAYERS, "test");
};

describe("where text kept back predicts a loss", () => {
  const chosen = record("choose", { curve: curveFromRate(0.97, 16) });

  test("for every length and there is nothing else, decoding is plain, and the plan, the warning and the figure say so", () => {
    const before = planSegments(problemOf([chosen]));
    expect(before.every(({ speculate }) => speculate)).toBe(true);
    const segments = planSegments(problemOf([chosen, record("report", { curve: curveFromRate(0.05, 16) })]));
    for (const segment of segments) {
      expect(Segment.parse(segment)).toEqual(segment);
      expect(segment.speculate).toBe(false);
      expect(segment.refuted?.map(({ draft }) => choiceKey(setOf(draft)))).toEqual([choiceKey(int8)]);
      expect(segment.refuted?.[0].speedup).toBeLessThan(1);
    }
    const warnings = refutedWarnings(segments, LAYERS);
    expect(warnings).toHaveLength(segments.length);
    expect(warnings[0]).toMatchObject({ code: "DRAFT_REFUTED" });
    expect(warnings[0].message).toMatch(
      /^context 0 to \d+: text kept back predicts a loss for \d+ tokens with .*plain/,
    );
    expect(refutedWarnings(before, LAYERS)).toEqual([]);
  });

  test("for a long draft, a shorter one is planned, the best by the text of choosing that is not predicted to lose", () => {
    const reported = [1, 0.96, 0.9, ...Array.from({ length: 14 }, () => 0)];
    const [before] = planSegments(problemOf([chosen]));
    const segments = planSegments(problemOf([chosen, record("report", { curve: reported })]));
    expect(before.draft_tokens).toBeGreaterThan(4);
    for (const { draft_tokens, predicted, refuted } of segments) {
      expect(refuted?.[0].draft_tokens).toBe(before.draft_tokens);
      expect(predicted?.evidence).toBe("report");
      expect(draft_tokens).toBeLessThan(before.draft_tokens as number);
      expect(draft_tokens).toBeGreaterThan(2); // longer is faster by the text of choosing, and no loss here yet
      expect(predicted?.speedup).toBeGreaterThanOrEqual(1);
      for (const { speedup } of predicted?.along ?? []) expect(speedup).toBeGreaterThanOrEqual(1);
    }
  });

  const rivals = SETS.map((set, i) => record("choose", { set, curve: curveFromRate(0.97 - 0.01 * i, 16) }));
  const reports = (...rates: number[]) =>
    rates.map((rate, i) => record("report", { set: SETS[i], curve: curveFromRate(rate, 16) }));

  test("for a draft at any length, the next best that text kept back knows and does not refuse is planned", () => {
    const [only, ...others] = planSegments(problemOf([...rivals, ...reports(0.05, 0.05, 0.95)]));
    expect(others).toEqual([]);
    expect(choiceKey(setOf(only.draft))).toBe(choiceKey(SETS[2]));
    expect(only.refuted?.map(({ draft }) => choiceKey(setOf(draft)))).toEqual(SETS.slice(0, 2).map(choiceKey));
  });

  test("three others are tried, and no fourth", () => {
    const planned = (...rates: number[]) => planSegments(problemOf([...rivals, ...reports(...rates)]));
    expect(planned(0.05, 0.05, 0.05, 0.95).every(({ speculate }) => speculate)).toBe(true);
    const segments = planned(0.05, 0.05, 0.05, 0.05, 0.95);
    expect(segments.every(({ speculate }) => !speculate)).toBe(true);
    expect(segments[0].refuted).toHaveLength(4);
  });

  test("a draft that it knows nothing of does not follow; it is asked for, one at a time, until the plan is settled", () => {
    const measured = [...rivals];
    const truth = [0.05, 0.05, 0.95, 0.95, 0.95];
    const asked: string[] = [];
    for (let i = 0; i < 20; i++) {
      const problem = problemOf(measured);
      const [next] = unconfirmedDrafts(problem);
      if (next === undefined) break;
      if (i > 0) expect(planSegments(problem).every(({ speculate }) => !speculate)).toBe(true);
      asked.push(choiceKey(next.set));
      const at = SETS.findIndex((set) => choiceKey(set) === choiceKey(next.set));
      for (const { losses } of next.contexts)
        measured.push(
          record("report", { set: next.set, at: losses.at_context, curve: curveFromRate(truth[at], next.draftTokens) }),
        );
    }
    expect(asked).toEqual(SETS.slice(0, 3).map(choiceKey));
    const [segment] = planSegments(problemOf(measured));
    expect(choiceKey(setOf(segment.draft))).toBe(choiceKey(SETS[2]));
    expect(segment.predicted?.evidence).toBe("report");
  });

  test("at one end of a merged range, that end alone is decided again", () => {
    const everywhere = CONTEXTS.map((at) => record("choose", { at, curve: curveFromRate(0.97, 16) }));
    const kept = CONTEXTS.map((at, i) => record("report", { at, curve: curveFromRate(i === 2 ? 0.05 : 0.97, 16) }));
    const before = planSegments(problemOf(everywhere, CONTEXTS));
    expect(before).toHaveLength(1);
    const [first, second, ...others] = planSegments(problemOf([...everywhere, ...kept], CONTEXTS));
    expect(others).toEqual([]);
    expect(first).toMatchObject({ speculate: true, context_tokens: { from: 0, to: 512 } }); // √(256 · 1024)
    expect(first.refuted).toBeUndefined();
    expect(second).toMatchObject({ speculate: false, context_tokens: { from: 512, to: 1024 } });
    expect(second.refuted).toHaveLength(1);
    // a draft that gains at that end, whatever it does elsewhere, follows there
    const rival = CONTEXTS.flatMap((at, i) => [
      record("choose", { set: SETS[1], at, curve: curveFromRate(i === 2 ? 0.9 : 0.05, 16) }),
      record("report", { set: SETS[1], at, curve: curveFromRate(i === 2 ? 0.9 : 0.05, 16) }),
    ]);
    const [same, other, ...more] = planSegments(problemOf([...everywhere, ...kept, ...rival], CONTEXTS));
    expect(more).toEqual([]);
    expect(same).toEqual(first);
    expect(other).toMatchObject({ speculate: true, context_tokens: { from: 512, to: 1024 }, refuted: second.refuted });
    expect(choiceKey(setOf(other.draft))).toBe(choiceKey(SETS[1]));
  });
});

/** µs of a pass of the target, or of a draft, at a profiled context: the parts added up by hand. */
function passUs(n: number, q: number, set: ChoiceSet | null): number {
  let us = FIXED_US + headUs(set?.head === "int8", q);
  for (let block = 0; block < 2 * LAYERS; block++) {
    const choice = set?.blocks[block] ?? "target";
    if (choice !== "skip") us += blockUs(block % 2 === 0 ? "attn" : "mlp", block >> 1, choice === "int8", n, q);
  }
  return us;
}

/** times plain decoding, from the documents' own numbers, at any context */
function speedupBy(curve: readonly number[], set: ChoiceSet, n: number): number {
  const d = curve.length - 1;
  const at = (q: number, draft: ChoiceSet | null) =>
    straight(
      CONTEXTS,
      CONTEXTS.map((context) => passUs(context, q, draft)),
      n,
    );
  const tokens = curve.reduce((sum, a) => sum + a, 0);
  return (tokens * (at(1, null) + LOOP.step_us)) / (d * at(1, set) + at(d + 1, null) + LOOP.round_us);
}

test.each(seeds(60))("no plan drafts at any context where text kept back predicts a loss for it (seed %i)", (seed) => {
  const random = draw(seed);
  const calibrated = [CONTEXTS, [128], [100, 700]][seed % 3];
  const rates = calibrated.map(() => 0.6 + 0.35 * random.float());
  const measured = calibrated.flatMap((at, i) =>
    SETS.flatMap((set) => [
      record("choose", { set, at, curve: curveFromRate(0.93 + 0.05 * random.float(), 16) }),
      record("report", { set, at, curve: curveFromRate(Math.min(0.99, rates[i] + 0.1 * random.float()), 16) }),
    ]),
  );
  const problem = problemOf(measured, calibrated);
  const segments = planSegments(problem);
  let end = 0;
  for (const { context_tokens, draft, draft_tokens = 0 } of segments) {
    expect(context_tokens.from).toBe(end);
    end = context_tokens.to;
    if (draft === undefined) continue;
    const set = setOf(draft);
    for (let n = context_tokens.from; n < context_tokens.to; n++) {
      const reported = contextFor(problem, n).measured.find(
        (m) => m.part === "report" && choiceKey(m.set) === choiceKey(set),
      );
      const curve = reported?.curve.slice(0, draft_tokens + 1) ?? [];
      expect(speedupBy(curve, set, n), `${n} tokens`).toBeGreaterThanOrEqual(1 - 1e-9);
    }
  }
  expect(end).toBe(CONTEXTS[CONTEXTS.length - 1]);
});

describe("a draft goes as far as 30 rounds came", () => {
  const curve = curveFromRate(0.97, 16);
  const drafted = (reached?: number[]) =>
    planSegments(problemOf([record("choose", { curve, ...(reached === undefined ? {} : { reached }) })]));
  const counts = (...rounds: number[]) => Array.from({ length: 16 }, (_, i) => rounds[i] ?? 0);

  test("and no further; the prediction says how many positions and rounds it rests on", () => {
    for (const { draft_tokens, predicted } of drafted(counts(90, 60, 40, 30, 29, 28))) {
      expect(draft_tokens).toBe(4);
      expect(predicted).toMatchObject({ positions: 1_000_000, rounds: 30 });
    }
    for (const { draft_tokens } of drafted(counts(31, 29))) expect(draft_tokens).toBe(1);
  });

  test("to the last position that so many came to, whatever lies before it", () => {
    expect(drafted(counts(90, 29, 31, 12))[0].draft_tokens).toBe(3);
  });

  test("not at all where too few came to the first", () => {
    expect(drafted(counts(29)).every(({ speculate }) => !speculate)).toBe(true);
  });

  test("to any length where rounds were not counted, or enough came everywhere", () => {
    const [uncounted] = drafted();
    const [counted] = drafted(Array.from({ length: 16 }, () => 30));
    expect(counted.draft_tokens).toBe(uncounted.draft_tokens);
    expect(uncounted.draft_tokens).toBeGreaterThan(4);
    expect(uncounted.predicted?.rounds).toBeUndefined();
    expect(uncounted.predicted?.positions).toBe(1_000_000);
  });

  test("the text kept back is counted for what it says, and limits nothing", () => {
    const measured = [
      record("choose", { curve, reached: Array.from({ length: 16 }, () => 500) }),
      record("report", { curve, reached: Array.from({ length: 16 }, (_, i) => 25 - i) }),
    ];
    const [{ draft_tokens = 0, predicted }] = planSegments(problemOf(measured));
    expect(predicted).toMatchObject({ evidence: "report", rounds: 26 - draft_tokens });
  });
});
