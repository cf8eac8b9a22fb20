/**
 * What a sweep recovers of a planted surface with steps, noise, drift and outliers, part by part. On the fake clock, so
 * that the same seeds give the same errors. A part is judged by its cost over all layers: plans add those up.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { profileModel } from "../../src/profile/profile.js";
import { type Kernel, uniformChoices } from "../../src/schema/choice.js";
import type { ProfilePoint } from "../../src/schema/profile.js";
import { fakePassUs } from "../support/fake-engine.js";
import { uniform } from "../support/numbers.js";
import { fakeSpec, type Planted, planted, plantedTimes } from "./support.js";

const LAYERS = 6;
const KERNELS: readonly Kernel[] = ["target", "int8", "int4"];
const GRID = { contexts: [64, 256, 1024, 4000], queries: [1, 2, 5, 9], queryLine: [] };
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

const NOISE = 0.04;
const DRIFT_PER_PASS = 1 / 40_000;
const OUTLIER = { share: 0.03, times: 4 };

const normal = (next: () => number) => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());

/** Attention steps up at 1,024 tokens of context, every MLP at every fourth token of a pass. */
function stepped(seed: number): Planted["times"] {
  const base = plantedTimes(LAYERS, 0.15, seed);
  const step = (kind: string, n: number, q: number) =>
    kind === "mlp" ? 80 * Math.floor((q - 1) / 4) : n >= 1024 ? 30 : 0;
  return { ...base, blockUs: (b, c, n, q) => base.blockUs(b, c, n, q) + step(b.kind, n, q) };
}

function disturb(seed: number) {
  const next = uniform(seed);
  return (us: number, pass: number) => {
    const outlier = next() < OUTLIER.share ? OUTLIER.times : 1;
    return us * (1 + NOISE * normal(next)) * (1 + pass * DRIFT_PER_PASS) * outlier;
  };
}

/** Errors by part, in percent of the part; `… of a pass`: in percent of the whole target's pass. */
const errors = new Map<string, number[]>();
const note = (part: string, percent: number) => errors.set(part, [...(errors.get(part) ?? []), Math.abs(percent)]);
const total = (us: readonly number[] = []) => us.reduce((a, b) => a + b, 0);

function compare(point: ProfilePoint, times: Planted["times"], level: number, wholeUs: number): void {
  const { context_tokens: n, query_tokens: q } = point;
  const at = q === 1 ? "q = 1" : "q > 1";
  const off = (part: string, got: number, planted: number) => {
    note(`${part}, ${at}`, 100 * (got / (level * planted) - 1));
    note(`${part}, ${at}, of a pass`, (100 * (got - level * planted)) / (level * wholeUs));
  };
  for (const kernel of q === 1 ? KERNELS : KERNELS.slice(0, 1)) {
    for (const kind of ["attn", "mlp"] as const) {
      const layers = Array.from({ length: LAYERS }, (_, layer) => times.blockUs({ layer, kind }, kernel, n, q));
      off(`${kind} ${kernel}`, total(point[`${kind}_us`][kernel]), total(layers));
    }
    off(`head ${kernel}`, point.head_us[kernel] ?? 0, times.headUs(kernel, q));
  }
  off("fixed", point.fixed_us, times.fixedUs(q));
  off("whole", point.whole_target_us, wholeUs);
}

beforeAll(async () => {
  for (const seed of SEEDS) {
    const times = stepped(seed);
    const world = planted(LAYERS, { ...times, disturbance: disturb(seed) }, undefined, KERNELS);
    const { points, sampling } = await profileModel({ ...world, ...GRID, seed, draws: 0, budgetSeconds: 1e6 });
    expect(sampling.drift_percent).toBeGreaterThan(5); // it is there, and is taken out
    const level = 1 + (world.engine.passes.length / 2) * DRIFT_PER_PASS; // the profile stands for the middle of the sweep
    for (const point of points) {
      const { context_tokens: position, query_tokens: q } = point;
      const model = { spec: fakeSpec(LAYERS), times, clock: world.clock, missRate: () => 0 };
      const pass = { position, q, rows: q, choices: uniformChoices(LAYERS, "target") };
      compare(point, times, level, fakePassUs(model, pass));
    }
  }
});

const bounds = (part: string, half: number, all: number) => ({ part, half, all });

describe("in a surface with steps, through noise of 4 %, drift of 10 % and one pass in 33 four times too long", () => {
  test.each([
    // Eight sweeps are few: any change of what runs before them draws other noise, so bounds leave room for that. Of eight sets
    // of eight sweeps (seeds 1 to 64) the worst had half of the heads' points within 1.3 % (target), 1.6 (int8) and 2.6 (int4),
    // and the worst points 2.5, 5.9 and 5.5 % off; half of the fixed part's within 1.5 %, and one point of 96 by 5.6 % of a pass off.
    bounds("whole, q = 1", 1.3, 2.8),
    // The fixed part is known from passes of nothing else: one visit in 7 of 96, each the mean of a burst (4 % / √8) over the
    // median of four target passes (2.5 %): 3 %, so 1.25 · 3 % / √14 = 1 %. Of 8 sweeps half lie within 0.7 ± 0.27 %, four such deviations at most.
    bounds("fixed, q = 1", 1.9, 3),
    bounds("head target, q = 1", 1.6, 3),
    bounds("head int8, q = 1", 2, 7),
    bounds("head int4, q = 1", 3.2, 7),
    bounds("attn target, q = 1", 4, 12),
    bounds("attn int8, q = 1", 5, 14),
    // corners know attention and MLP together; told apart they are by 192 bursts of random choices, in which the number of
    // int4 attention blocks has a deviation of 1.4 of 6 (uniform mixtures of four): 3 % · (6 / 1.4) / √192 = 0.9 % of a
    // pass. Half of the points within 0.67 times that, give or take a third (8 sweeps), all within 3.5 times
    bounds("attn int4, q = 1, of a pass", 0.85, 3.2),
    bounds("mlp target, q = 1", 1, 3),
    bounds("mlp int8, q = 1", 4, 6),
    bounds("mlp int4, q = 1", 4, 8),
    bounds("whole, q > 1", 1.5, 5),
    bounds("head target, q > 1", 2, 6),
    bounds("attn target, q > 1", 6.5, 25),
    // some ten passes of one kind alone at each q: 1.25 · 4 % · √(1/10 + 1/48) = 1.7 % of a pass, 3.5 times that at most,
    // where the MLP is taken to rise with n though it does not
    bounds("mlp target, q > 1, of a pass", 1.2, 6),
    // small beside what it is told from: known in share of a pass alone, and only the sum is used there
    bounds("fixed, q > 1, of a pass", 0.5, 7),
  ])("$part is recovered: half of the points within $half %, all within $all %", ({ part, half, all }) => {
    const found = (errors.get(part) ?? []).toSorted((a, b) => a - b);
    expect(found.length).toBe(SEEDS.length * GRID.contexts.length * (part.includes("q = 1") ? 1 : 3));
    expect(found[found.length >> 1]).toBeLessThan(half);
    expect(found[found.length - 1]).toBeLessThan(all);
  });
});
