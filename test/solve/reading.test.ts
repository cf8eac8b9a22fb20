/** A draft that reads its prompt itself: what that costs, what it changes in a plan, and what it may not be joined with. */
import { describe, expect, test } from "vitest";
import { predictedFindings } from "../../src/check/predicted-figures.js";
import type { Calibration, MeasuredDraft } from "../../src/schema/calibration.js";
import { type ChoiceSet, compactDraft, uniformChoices } from "../../src/schema/choice.js";
import { openProblem, planDocument } from "../../src/solve/index.js";
import { openLatency } from "../../src/solve/latency.js";
import { withReading } from "../../src/solve/own-cache/reading.js";
import { blockUs, CONTEXTS, FIXED_US, LAYERS, makeCalibration, makeProfile } from "../support/documents.js";

const profile = makeProfile();
const digest = "a".repeat(64);
const inputs = { profile: { path: "p", sha256: digest }, calibration: { path: "c", sha256: digest } };

const int8 = uniformChoices(LAYERS, "int8");
const skipping = (...blocks: number[]): ChoiceSet => ({
  head: "target",
  blocks: uniformChoices(LAYERS, "target").blocks.map((choice, b) => (blocks.includes(b) ? "skip" : choice)),
});

describe("the price of a prompt", () => {
  const latency = withReading(openLatency(profile), CONTEXTS, 2 * LAYERS, 64);

  /** pass after pass, as its comment has it, from the profile's own parts */
  function written(set: ChoiceSet, n: number): number {
    let us = 0;
    for (let from = 0; from < n; from += 512) {
      const q = Math.min(512, n - from);
      const at = Math.min(from + q / 2, 1024);
      const bare = openLatency(profile);
      const line = (of: (tokens: number) => number) => of(1) + ((q - 1) * (of(17) - of(1))) / 16;
      us += line((tokens) => bare.fixedUs(at, tokens));
      set.blocks.forEach((choice, b) => {
        if (choice !== "skip") us += line((tokens) => bare.blockUs(b, "target", at, tokens));
      });
    }
    return us;
  }

  test.each(CONTEXTS)("at a profiled context of %i tokens it is its passes', quantised blocks as the target's", (n) => {
    for (const set of [int8, skipping(0, 3), uniformChoices(LAYERS, "skip")])
      expect(latency.readingUs(set, n) * 64).toBeCloseTo(written(set, n), 6);
  });

  test("between them it is a straight line, and below the first one to nothing at no prompt", () => {
    const at = (n: number) => latency.readingUs(int8, n);
    expect(at(160)).toBeCloseTo((at(64) + at(256)) / 2, 9);
    expect(at(16)).toBeCloseTo(at(64) / 4, 9);
    expect(at(0)).toBe(0);
  });

  test("a short prompt of a model whose passes cost the same for any number of tokens is one pass", () => {
    const flat = {
      ...profile,
      points: profile.points.map((point) => {
        const first = profile.points.find((p) => p.context_tokens === point.context_tokens && p.query_tokens === 1);
        return { ...(first ?? point), query_tokens: point.query_tokens };
      }),
    };
    const own = withReading(openLatency(flat), CONTEXTS, 2 * LAYERS, 1);
    const kept = skipping(1, 3, 5); // attention alone
    const expected = FIXED_US + [0, 1, 2].reduce((sum, layer) => sum + blockUs("attn", layer, false, 64, 1), 0);
    expect(own.readingUs(kept, 64)).toBeCloseTo(expected, 6);
  });
});

const record = (set: ChoiceSet, rate: number, over: Partial<MeasuredDraft> = {}): MeasuredDraft => ({
  ...{ at_context: 128, part: "choose", draft: compactDraft(set), tokens: 4000 },
  curve: Array.from({ length: 17 }, (_, i) => rate ** i),
  ...over,
});
/** over the target's cache skipping is nearly free; with a cache of its own it is ruin, and int8 is not */
const both: Calibration = makeCalibration(
  [128],
  [
    record(skipping(0, 1, 2, 3), 0.98),
    record(int8, 0.9),
    record(skipping(0, 1, 2, 3), 0.01, { draft_cache: "own" }),
    record(int8, 0.88, { draft_cache: "own" }),
  ],
);
const solved = (over: Partial<Parameters<typeof planDocument>[0]> = {}) =>
  planDocument({ profile, calibration: both, choices: ["skip", "int8"], drafters: ["self"], ...over }, inputs);

describe("a plan", () => {
  test("rests on curves over the one cache or the other, never on both", () => {
    const shared = solved();
    const own = solved({ standalone: true, answerTokens: 4096 });
    expect(shared.draft_cache).toBeUndefined();
    expect(shared.segments[0].draft?.skip).toEqual(["0.attn", "0.mlp", "1.attn", "1.mlp"]);
    expect(own).toMatchObject({ draft_cache: "own", answer_tokens: 4096 });
    expect(own.segments[0].draft).toMatchObject({ default: "int8", skip: [] });
    const without = solved({
      calibration: { ...both, measured: both.measured.filter((m) => m.draft_cache !== "own") },
    });
    expect(without).toEqual(shared);
  });

  test("without a curve measured so speculates nowhere: single losses over the target's cache predict none", () => {
    const shared = { ...both, measured: both.measured.filter((m) => m.draft_cache !== "own") };
    const own = solved({ calibration: shared, standalone: true });
    expect(own.segments.every(({ speculate }) => !speculate)).toBe(true);
  });

  test("has its figures from its parts, the prompt's reading shared by the answer, and check finds them whole", () => {
    const own = solved({ standalone: true, answerTokens: 500 });
    const { predicted: p, draft_tokens: d = 0 } = own.segments[0];
    if (p === undefined) throw new Error("nothing is predicted");
    const tokens = p.acceptance_curve.reduce((sum, a) => sum + a, 0);
    const round = d * p.draft_us + p.verify_us + p.round_us;
    const perToken = round / tokens + (p.prompt_us as number) / 500;
    expect(p.tokens_per_second).toBeCloseTo(1e6 / perToken, 2);
    expect(predictedFindings("plan", own)).toEqual([]);
    expect(predictedFindings("plan", { ...own, answer_tokens: 400 }).map(({ where }) => where)).toContain(
      "segments[0].predicted.tokens_per_second",
    );
  });

  test("of longer answers is never slower, and of short ones behind long prompts is plain decoding", () => {
    const speeds = [16, 64, 256, 4096].map((answerTokens) => {
      const { predicted } = solved({ standalone: true, answerTokens }).segments[0];
      return predicted?.speedup ?? 1;
    });
    expect([...speeds].sort((a, b) => a - b)).toEqual(speeds);
    expect(speeds[3]).toBeGreaterThan(1.2);
    const last = (answerTokens: number) => solved({ standalone: true, answerTokens }).segments.at(-1)?.speculate;
    expect([last(4), last(100_000)]).toEqual([false, true]);
  });

  test("names its cache's memory where the profile knows what a token takes: of kept attention alone", () => {
    const floor = { read_bytes_per_second: 1e9, kv_bytes_per_token: 1000, parts: [] };
    const one = { ...both, measured: [record(skipping(1, 2), 0.95, { draft_cache: "own" })] };
    const plan = solved({ profile: { ...profile, floor }, calibration: one, standalone: true, answerTokens: 1e6 });
    const [{ predicted, context_tokens }] = plan.segments;
    expect(predicted?.draft_cache_bytes).toBe(2 * 1000 * context_tokens.to); // layers 0 and 2
    expect(solved({ standalone: true, answerTokens: 4096 }).segments[0].predicted).not.toHaveProperty(
      "draft_cache_bytes",
    );
  });
});

test("a problem over the target's cache has no reading, and its costs are as they were", () => {
  const { latency, standalone } = openProblem({ profile, calibration: both, choices: ["skip", "int8"] });
  expect(standalone).toBeNull();
  expect(latency.readingUs(int8, 1000)).toBe(0);
});
