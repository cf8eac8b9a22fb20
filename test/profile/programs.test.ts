/** The sweep of an engine that queues passes: a deck of programs whose differences are the parts, on a fake clock. */
import { describe, expect, test } from "vitest";
import { type Measured, profileModel } from "../../src/profile/profile.js";
import { passKey, programDeck } from "../../src/profile/sweep/programs.js";
import { type ChoiceSet, choiceKey, type Kernel, uniformChoices } from "../../src/schema/choice.js";
import { Profile } from "../../src/schema/profile.js";
import { openLatency } from "../../src/solve/latency.js";
import { FakeClock, FakeEngine, type FakeTimes, fakePassUs } from "../support/fake-engine.js";
import { normal, uniform } from "../support/numbers.js";
import { asDocument, fakeSpec, plantedTimes } from "./support.js";

const LAYERS = 6;
const KERNELS: readonly Kernel[] = ["target", "int8", "int4"];
const GRID = { contexts: [64, 256, 1024], queries: [1, 4], queryLine: [1, 2, 3, 4] };
/** Every third layer sees everything, the others the last 256 tokens: two classes of attention. */
const WINDOW = 256;
const WINDOWS = Array.from({ length: LAYERS }, (_, layer) => (layer % 3 === 2 ? null : WINDOW));
const SPEC = { ...fakeSpec(LAYERS), layerWindows: WINDOWS };

const base = plantedTimes(LAYERS, 0);
const TIMES: FakeTimes = {
  ...base,
  blockUs: (block, kernel, n, q) =>
    base.blockUs(block, kernel, block.kind === "attn" ? Math.min(n, WINDOWS[block.layer] ?? n) : n, q),
};

const exactUs = (choices: ChoiceSet, position: number, q: number, head = true) =>
  fakePassUs(
    { spec: SPEC, times: TIMES, clock: new FakeClock(), missRate: () => 0 },
    { position, q, rows: head ? q : 0, choices },
  );

async function measure(disturbance?: FakeTimes["disturbance"], rounds = 8, seed = 1) {
  const clock = new FakeClock();
  const times = disturbance === undefined ? TIMES : { ...TIMES, disturbance };
  const engine = new FakeEngine({ spec: SPEC, clock, times, missRate: () => 0.3, kernels: KERNELS, queues: true });
  const stop = { minRounds: rounds, maxRounds: rounds, budgetSeconds: 1e6, draws: 0 };
  return { engine, measured: await profileModel({ engine, clock, ...GRID, ...stop, seed }) };
}

const steps = (measured: Measured) => measured.points.filter(({ query_tokens }) => query_tokens === 1);
const alone = (kernel: Kernel, kind: 0 | 1, keeps: (layer: number) => boolean): ChoiceSet => ({
  ...uniformChoices(LAYERS, kernel),
  blocks: Array.from({ length: 2 * LAYERS }, (_, i) => (i % 2 === kind && keeps(i >> 1) ? kernel : "skip")),
});

describe("without noise", async () => {
  const { engine, measured } = await measure();

  test("every part is what was planted, attention of both classes too, and the judges are predicted exactly", () => {
    const near = (got: number | undefined, want: number) => expect(Math.abs((got ?? 0) / want - 1)).toBeLessThan(2e-3);
    for (const { context_tokens: n, ...point } of steps(measured)) {
      near(point.fixed_us, TIMES.fixedUs(1));
      near(point.whole_target_us, exactUs(uniformChoices(LAYERS, "target"), n, 1));
      for (const kernel of KERNELS) {
        near(point.head_us[kernel], TIMES.headUs(kernel, 1));
        for (let layer = 0; layer < LAYERS; layer++) {
          near(point.attn_us[kernel]?.[layer], TIMES.blockUs({ layer, kind: "attn" }, kernel, n, 1));
          near(point.mlp_us[kernel]?.[layer], TIMES.blockUs({ layer, kind: "mlp" }, kernel, n, 1));
        }
      }
    }
    const { held_out } = measured.errors ?? {};
    expect(held_out).toMatchObject({ median_percent: 0, p90_percent: 0, signed_percent: 0 });
    expect(held_out?.drafts).toBe(6 * GRID.contexts.length * 8); // six programs a context and round
  });

  test("verifications are those of the target, at every length", () => {
    const latency = openLatency(asDocument(measured, LAYERS));
    for (const n of GRID.contexts)
      for (const d of [0, 1, 2, 3]) {
        const exact = exactUs(uniformChoices(LAYERS, "target"), n, d + 1);
        // the planted times are straight in q, as what lies between q = 1 and q = 4 is read off
        expect(Math.abs(latency.verifyUs(n, d) / exact - 1)).toBeLessThan(2e-3);
      }
  });

  test("is a valid document, whose layers of a class are alike: no error of a single layer is told", () => {
    expect(Profile.safeParse(asDocument(measured, LAYERS)).error).toBeUndefined();
    expect(measured.layer_error).toBeUndefined();
    expect(measured.loop).toEqual({ round_us: 0, step_us: 0, confidence_us: 0 });
  });

  test("no more programs are run than a device keeps ready: 2 GiB of 70 MB each", () => {
    const programs = new Set(engine.passes.map(({ choices, q }) => `${q > 1} ${choiceKey(choices)}`));
    expect(programs.size).toBeLessThanOrEqual(30);
  });
});

describe("with 1 % of noise in every pass", () => {
  const NOISE = 0.01;
  const ROUNDS = 8;
  const QUEUED = 6;
  const noisy = (seed: number) => {
    const next = uniform(seed);
    return (us: number) => us * (1 + NOISE * normal(next));
  };
  // a difference of two programs is as sure as both are; the fit knows more than that one difference. Four standard errors
  const sure = (...programs: number[]) => 4 * NOISE * Math.hypot(...programs) * Math.sqrt(1 / (ROUNDS * QUEUED));

  test.each([1, 2])("parts are the planted ones as far as differences of programs tell: seed %i", async (seed) => {
    const { measured } = await measure(noisy(seed), ROUNDS);
    const nothing = exactUs(uniformChoices(LAYERS, "skip"), 0, 1, false);
    for (const { context_tokens: n, ...point } of steps(measured))
      for (const kernel of KERNELS) {
        // the target's parts add up to its median: of three passes a round, √(π/2) as unsure as their mean
        const whole =
          kernel === "target" ? [1.2533 * Math.sqrt(1 / 3) * exactUs(uniformChoices(LAYERS, kernel), n, 1)] : [];
        const off = (got: number, want: number, ...programs: number[]) =>
          expect(Math.abs(got - want)).toBeLessThan(sure(...programs, ...whole));
        const all = uniformChoices(LAYERS, kernel);
        off(point.head_us[kernel] ?? 0, TIMES.headUs(kernel, 1), exactUs(all, n, 1), exactUs(all, n, 1, false));
        const sum = (us: readonly number[] = []) => us.reduce((a, b) => a + b, 0);
        off(
          sum(point.mlp_us[kernel]),
          LAYERS * TIMES.blockUs({ layer: 0, kind: "mlp" }, kernel, n, 1),
          exactUs(
            alone(kernel, 1, () => true),
            n,
            1,
            false,
          ),
          nothing,
        );
        for (const isWide of [true, false]) {
          const layers = WINDOWS.flatMap((window, layer) => ((window === null) === isWide ? [layer] : []));
          off(
            sum(layers.map((layer) => point.attn_us[kernel]?.[layer] ?? 0)),
            layers.length * TIMES.blockUs({ layer: layers[0], kind: "attn" }, kernel, n, 1),
            exactUs(
              alone(kernel, 0, (layer) => layers.includes(layer)),
              n,
              1,
              false,
            ),
            nothing,
          );
        }
      }
    // what is left is the judges' own noise: the median of |N(0, σ)| is 0.67 σ, its 90th percentile 1.64 σ
    const own = (100 * NOISE) / Math.sqrt(QUEUED);
    const { median_percent = 9, p90_percent = 9 } = measured.errors?.held_out ?? {};
    expect(median_percent).toBeLessThan(2 * 0.67 * own);
    expect(p90_percent).toBeLessThan(2 * 1.64 * own);
  });

  test("two sweeps agree on what a draft takes", async () => {
    const [a, b] = await Promise.all(
      [11, 12].map(async (seed) => openLatency(asDocument((await measure(noisy(seed), 5)).measured, LAYERS))),
    );
    const { heldOut } = programDeck(SPEC, { kernels: KERNELS }, [], 7); // others than the sweeps'
    for (const { choices } of heldOut)
      for (const n of GRID.contexts)
        expect(Math.abs(a.draftUs(choices, n) / b.draftUs(choices, n) - 1)).toBeLessThan(0.02);
  });
});

describe("a deck", () => {
  const deck = programDeck(SPEC, { kernels: KERNELS, shortHeads: ["int8:16"] }, ["int8@128"], 1);

  test("keeps the programs that judge out of the fit, and is the same for the same seed", () => {
    const fitted = new Set([...deck.steps, ...deck.parts].map(passKey));
    expect(deck.heldOut.filter((pass) => fitted.has(passKey(pass)))).toEqual([]);
    const again = programDeck(SPEC, { kernels: KERNELS, shortHeads: ["int8:16"] }, ["int8@128"], 1);
    expect(again).toEqual(deck);
    expect(programDeck(SPEC, { kernels: KERNELS }, [], 2).heldOut.map(passKey)).not.toEqual(deck.heldOut.map(passKey));
  });

  test("has every kernel, span and short head of the engine", () => {
    const choices = new Set(deck.steps.flatMap(({ choices: { blocks, head } }) => [...blocks, head]));
    for (const choice of [...KERNELS, "int8@128", "int8:16"] as const) expect(choices).toContain(choice);
  });

  test("of a model with one window knows one class of attention", () => {
    expect(programDeck(fakeSpec(LAYERS), { kernels: KERNELS }, [], 1).attnClasses).toBeUndefined();
    expect(deck.attnClasses).toEqual(WINDOWS.map((window) => (window === null ? 0 : 1)));
  });
});
