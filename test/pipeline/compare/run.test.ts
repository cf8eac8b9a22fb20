/** Rows of a comparison on the fake engine, whose times are exact: what is predicted and measured can be added up by hand. */
import { describe, expect, test } from "vitest";
import { type DraftPolicy, decode } from "../../../src/decode/loop.js";
import { Predictor } from "../../../src/pipeline/compare/predict.js";
import { contextsAlong, middleOf, type RunRequest, runPlans } from "../../../src/pipeline/compare/run.js";
import { compactDraft, uniformChoices } from "../../../src/schema/choice.js";
import type { Plan, Segment } from "../../../src/schema/plan.js";
import { LAYERS, LOOP, makeCalibration, makeProfile, passUs } from "../../support/documents.js";
import { expectFailure } from "../../support/failure.js";
import { fakeEngine } from "../../support/fake-model.js";
import { plantedHeads } from "../../support/planted-heads.js";

const INT8 = uniformChoices(LAYERS, "int8");
const CURVE = [1, 0.9, 0.75, 0.6];
const calibration = makeCalibration(
  [128],
  [{ at_context: 128, part: "choose", draft: compactDraft(INT8), tokens: 100, curve: CURVE }],
);
const predictor = new Predictor(makeProfile(), calibration);

const drafted = (from: number, to: number, draftTokens: number): Segment => ({
  ...{ context_tokens: { from, to }, speculate: true, draft: compactDraft(INT8), draft_tokens: draftTokens },
});
const plan = (...segments: Segment[]): Plan => ({
  kind: "draftplan/plan",
  version: 1,
  model: calibration.model,
  segments,
});
const none = plan({ context_tokens: { from: 0, to: 1024 }, speculate: false });
const PLANS = [
  { method: "knapsack", plan: plan(drafted(0, 1024, 3)), predictor },
  { method: "same", plan: plan(drafted(0, 500, 3), drafted(500, 1024, 2)), predictor },
  {
    method: "turning",
    plan: plan(drafted(0, 110, 3), { context_tokens: { from: 110, to: 1024 }, speculate: false }),
    predictor,
  },
  { method: "none", plan: none, predictor },
];
const MAX_TOKENS = 24;
const ids = (length: number, first: number) => Array.from({ length }, (_, i) => (first + 3 * i) % 50);
const PROMPTS = [
  { name: "one", ids: ids(100, 1) },
  { name: "two", ids: ids(98, 2) },
  { name: "three", ids: ids(99, 3) },
  { name: "four", ids: ids(100, 5) }, // an interval takes four
];

function request(changes: Partial<RunRequest> = {}): RunRequest {
  const { engine, clock } = fakeEngine({ layers: LAYERS });
  const warnings: string[] = [];
  return {
    ...{ engine, clock, plans: PLANS, baseline: "knapsack", maxTokens: MAX_TOKENS, pairs: 2, timeLimitSeconds: null },
    prompts: [{ contextTokens: 100, prompts: PROMPTS }],
    progress: { tick: async () => {}, warn: (code) => warnings.push(code) },
    ...changes,
  };
}

/** As the hand-made profile has it: between its grid's points straight lines, so n counts as itself. */
const draftUs = (n: number): number => passUs(true, n, 1);
const verifyUs = (n: number, q: number): number => passUs(false, n, q);

describe("a comparison's rows", () => {
  test("predict from profile and chosen-on acceptance, as a mean of time over what is decoded", async () => {
    const [{ rows }] = await runPlans(request());
    const contexts = contextsAlong(100, MAX_TOKENS);
    expect(contexts).toHaveLength(8);
    const tokens = CURVE.reduce((a, b) => a + b, 0);
    const perToken = contexts.map((n) => (3 * draftUs(n) + verifyUs(n, 4) + LOOP.round_us) / tokens);
    const step = contexts.map((n) => verifyUs(n, 1) + LOOP.step_us);
    const sum = (list: number[]) => list.reduce((a, b) => a + b, 0);
    const { predicted, draft, draft_tokens } = rows[0];
    expect(predicted?.tokens_per_second).toBeCloseTo((1e6 * 8) / sum(perToken), 3);
    expect(predicted?.speedup).toBeCloseTo(sum(step) / sum(perToken), 6);
    expect(predicted?.acceptance).toBeCloseTo((0.9 + 0.75 + 0.6) / (1 + 0.9 + 0.75), 9);
    expect(predicted?.draft_us).toBeCloseTo(draftUs(middleOf(100, MAX_TOKENS)), 6);
    expect({ draft, draft_tokens }).toEqual({ draft: compactDraft(INT8), draft_tokens: 3 });
  });

  test("measure what decoding alone takes, and say how a prediction missed", async () => {
    const { engine, clock } = fakeEngine({ layers: LAYERS });
    const [{ rows, prompts }] = await runPlans(request({ engine, clock }));
    const policy: DraftPolicy = () => ({ choices: INT8, draftTokens: 3 });
    let [us, tokens] = [0, 0];
    for (const { ids } of PROMPTS) {
      const { decodeUs } = await decode(engine, ids, { clock, maxTokens: MAX_TOKENS, endTokens: [], policy });
      us += decodeUs;
      tokens += MAX_TOKENS - 1;
    }
    const { measured, predicted, prediction_error_percent } = rows[0];
    expect(measured.tokens_per_second.median).toBeCloseTo((1e6 * tokens) / us, 6);
    expect(prediction_error_percent).toBeCloseTo(
      100 * ((predicted?.tokens_per_second ?? 0) / ((1e6 * tokens) / us) - 1),
      6,
    );
    expect(prompts).toEqual(
      PROMPTS.map(({ name, ids }) => ({ prompt: name, prompt_tokens: ids.length, tokens: MAX_TOKENS })),
    );
    const plain = rows[3];
    expect(plain.measured.speedup).toEqual({ median: 1, low: 1, high: 1 });
    expect(measured.speedup.median).toBeCloseTo(
      measured.tokens_per_second.median / plain.measured.tokens_per_second.median,
      2,
    );
    expect(plain.measured.baseline_speed_ratio.median).toBeCloseTo(measured.speedup.median, 9);
  });

  test("share the runs of plans that draft alike wherever these prompts lead", async () => {
    const { engine, clock } = fakeEngine({ layers: LAYERS });
    const counted: number[] = [];
    const recording: typeof decode = (one, prompt, options) => {
      if (options.maxTokens === MAX_TOKENS) counted.push(prompt.length);
      return decode(one, prompt, options);
    };
    const [{ rows }] = await runPlans(request({ engine, clock, decode: recording }));
    expect(counted).toHaveLength(3 * 4 * 2); // three ways of four plans, four prompts, two pairs
    expect(rows.map(({ same_draft_as }) => same_draft_as)).toEqual([undefined, "knapsack", undefined, undefined]);
    expect(rows[1].us_per_token).toEqual(rows[0].us_per_token);
    expect(rows[1].measured.baseline_speed_ratio).toEqual({ median: 1, low: 1, high: 1 });
  });

  test("name the contexts at which a plan goes on with another draft, and predict across them", async () => {
    const [{ rows }] = await runPlans(request());
    const [drafting, , turning, plain] = rows;
    expect(turning.draft_changes_at).toEqual([110]);
    expect(turning.draft).toBeUndefined(); // at the middle, 112
    expect(turning.measured.acceptance).not.toBeNull();
    const speed = (row: typeof turning) => row.predicted?.tokens_per_second ?? Number.NaN;
    expect(speed(turning)).toBeLessThan(Math.max(speed(drafting), speed(plain)));
    expect(speed(turning)).toBeGreaterThan(Math.min(speed(drafting), speed(plain)));
    expect(drafting.draft_changes_at).toBeUndefined();
  });

  test("predict nothing for a draft that was not measured so far", async () => {
    const longer = { method: "knapsack", plan: plan(drafted(0, 1024, 4)), predictor };
    const [{ rows }] = await runPlans(request({ plans: [longer, PLANS[3]] }));
    expect(rows[0]).toMatchObject({ predicted: null, prediction_error_percent: null });
  });

  test("of heads name their tree, predict by what they guessed of the text of choosing, and emit the target's own", async () => {
    const { engine, clock } = fakeEngine({ layers: LAYERS });
    const heads = plantedHeads(engine, [], { kind: "medusa", heads: 2, ranks: 2 }); // they know no text
    const ref = { path: "heads", sha256: heads.sha256 };
    const known = { ...ref, kind: "medusa" as const, heads: 2, ranks: 2 };
    // of ten positions five find both tokens by the tree [0], [1], [0, 0], two the first alone, three nothing
    const paths = [[0, 0], [1, 0], []].map((ranks, i) => ({ ranks, positions: [5, 2, 3][i] }));
    const texts = [0, 0, 0, 0, 0, 1, 1, 2, 2, 2].map((path) => [path]); // each position a text of its own: none overlap
    const context = { at_context: 128, part: "choose" as const, positions: 10, paths, texts };
    const HEADS_US = 70;
    const passes = [{ rows: 1, us: HEADS_US, passes: 9 }];
    const tree_passes = [64, 1024].map((context_tokens) => ({
      ...{ context_tokens, query_tokens: 4, times_chain: 1.5, pairs: 9 },
    }));
    const both = new Predictor(
      { ...makeProfile(), heads: [{ ...known, passes }], tree_passes },
      { ...calibration, heads: [{ ...known, contexts: [context] }] },
    );
    const drafter = { kind: "heads" as const, ...ref, tree: [[0], [1], [0, 0]] };
    const segment = { context_tokens: { from: 0, to: 1024 }, speculate: true, drafter, draft_tokens: 2 };
    const row = { method: "heads", plan: plan(segment), predictor: both };
    const asked = request({ engine, clock, plans: [row, PLANS[3]], baseline: "heads", open: [heads] });
    const [{ rows }] = await runPlans(asked);
    expect(rows[0]).toMatchObject({ drafter, draft_tokens: 2, lossless: true });
    expect(rows[0].draft).toBeUndefined();
    expect(rows[0].measured.acceptance).toBeLessThan(0.1); // of 50 tokens one is now and then right by chance
    const contexts = contextsAlong(100, MAX_TOKENS);
    const us = contexts.map((n) => HEADS_US + verifyUs(n, 4) * 1.5 + LOOP.round_us);
    const tokens = 1 + (5 + 2) / 10 + 5 / 10;
    const sum = (list: number[]) => list.reduce((a, b) => a + b, 0);
    expect(rows[0].predicted?.draft_us).toBe(HEADS_US);
    expect(rows[0].predicted?.tokens_per_second).toBeCloseTo((1e6 * 8 * tokens) / sum(us), 3);
    const step = sum(contexts.map((n) => verifyUs(n, 1) + LOOP.step_us));
    expect(rows[0].predicted?.speedup).toBeCloseTo((step * tokens) / sum(us), 6);
  });

  test("are not lossless where one run is not", async () => {
    let runs = 0;
    const wrong: typeof decode = async (engine, prompt, options) => {
      const decoded = await decode(engine, prompt, options);
      if (options.maxTokens < MAX_TOKENS || options.policy?.(100) === null || ++runs !== 3) return decoded;
      return { ...decoded, ids: decoded.ids.map((id, i) => (i === 5 ? (id + 1) % 50 : id)) };
    };
    const [{ rows }] = await runPlans(request({ plans: [PLANS[0], PLANS[3]], decode: wrong }));
    expect(rows.map(({ method, lossless }) => [method, lossless])).toEqual([
      ["knapsack", false],
      ["none", true],
    ]);
  });

  test("warn where time ended early, and fail where it ended before anything", async () => {
    const warnings: string[] = [];
    const progress = { tick: async () => {}, warn: (code: string) => warnings.push(code) };
    await runPlans(request({ timeLimitSeconds: 0.1, pairs: 50, progress }));
    expect(warnings).toEqual(["COMPARISON_CUT_SHORT", "FEW_PROMPTS"]); // what was timed has no interval
    await expectFailure(
      () => runPlans(request({ timeLimitSeconds: 0, progress })),
      "TEXT_TOO_SHORT",
      "time ended before",
    );
  });
});
