/** Points beside the curves: measured at one place of the grid alone, whatever the others say. */

import { describe, expect, test } from "vitest";
import { steady } from "../../src/profile/fit/drift.js";
import { rawPoints as rawOf } from "../../src/profile/fit/raw-points.js";
import { profileModel } from "../../src/profile/profile.js";
import { cornerPasses, draftPass, partialCorners } from "../../src/profile/sweep/design.js";
import { type Observation, type SweepPass, targetPass } from "../../src/profile/sweep/pass.js";
import { blockKind, DEFAULT_KERNELS } from "../../src/schema/choice.js";
import { Profile } from "../../src/schema/profile.js";
import { seededRandom } from "../../src/stats/random.js";
import { asDocument, planted, plantedTimes } from "./support.js";

const LAYERS = 4;
const ROUNDS = 12;
const US = { attn: { target: 100, int8: 40 }, mlp: { target: 300, int8: 120 } };

const passUs = ({ choices, head }: SweepPass): number =>
  choices.blocks.reduce(
    (sum, choice, i) => sum + (choice === "target" || choice === "int8" ? US[blockKind(i)][choice] : 0),
    head ? 250 : 50,
  );

/** Rounds of these passes at one place. @param factor what the round's passes take more than planted */
const observe = (
  query: number,
  passes: (round: number) => SweepPass[],
  factor: (round: number) => number,
): Observation[] =>
  Array.from({ length: ROUNDS }, (_, round) =>
    passes(round).map((pass) => ({
      ...{ ...pass, context: 256, query, us: factor(round) * passUs(pass) },
      ...{ passes: 1, round, visit: round },
    })),
  ).flat();

const rawPoints = (observations: Observation[], layers: number, rounds: number) =>
  rawOf({ seen: observations, steadied: observations.map((o) => ({ ...o, slowness: 1 })) }, layers, rounds);

describe("at q > 1", () => {
  const corners = partialCorners(LAYERS);
  const passes = (round: number) => [targetPass(LAYERS), corners[round % corners.length]];

  test("a kind costs the whole target less the other kind alone, over the layers", () => {
    const { attn, mlp, whole_target } = rawPoints(
      observe(5, passes, () => 1),
      LAYERS,
      ROUNDS,
    );
    expect(attn).toEqual({ target: [100, 100, 100] });
    expect(mlp).toEqual({ target: [300, 300, 300] });
    expect(whole_target).toEqual([1850, 1850, 1850]);
  });

  test("each third of the sweep speaks for itself", () => {
    const raw = rawPoints(
      observe(5, passes, (round) => (round < 4 ? 2 : 1)),
      LAYERS,
      ROUNDS,
    );
    expect(raw.attn.target).toEqual([200, 100, 100]);
    expect(raw.whole_target).toEqual([3700, 1850, 1850]);
  });

  test("the whole target is shown as measured, though blocks are rid of slow visits by it", () => {
    const seen = observe(5, passes, (round) => [1, 1.1, 1.3][Math.floor(round / 4)]);
    const raw = rawOf({ seen, steadied: steady(seen) }, LAYERS, ROUNDS);
    expect(raw.whole_target).toEqual([1850, 2035, 2405]);
    for (const us of raw.attn.target ?? []) expect(us).toBeCloseTo(110, 1); // at the usual visit's speed
  });

  test("where no pass had one kind alone there is no point, and fewer rounds make fewer points", () => {
    const whole = observe(
      5,
      () => [targetPass(LAYERS)],
      () => 1,
    );
    expect(rawPoints(whole, LAYERS, ROUNDS)).toEqual({ attn: {}, mlp: {}, whole_target: [1850, 1850, 1850] });
    const few = whole.filter(({ round }) => round < 7);
    expect(rawPoints(few, LAYERS, 7).whole_target).toEqual([1850]);
    expect(rawPoints([], LAYERS, 7)).toEqual({ attn: {}, mlp: {}, whole_target: [] });
  });
});

describe("at q = 1", () => {
  test("parts are solved from the passes of the place alone, by third and kernel", () => {
    const random = seededRandom(3);
    const corners = cornerPasses(LAYERS, DEFAULT_KERNELS);
    const passes = (round: number) => [
      targetPass(LAYERS),
      ...[corners[round % corners.length], ...[0, 1, 2].map(() => draftPass(random, LAYERS, DEFAULT_KERNELS))],
    ];
    const factor = (round: number) => (round >= 8 ? 1.5 : 1);
    const { attn, mlp, whole_target } = rawPoints(observe(1, passes, factor), LAYERS, ROUNDS);
    for (const [kind, points] of Object.entries({ attn, mlp }) as ["attn" | "mlp", typeof attn][])
      for (const kernel of DEFAULT_KERNELS)
        [1, 1, 1.5].forEach((times, third) => {
          const us = points[kernel]?.[third] ?? 0;
          expect(Math.abs(us / (times * US[kind][kernel as "target" | "int8"]) - 1)).toBeLessThan(0.01);
        });
    expect(whole_target).toEqual([1850, 1850, 1.5 * 1850]);
  });
});

test("a curve that misses a context is seen by them: they follow a bump that no rising line can have", async () => {
  const base = plantedTimes(LAYERS, 0);
  const bump = (n: number) => (n === 256 ? 60 : 0);
  const times: typeof base = {
    ...base,
    blockUs: (b, c, n, q) => base.blockUs(b, c, n, q) + (b.kind === "attn" ? bump(n) : 0),
  };
  const grid = { contexts: [64, 256, 1024], queries: [1, 5], queryLine: [] };
  const measured = await profileModel({ ...planted(LAYERS, times), ...grid, draws: 0, budgetSeconds: 1e6 });
  expect(Profile.safeParse(asDocument(measured, LAYERS)).error).toBeUndefined();
  for (const { context_tokens: n, query_tokens: q, raw, attn_us } of measured.points) {
    const exact = times.blockUs({ layer: 0, kind: "attn" }, "target", n, q);
    for (const us of raw?.attn.target ?? []) expect(Math.abs(us / exact - 1)).toBeLessThan(0.01);
    expect(raw?.attn.target?.length ?? 0).toBeGreaterThan(0);
    if (n === 1024) expect((attn_us.target?.[0] ?? 0) / exact).toBeGreaterThan(1.01); // the curve pays for the bump here
  }
});
