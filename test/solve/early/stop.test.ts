/** Fixed or early, of hand-made documents: figures found again run by run, decided on one text and confirmed on the other. */
import { describe, expect, test } from "vitest";
import { predictedFindings } from "../../../src/check/predicted-figures.js";
import { solver } from "../../../src/pipeline/check/solver.js";
import { Calibration, type MeasuredDraft } from "../../../src/schema/calibration.js";
import { compactDraft, uniformChoices } from "../../../src/schema/choice.js";
import { parseDocument, stringifyDocument } from "../../../src/schema/document.js";
import { Plan, predictionOf, withStopRule } from "../../../src/schema/plan.js";
import { Profile } from "../../../src/schema/profile.js";
import type { ConfidenceTable } from "../../../src/schema/stop/confidence.js";
import { planDocument } from "../../../src/solve/index.js";
import { listed, listedSpeed } from "../../oracle/early-stop.js";
import { LAYERS, LOOP, makeCalibration, makeProfile, passUs } from "../../support/documents.js";

const INT8 = uniformChoices(LAYERS, "int8");
const table: ConfidenceTable = [
  { below: 0.7, positions: 200, accepted: 60, acceptance: 0.3 },
  { below: 0.9, positions: 200, accepted: 160, acceptance: 0.8 },
  { below: 1, positions: 600, accepted: 594, acceptance: 0.99 },
];
/** of 1,000 positions 814 accepted */
const RATE = 0.814;
const curve = (d: number) => Array.from({ length: d + 1 }, (_, i) => Number((RATE ** i).toPrecision(12)));

const record = (part: "choose" | "report", d: number, confidence?: ConfidenceTable): MeasuredDraft => ({
  ...{ at_context: 128, part, draft: compactDraft(INT8), tokens: 1000, curve: curve(d) },
  reached: new Array(d).fill(500),
  ...(confidence === undefined ? {} : { confidence }),
});
const profileOf = (confidence_us?: number): Profile =>
  Profile.parse({ ...makeProfile(), loop: { ...LOOP, ...(confidence_us === undefined ? {} : { confidence_us }) } });
const calibrationOf = (...measured: MeasuredDraft[]) => Calibration.parse(makeCalibration([128], measured));
const ref = { path: "x.yaml", sha256: "0".repeat(64) };
const planOf = (profile: Profile, calibration: Calibration): Plan =>
  Plan.parse(planDocument({ profile, calibration, choices: ["int8"] }, { profile: ref, calibration: ref }));
const first = (plan: Plan) => {
  const [{ stop, predicted, draft_tokens = 0 }] = plan.segments;
  return { stop, predicted, draft_tokens };
};

describe("where a draft's confidence tells, and reading it costs little", () => {
  const plan = planOf(profileOf(3), calibrationOf(record("choose", 8, table)));
  const { stop, predicted, draft_tokens } = first(plan);

  test("the plan stops early, and says both", () => {
    expect(stop?.rule).toBe("early");
    expect(stop?.predicted?.tokens_per_second).toBeGreaterThan(1.01 * (predicted?.tokens_per_second ?? 0));
    expect(stop?.predicted?.mean_draft_tokens).toBeGreaterThan(1);
    expect(stop?.draft_tokens).toBeGreaterThan(draft_tokens);
    expect(predictionOf(plan.segments[0])).toBe(stop?.predicted);
    expect(predictionOf(withStopRule(plan, "fixed").segments[0])).toBe(predicted);
    expect(parseDocument(stringifyDocument(plan), "plan.yaml")).toEqual(plan);
  });

  test("its figures are those of every run of confidences", () => {
    if (stop?.predicted === undefined || predicted === undefined) throw new Error("nothing is predicted");
    const n = predicted.at_context;
    const values = table.map(({ below }) => stop.confidence.find((bin) => below <= bin.below)?.acceptance ?? 0);
    const goesOn = (bins: readonly number[]) =>
      bins.reduce((chance, bin) => chance * values[bin], 1) >= (stop.go_on_from[bins.length - 1] ?? 2);
    const rule = { most: stop.draft_tokens, goesOn };
    const draft = {
      shares: Array.from({ length: stop.draft_tokens }, () => [0.2, 0.2, 0.6]),
      acceptance: table.map(({ acceptance }) => acceptance),
    };
    const costs = {
      tokenUs: passUs(true, n, 1) + 3,
      verifyUs: (d: number) => passUs(false, n, d + 1),
      roundUs: LOOP.round_us,
    };
    const { lengths, curve: found } = listed(rule, draft);
    lengths.forEach((share, i) => {
      expect(stop.predicted?.draft_lengths[i]).toBeCloseTo(share, 5);
    });
    found.forEach((a, i) => {
      expect(stop.predicted?.acceptance_curve[i]).toBeCloseTo(a, 5);
    });
    expect(stop.predicted.tokens_per_second / (1e6 * listedSpeed(rule, draft, costs))).toBeCloseTo(1, 5);
  });

  test("check finds nothing wrong, solves it again, and sees a figure that was changed", () => {
    expect(predictedFindings("plan.yaml", plan)).toEqual([]);
    const calibration = calibrationOf(record("choose", 8, table));
    const by = { choices: ["int8"], method: "knapsack", constraints: undefined, extrapolateTo: undefined };
    expect(solver.solve(profileOf(3), calibration, by)).toEqual(plan.segments);
    for (const key of ["accepted_length", "mean_draft_tokens", "tokens_per_second", "speedup"] as const) {
      const wrong = structuredClone(plan);
      const early = wrong.segments[0].stop?.predicted;
      if (early !== undefined) early[key] *= 1.01;
      const [finding] = predictedFindings("plan.yaml", wrong);
      expect([finding.code, finding.where]).toEqual(["PREDICTED_INCONSISTENT", `segments[0].stop.predicted.${key}`]);
    }
  });
});

describe("the plan keeps to a fixed length", () => {
  test("where reading confidence costs as much as a step", () => {
    const { stop, predicted } = first(planOf(profileOf(400), calibrationOf(record("choose", 8, table))));
    expect(stop?.rule).toBe("fixed");
    expect(stop?.predicted?.confidence_us).toBe(400);
    expect(stop?.predicted?.tokens_per_second).toBeLessThan(1.01 * (predicted?.tokens_per_second ?? 0));
  });

  test("where confidence tells nothing", () => {
    const { stop } = first(
      planOf(
        profileOf(3),
        calibrationOf(record("choose", 8, [{ below: 1, positions: 1000, accepted: 814, acceptance: RATE }])),
      ),
    );
    expect(stop?.rule).toBe("fixed");
  });

  test("where text kept back does not bear it out, whose figures it then has", () => {
    const flat = table.map((bin) => ({ ...bin, accepted: bin.positions * RATE, acceptance: RATE }));
    const chosen = record("choose", 8, table);
    const confirmed = planOf(profileOf(3), calibrationOf(chosen, record("report", 8, table)));
    expect(first(confirmed).stop?.rule).toBe("early");
    const refuted = first(planOf(profileOf(3), calibrationOf(chosen, record("report", 8, flat))));
    expect(refuted.stop?.rule).toBe("fixed");
    expect(refuted.stop?.predicted?.tokens_per_second).toBeLessThan(refuted.predicted?.tokens_per_second ?? 0);
  });
});

test("documents that say nothing of confidence give the plan they gave", () => {
  const bare = record("choose", 8);
  const plans = [
    planOf(profileOf(), calibrationOf(bare)),
    planOf(profileOf(3), calibrationOf(bare)),
    planOf(profileOf(), calibrationOf(record("choose", 8, table))),
  ];
  for (const plan of plans) expect(plan).toEqual(plans[0]);
  const { stop: _, ...rest } = planOf(profileOf(3), calibrationOf(record("choose", 8, table))).segments[0];
  expect(rest).toEqual(plans[0].segments[0]);
});
