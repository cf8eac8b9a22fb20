import { describe, expect, test } from "vitest";
import type { MeasuredDraft } from "../../src/schema/calibration.js";
import { compactDraft, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { Profile } from "../../src/schema/profile.js";
import { curveFromRate, openProblem, planDocument, planSegments } from "../../src/solve/index.js";
import { drawnInterval, regretPercent, resampledLatencies } from "../../src/solve/resample.js";
import { LAYERS, makeCalibration, makeProfile } from "../support/documents.js";

type Resampled = NonNullable<Profile["points"][number]["resampled"]>;
type Factors = (draw: number) => { int8?: number; whole?: number; target?: number };

/** The profile with draws: factors on int8 blocks, on the target's, and on the whole target. */
function drawn(count: number, of: Factors): Profile {
  const profile = makeProfile();
  const each = (pick: (draw: number) => number) => Array.from({ length: count }, (_, draw) => pick(draw));
  const int8 = each((draw) => of(draw).int8 ?? 1);
  const target = each((draw) => of(draw).target ?? 1);
  const whole_target = each((draw) => of(draw).whole ?? 1);
  const parts: Resampled = { attn: { target, int8 }, mlp: { target, int8 }, whole_target };
  const points = profile.points.map((point) => ({
    ...point,
    resampled: point.query_tokens === 1 ? parts : { whole_target },
  }));
  return Profile.parse({ ...profile, points });
}

const int8 = uniformChoices(LAYERS, "int8");
const skipOne = { blocks: targetChoices(LAYERS).blocks.with(4, "skip"), head: "target" as const };
const measured = (set: typeof int8, alpha: number): MeasuredDraft => ({
  at_context: 128,
  part: "choose",
  draft: compactDraft(set),
  tokens: 500,
  curve: curveFromRate(alpha, 16),
});

const CALIBRATION = makeCalibration([128], [measured(int8, 0.97), measured(skipOne as typeof int8, 0.9)]);
const planOf = (profile: Profile) =>
  planSegments(openProblem({ profile, calibration: CALIBRATION, choices: ["int8", "skip"] }));

describe("the latencies of a draw", () => {
  test("are the sample's, times its factors", () => {
    const profile = drawn(2, (draw) => (draw === 0 ? {} : { int8: 1.5, whole: 1.2 }));
    const [same, other] = resampledLatencies(profile);
    const [own] = resampledLatencies(drawn(1, () => ({})));
    expect(same.draftUs(int8, 64)).toBeCloseTo(own.draftUs(int8, 64), 9);
    for (const d of [0, 1, 4]) expect(other.verifyUs(64, d)).toBeCloseTo(1.2 * same.verifyUs(64, d), 6);
    const blocks = (latency: typeof same) =>
      latency.draftUs(int8, 64) - latency.fixedUs(64, 1) - latency.headUs("int8", 64, 1);
    expect(blocks(other)).toBeCloseTo(1.5 * blocks(same), 6);
  });

  test("keep the sum of the target's parts at the drawn whole, however the parts were drawn", () => {
    const [latency] = resampledLatencies(drawn(1, () => ({ target: 3, whole: 0.9 })));
    const [own] = resampledLatencies(drawn(1, () => ({})));
    expect(latency.verifyUs(256, 0)).toBeCloseTo(0.9 * own.verifyUs(256, 0), 6);
    expect(latency.draftUs(targetChoices(LAYERS), 256)).toBeCloseTo(0.9 * own.verifyUs(256, 0), 6);
  });

  test("a profile without draws has none", () => {
    expect(resampledLatencies(makeProfile())).toEqual([]);
  });
});

describe("a prediction", () => {
  test("from a profile without draws says nothing of its uncertainty", () => {
    for (const { predicted } of planOf(makeProfile())) {
      expect(predicted).toBeDefined();
      expect(predicted).not.toHaveProperty("speedup_interval");
      expect(predicted).not.toHaveProperty("regret_percent");
    }
  });

  test("from draws that all agree is certain", () => {
    for (const { predicted } of planOf(drawn(10, () => ({})))) {
      expect(predicted?.speedup_interval?.low).toBeCloseTo(predicted?.speedup ?? 0, 4);
      expect(predicted?.speedup_interval?.high).toBeCloseTo(predicted?.speedup ?? 0, 4);
      // what the shorter of two nearly equal drafts costs, the same in every draw
      expect(predicted?.regret_percent?.mean).toBeLessThan(0.5);
      expect(predicted?.regret_percent?.p95).toBe(predicted?.regret_percent?.mean);
    }
  });

  test("has the interval that the draws give it", () => {
    const factors = Array.from({ length: 21 }, (_, i) => 0.9 + 0.01 * i);
    const [{ predicted, draft_tokens: d = 0 }] = planOf(drawn(21, (draw) => ({ int8: factors[draw] })));
    if (predicted === undefined) throw new Error("the plan does not speculate");
    const [own] = resampledLatencies(drawn(1, () => ({})));
    const n = predicted.at_context;
    const rest = own.fixedUs(n, 1) + own.headUs("int8", n, 1);
    const speed = (factor: number) => {
      const draftUs = rest + factor * (own.draftUs(int8, n) - rest);
      const tokens = predicted.acceptance_curve.reduce((sum, a) => sum + a, 0);
      return (tokens * own.stepUs(n)) / (d * draftUs + own.verifyUs(n, d) + own.roundUs);
    };
    expect(predicted.speedup_interval?.low).toBeCloseTo(speed(1.09), 3); // the 20th of 21
    expect(predicted.speedup_interval?.high).toBeCloseTo(speed(0.91), 3);
  });

  test("regrets what another draft would have gained on other draws", () => {
    const certain = planOf(drawn(20, () => ({})))[0];
    // on a quarter of the draws int8 blocks cost four times as much: plain decoding or the other draft would have won there
    const [{ predicted, draft }] = planOf(drawn(20, (draw) => ({ int8: draw < 5 ? 4 : 1 })));
    expect(draft).toEqual(certain.draft); // the choice is by the sample
    expect(predicted?.regret_percent?.mean).toBeGreaterThan(1);
    expect(predicted?.regret_percent?.p95).toBeGreaterThan(4 * (predicted?.regret_percent?.mean ?? 0) * 0.9);
  });

  test("is the same plan, byte for byte, for the same documents", () => {
    const input = {
      profile: drawn(10, (draw) => ({ int8: 1 + draw / 50 })),
      calibration: CALIBRATION,
      choices: ["int8"] as const,
    };
    const inputs = {
      profile: { path: "p", sha256: "0".repeat(64) },
      calibration: { path: "c", sha256: "1".repeat(64) },
    };
    expect(JSON.stringify(planDocument(input, inputs))).toBe(JSON.stringify(planDocument(input, inputs)));
  });
});

describe("figures over draws", () => {
  test("nine tenths lie in the interval", () => {
    const values = Array.from({ length: 101 }, (_, i) => (i * 37) % 101); // 0 to 100, shuffled
    expect(drawnInterval(values)).toEqual({ low: 5, high: 95 });
  });

  test("regret is never negative: chance may favour what was chosen", () => {
    expect(regretPercent([10, 9, 12], [10, 10, 11])).toEqual({
      mean: expect.closeTo(10 / 3, 9),
      p95: expect.closeTo(9, 9),
    });
  });
});
