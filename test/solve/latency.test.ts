import { describe, expect, test } from "vitest";
import { Profile } from "../../src/schema/profile.js";
import { openLatency } from "../../src/solve/latency.js";
import { expectFailure } from "../support/failure.js";

/** Two layers, contexts 100 and 300, q 1, 3 and 5; every number can be followed by hand. */
function point(n: number, q: number, scale: number): Profile["points"][number] {
  const at = (us: number) => us * scale;
  const quantised = q === 1;
  return {
    context_tokens: n,
    query_tokens: q,
    fixed_us: at(10),
    head_us: { target: at(40), ...(quantised ? { int8: at(20) } : {}) },
    attn_us: { target: [at(100), at(120)], ...(quantised ? { int8: [at(50), at(60)] } : {}) },
    mlp_us: { target: [at(200), at(240)], ...(quantised ? { int8: [at(80), at(90)] } : {}) },
    whole_target_us: at(710),
    residual_percent: 0,
    passes: 1,
  };
}

const profile: Profile = {
  kind: "draftplan/profile",
  version: 1,
  model: { name: "made by hand", layers: 2, architecture_sha256: "a".repeat(64), weights_sha256: null },
  device: { processor: "none", provider: "fake", threads: 1, runtime: "fake", platform: "none" },
  kernels: { target: "fp32", int8: "int8" },
  grid: { context_tokens: [100, 300], query_tokens: [1, 3, 5] },
  points: [point(100, 1, 1), point(100, 3, 2), point(100, 5, 4), point(300, 1, 3), point(300, 3, 4), point(300, 5, 10)],
  loop: { round_us: 7, step_us: 5 },
  attention_line: [],
  sampling: { rounds: 1, seed: 1, spread_percent: 0, contention_percent: 0 },
};
const latency = openLatency(profile, "mine.yaml");

test("the profile made by hand is a valid one", () => {
  expect(Profile.safeParse(profile).error).toBeUndefined();
});

describe("at a profiled point", () => {
  test("a draft costs the fixed part, its head and its blocks; a skipped one nothing", () => {
    expect(latency.draftUs({ blocks: ["target", "target", "target", "target"], head: "target" }, 100)).toBe(710);
    expect(latency.draftUs({ blocks: ["int8", "skip", "target", "int8"], head: "int8" }, 100)).toBe(
      10 + 20 + 50 + 120 + 90,
    );
    expect(latency.draftUs({ blocks: ["skip", "skip", "skip", "skip"], head: "target" }, 300)).toBe(150);
  });

  test("a verification of d tokens is a pass over d + 1", () => {
    expect(latency.verifyUs(100, 0)).toBe(710);
    expect(latency.verifyUs(100, 2)).toBe(1420);
    expect(latency.verifyUs(300, 4)).toBe(7100);
  });

  test("single parts are read off", () => {
    expect(latency.blockUs(2, "int8", 100, 1)).toBe(60);
    expect(latency.blockUs(3, "target", 300, 3)).toBe(960);
    expect(latency.blockUs(3, "skip", 300, 3)).toBe(0);
    expect(latency.headUs("int8", 300, 1)).toBe(60);
    expect(latency.fixedUs(100, 5)).toBe(40);
  });

  test("a plain step is a verification of nothing, and what the loop adds", () => {
    expect(latency.stepUs(100)).toBe(715);
    expect(latency.roundUs).toBe(7);
  });
});

describe("between the points", () => {
  test("n, q and both are interpolated linearly", () => {
    expect(latency.draftUs({ blocks: ["int8", "int8", "int8", "int8"], head: "int8" }, 150)).toBeCloseTo(1.5 * 310, 9);
    expect(latency.verifyUs(100, 1)).toBeCloseTo(710 * 1.5, 9);
    expect(latency.verifyUs(100, 3)).toBeCloseTo(710 * 3, 9);
    expect(latency.verifyUs(250, 3)).toBeCloseTo(710 * (0.25 * 3 + 0.75 * 7), 9);
    expect(latency.blockUs(0, "target", 200, 2)).toBeCloseTo(100 * (0.5 * 1.5 + 0.5 * 3.5), 9);
  });

  test("below the first profiled context the first value holds", () => {
    expect(latency.verifyUs(0, 2)).toBe(1420);
    expect(latency.stepUs(99)).toBe(715);
  });

  test("at(n) says the same as the model", () => {
    const at = latency.at(222);
    expect(at.verifyUs(3)).toBe(latency.verifyUs(222, 3));
    expect(at.stepUs).toBe(latency.stepUs(222));
    expect(at.blockUs(1, "int8", 1)).toBe(latency.blockUs(1, "int8", 222, 1));
    expect(at).toBe(latency.at(222));
  });

  test("a profile of one point has that value everywhere below it", () => {
    const single = openLatency({
      ...profile,
      grid: { context_tokens: [100], query_tokens: [1] },
      points: [point(100, 1, 1)],
    });
    expect(single.verifyUs(3, 0)).toBe(710);
    expect(single.maxDraftTokens).toBe(0);
  });
});

describe("what was not profiled is refused", () => {
  test("a context past the last one, with a command that would measure it", async () => {
    expect(latency.contextTokens).toEqual({ from: 100, to: 300 });
    await expectFailure(
      () => latency.verifyUs(301, 2),
      "CONTEXT_OUT_OF_RANGE",
      "asked for 301 tokens, profiled 100 to 300",
    );
    await expect(async () => latency.at(301)).rejects.toMatchObject({
      remedy:
        "draftplan profile … --context 100..301 -o mine.yaml; or draw the costs on: draftplan solve … --extrapolate",
    });
  });

  test("a verification longer than the longest pass", async () => {
    expect(latency.maxDraftTokens).toBe(4);
    await expectFailure(() => latency.verifyUs(100, 5), "CONTEXT_OUT_OF_RANGE", /grid.query_tokens.*asked for 6/);
  });

  test("a quantised kernel at q > 1", async () => {
    await expectFailure(() => latency.blockUs(0, "int8", 100, 3), "CHOICE_UNAVAILABLE", /attn_us.int8.*3 in the pass/);
    await expectFailure(() => latency.headUs("int8", 100, 2), "CHOICE_UNAVAILABLE", "head_us.int8");
  });

  test("a kernel the profile does not have at all", async () => {
    const poor = openLatency({
      ...profile,
      points: profile.points.map((p) => ({ ...p, mlp_us: { target: p.mlp_us.target ?? [] } })),
    });
    await expectFailure(
      () => poor.draftUs({ blocks: ["int8", "int8", "int8", "int8"], head: "target" }, 100),
      "CHOICE_UNAVAILABLE",
      "mlp_us.int8",
    );
  });
});
