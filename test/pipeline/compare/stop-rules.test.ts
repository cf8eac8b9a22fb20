/** A comparison's rows of drafts that end early, beside those of a fixed length. */
import { expect, test } from "vitest";
import { otherRule } from "../../../src/pipeline/compare/compare-methods.js";
import { Predictor } from "../../../src/pipeline/compare/predict.js";
import { runPlans } from "../../../src/pipeline/compare/run.js";
import { compactDraft, uniformChoices } from "../../../src/schema/choice.js";
import { Plan } from "../../../src/schema/plan.js";
import { planDocument } from "../../../src/solve/index.js";
import { LAYERS, LOOP, makeCalibration, makeProfile } from "../../support/documents.js";
import { fakeEngine } from "../../support/fake-model.js";

const profile = { ...makeProfile(), loop: { ...LOOP, confidence_us: 2 } };
const calibration = makeCalibration(
  [128],
  [
    {
      ...{ at_context: 128, part: "choose", draft: compactDraft(uniformChoices(LAYERS, "int8")), tokens: 1000 },
      curve: Array.from({ length: 9 }, (_, i) => Number((0.8 ** i).toPrecision(12))),
      reached: new Array(8).fill(300),
      confidence: [
        { below: 0.8, positions: 250, accepted: 55, acceptance: 0.22 },
        { below: 1, positions: 750, accepted: 745, acceptance: 0.9933 },
      ],
    },
  ],
);
const ref = { path: "x.yaml", sha256: "0".repeat(64) };
const plan = Plan.parse(planDocument({ profile, calibration, choices: ["int8"] }, { profile: ref, calibration: ref }));
const solved = { plan, calibration };

test("the knapsack's row is followed by its other rule, and no other method's is", () => {
  expect(plan.segments[0].stop?.rule).toBe("early");
  const [other] = otherRule("knapsack", solved);
  expect(other.method).toBe("knapsack-fixed");
  expect(other.plan.segments.map(({ stop }) => stop?.rule)).toEqual(plan.segments.map(() => "fixed"));
  expect(otherRule("knapsack", { ...other, plan: other.plan })[0].method).toBe("knapsack-early");
  expect(otherRule("int8", solved)).toEqual([]);
  const segments = plan.segments.map(({ stop: _, ...rest }) => rest);
  expect(otherRule("knapsack", { plan: { ...plan, segments }, calibration })).toEqual([]);
});

test("both rows are run, each with its own length, prediction, and what it drafted", async () => {
  const { engine, clock } = fakeEngine({ layers: LAYERS, missRate: 0.2, draftLogit: (draw) => 4 * draw });
  const predictor = new Predictor(profile, calibration);
  const none: Plan = { ...plan, segments: [{ context_tokens: { from: 0, to: 1024 }, speculate: false }] };
  const rows = [
    { method: "knapsack", ...solved },
    ...otherRule("knapsack", solved),
    { method: "none", plan: none, calibration },
  ].map((one) => ({ ...one, predictor }));
  const prompts = [1, 2, 3, 4].map((first) => ({
    name: `${first}`,
    ids: Array.from({ length: 100 }, (_, i) => (first + 3 * i) % 50),
  }));
  const [{ rows: made }] = await runPlans({
    ...{ engine, clock, plans: rows, baseline: "knapsack", maxTokens: 40, pairs: 1, timeLimitSeconds: null },
    prompts: [{ contextTokens: 100, prompts }],
    progress: { tick: async () => {}, warn: () => {} },
  });
  const [{ stop, predicted, draft_tokens }] = plan.segments;
  const [early, fixed, plain] = made;
  expect([early.stop, early.draft_tokens]).toEqual(["early", stop?.draft_tokens]);
  expect([fixed.stop, fixed.draft_tokens]).toEqual([undefined, draft_tokens]);
  expect(fixed.same_draft_as).toBeUndefined();
  expect(plain.measured).not.toHaveProperty("mean_draft_tokens");
  // of the output's last round only a part is drafted
  expect(fixed.measured.mean_draft_tokens).toBeLessThanOrEqual(draft_tokens ?? 0);
  expect(early.measured.mean_draft_tokens).toBeLessThan(stop?.draft_tokens ?? 0);
  expect(early.measured.acceptance).toBeGreaterThan(fixed.measured.acceptance ?? 1);
  for (const row of [early, fixed]) expect(row.lossless).toBe(true);
  // one segment's figures, read at the contexts that were decoded
  const ratio = (early.predicted?.speedup ?? 0) / (fixed.predicted?.speedup ?? 1);
  expect(ratio).toBeCloseTo((stop?.predicted?.speedup ?? 0) / (predicted?.speedup ?? 1), 1);
});
