/** A profile of a slice, scaled to the whole model: against arithmetic by hand, and against a planted whole model. */
import { describe, expect, test } from "vitest";
import { profileModel } from "../../src/profile/profile.js";
import { type Scaled, scaleProfile } from "../../src/profile/scale.js";
import { Profile } from "../../src/schema/profile.js";
import { openLatency } from "../../src/solve/latency.js";
import { profile as example } from "../support/example-documents.js";
import { fakePassUs } from "../support/fake-engine.js";
import { asDocument, fakeSpec, planted, plantedTimes, strangeChoices } from "./support.js";

const scaledTo = (layers: number, measured: number, rows = 4000, rowsMeasured = 1000): Scaled => ({
  ...{ layers_measured: measured, layers, vocabulary_measured: rowsMeasured, vocabulary: rows },
  ...{ weight_bytes: 1, cache_bytes: null, memory_bytes: 1 },
});

/** A slice of two layers at one context. At q = 1 whole passes are the sum of their parts, 161; at q = 4 as well, 256. */
const slice = (): Profile => ({
  ...example(),
  grid: { context_tokens: [64], query_tokens: [1, 4] },
  points: [
    {
      ...{ context_tokens: 64, query_tokens: 1, fixed_us: 10, head_us: { target: 50, int8: 20 } },
      ...{ attn_us: { target: [20, 21], int8: [8, 10] }, mlp_us: { target: [29, 31], int8: [11, 13] } },
      ...{ whole_target_us: 161, residual_percent: 0, passes: 9 },
    },
    {
      ...{ context_tokens: 64, query_tokens: 4, fixed_us: 10, head_us: { target: 86 } },
      ...{ attn_us: { target: [30, 30] }, mlp_us: { target: [50, 50] } },
      ...{ whole_target_us: 256, residual_percent: 0, passes: 3 },
    },
  ],
  query_line: { context_tokens: 64, query_tokens: [1, 2, 3, 4], target_us: [160, 200, 250, 260] },
});

describe("by hand: two of eight layers, a quarter of the head's rows", () => {
  const { points, query_line, model, scaled } = scaleProfile(slice(), scaledTo(8, 2));
  const [step, verification] = points;
  const eight = (us: number) => new Array<number>(8).fill(us);

  test("every layer costs the mean of those measured", () => {
    expect(step.attn_us).toEqual({ target: eight(20.5), int8: eight(9) });
    expect(step.mlp_us).toEqual({ target: eight(30), int8: eight(12) });
    expect(verification.attn_us).toEqual({ target: eight(30) });
  });

  test("the head costs in proportion to its rows, at every kernel; the fixed part stays", () => {
    expect(step.head_us).toEqual({ target: 200, int8: 80 });
    expect([step.fixed_us, verification.fixed_us]).toEqual([10, 10]);
  });

  test("a whole pass is fixed part, head and all layers", () => {
    expect(step.whole_target_us).toBe(10 + 200 + 8 * (20.5 + 30));
    expect(verification.whole_target_us).toBe(10 + 344 + 8 * (30 + 50));
  });

  test("the line over q grows as whole passes do, in between along a straight line", () => {
    const [atOne, atFour] = [614 / 161, 994 / 256];
    const between = (share: number) => atOne + share * (atFour - atOne);
    const expected = [160 * atOne, 200 * between(1 / 3), 250 * between(2 / 3), 260 * atFour];
    query_line?.target_us.forEach((us, i) => expect(us).toBeCloseTo(expected[i], 1));
    expect(query_line?.query_tokens).toEqual([1, 2, 3, 4]);
  });

  test("the result is a valid profile of the whole model, and says what was measured", () => {
    expect(model.layers).toBe(8);
    expect(scaled).toEqual(scaledTo(8, 2));
    const document = scaleProfile(slice(), scaledTo(8, 2));
    expect(Profile.safeParse(document).error).toBeUndefined();
    const wrong = { ...document, scaled: scaledTo(9, 2) };
    expect(Profile.safeParse(wrong).error?.issues[0].path).toEqual(["scaled", "layers"]);
    const more = { ...document, scaled: scaledTo(8, 9) };
    expect(Profile.safeParse(more).error?.issues[0].message).toMatch(/more was measured/);
  });
});

test("a whole pass that was measured off the sum of its parts keeps that share", () => {
  const off = slice();
  off.points[0].whole_target_us = 161 * 1.02;
  const [step] = scaleProfile(off, scaledTo(8, 2)).points;
  expect(step.whole_target_us).toBeCloseTo(614 * 1.02, 1);
});

test("at q > 1 a wrong split between fixed part, head and blocks does not change the whole", () => {
  const right = scaleProfile(slice(), scaledTo(8, 2));
  const wrong = slice();
  Object.assign(wrong.points[1], {
    ...{ fixed_us: 100, head_us: { target: 20 } }, // 156 of 256 are left for head and blocks, instead of 246
    ...{ attn_us: { target: [0, 0] }, mlp_us: { target: [68, 68] } },
  });
  const [, verification] = scaleProfile(wrong, scaledTo(8, 2)).points;
  expect(verification.whole_target_us).toBeCloseTo(right.points[1].whole_target_us, 1);
  const { fixed_us, head_us, attn_us, mlp_us } = verification;
  const parts = [fixed_us, head_us.target ?? 0, ...(attn_us.target ?? []), ...(mlp_us.target ?? [])];
  expect(parts.reduce((sum, us) => sum + us, 0)).toBeCloseTo(verification.whole_target_us, 0);
});

test("uncertainty is in factors, and stays as it was measured", () => {
  const before = slice();
  before.points.forEach((point) => {
    point.resampled = { fixed: [1, 1.1], head: { target: [0.9, 1] }, whole_target: [0.98, 1.03] };
  });
  const { points } = scaleProfile(before, scaledTo(8, 2));
  expect(points.map(({ resampled }) => resampled)).toEqual(before.points.map(({ resampled }) => resampled));
});

describe("a planted model of 24 layers, of which 3 and an eighth of the head are measured", () => {
  const LAYERS = 24;
  const MEASURED = 3;
  const GRID = { contexts: [64, 1024], queries: [1, 2, 5], queryLine: [] };
  const times = plantedTimes(1, 0);
  const alike = {
    ...times,
    blockUs: (b: { layer: number; kind: "attn" | "mlp" }, ...rest: ["target" | "int8", number, number]) =>
      times.blockUs({ ...b, layer: 0 }, ...rest),
  };
  const whole = { spec: fakeSpec(LAYERS), times: alike, missRate: () => 0 };
  const part = { ...alike, headUs: (...of: Parameters<typeof times.headUs>) => times.headUs(...of) / 8 };

  // 16 µs of the fixed part at q = 5 are taken for blocks, and grow eightfold
  test("drafts of the whole are predicted to 0.5 %, verifications to 1 %", async () => {
    const world = planted(MEASURED, part);
    const measured = await profileModel({ ...world, ...GRID, maxRounds: 20, budgetSeconds: 1e6, draws: 0 });
    const latency = openLatency(scaleProfile(asDocument(measured, MEASURED), scaledTo(LAYERS, MEASURED, 8, 1)));
    const exact = (position: number, q: number, choices: ReturnType<typeof strangeChoices>[number]) =>
      fakePassUs({ ...whole, clock: world.clock }, { position, q, rows: q, choices });
    for (const n of GRID.contexts) {
      for (const set of strangeChoices(20, LAYERS, 3))
        expect(Math.abs(latency.draftUs(set, n) / exact(n, 1, set) - 1)).toBeLessThan(0.005);
      const target = { blocks: new Array<"target">(2 * LAYERS).fill("target"), head: "target" as const };
      for (const q of GRID.queries)
        expect(Math.abs(latency.verifyUs(n, q - 1) / exact(n, q, target) - 1)).toBeLessThan(0.01);
    }
  });
});
