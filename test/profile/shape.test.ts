/** What a fit of all contexts together finds in planted costs: bends where there are some, and none in noise. */

import { describe, expect, test } from "vitest";
import { fitLine, straight, wholeTargets } from "../../src/profile/fit/line-fit.js";
import { passUs } from "../../src/profile/fit/predict.js";
import { ShapeSearch } from "../../src/profile/fit/shape.js";
import { cornerPasses, draftPass } from "../../src/profile/sweep/design.js";
import { type Observation, type SweepPass, targetPass } from "../../src/profile/sweep/pass.js";
import { blockKind, DEFAULT_KERNELS, type Kernel, kernelOf } from "../../src/schema/choice.js";
import { seededRandom } from "../../src/stats/random.js";
import { LONG, trials } from "../support/long.js";

const LAYERS = 4;
const CONTEXTS = [64, 256, 512, 1024, 2048];
const silent = async () => {};

interface Costs {
  attn: (kernel: Kernel, n: number) => number;
  mlp: (kernel: Kernel, n: number) => number;
}
const level: Costs = {
  attn: (kernel, n) => (kernel === "target" ? 100 : 40) + n / 10,
  mlp: (kernel) => (kernel === "target" ? 300 : 120),
};

function exactUs({ choices, head }: SweepPass, n: number, costs: Costs): number {
  const blocks = choices.blocks.map((choice, i) => (choice === "skip" ? 0 : costs[blockKind(i)](kernelOf(choice), n)));
  return blocks.reduce((sum, us) => sum + us, head ? 250 : 50);
}

/** Twelve rounds of the sweep's passes over the contexts. @param noise relative standard deviation, nearly normal */
function observe(costs: Costs, noise: number, seed: number): Observation[] {
  const random = seededRandom(seed);
  const error = () => Array.from({ length: 6 }, () => random.float() - 0.5).reduce((a, b) => a + b, 0) * Math.SQRT2;
  return Array.from({ length: 12 }, (_, round) =>
    CONTEXTS.flatMap((context, i) => {
      const corners = cornerPasses(LAYERS, DEFAULT_KERNELS);
      const passes = [targetPass(LAYERS), corners[(round + i) % corners.length]];
      for (let k = 0; k < 3; k++) passes.push(draftPass(random, LAYERS, DEFAULT_KERNELS));
      return passes.map((pass) => {
        const us = exactUs(pass, context, costs) * (1 + noise * error());
        return { ...pass, context, query: 1, us, passes: 4, round, visit: round * CONTEXTS.length + i };
      });
    }),
  ).flat();
}

const shapeOf = (costs: Costs, noise: number, seed = 1) =>
  new ShapeSearch(observe(costs, noise, seed), LAYERS, CONTEXTS, silent).choose();

const bent: Costs = { ...level, attn: (kernel, n) => level.attn(kernel, Math.max(n, 512)) };

describe("the shape of the costs over n", () => {
  test.skipIf(LONG).each([0, 0.03])("a straight line has no further knots, noise %d", async (noise) => {
    expect(await shapeOf(level, noise)).toEqual(straight(CONTEXTS));
  });

  test("noise adds hardly a knot: at most one in four sweeps", async () => {
    const shapes = await Promise.all(
      Array.from({ length: trials(8, 20) }, (_, seed) => shapeOf(level, 0.05, seed + 10)),
    );
    const more = shapes.filter((shape) => shape.attnKnots.length > 2 || shape.attnByKernel || shape.mlpRises);
    expect(more.length).toBeLessThanOrEqual(trials(2, 5));
  });

  test.skipIf(LONG).each([0, 0.02])("a bend is found where it is, noise %d", async (noise) => {
    expect((await shapeOf(bent, noise)).attnKnots).toEqual([64, 512, 2048]);
  });

  test.skipIf(LONG)(
    "attention that rises differently under int8, and an MLP that rises, are told from each other",
    async () => {
      const byKernel: Costs = { ...level, attn: (kernel, n) => level.attn(kernel, kernel === "int8" ? n / 3 : n) };
      expect(await shapeOf(byKernel, 0.01)).toMatchObject({ attnByKernel: true, mlpRises: false });
      const rising: Costs = { ...level, mlp: (kernel, n) => level.mlp(kernel, n) + n / 20 };
      expect(await shapeOf(rising, 0.01)).toMatchObject({ attnByKernel: false, mlpRises: true });
    },
  );

  test.skipIf(LONG)("one context and one round leave nothing to choose", async () => {
    const observations = observe(level, 0, 1);
    const single = observations.filter(({ context }) => context === 64);
    expect(await new ShapeSearch(single, LAYERS, [64], silent).choose()).toEqual({ ...straight([64]) });
    const first = observations.filter(({ round }) => round === 0);
    expect(await new ShapeSearch(first, LAYERS, CONTEXTS, silent).choose()).toEqual(straight(CONTEXTS));
  });
});

describe.skipIf(LONG)("a fit of all contexts", () => {
  test("is there even where only the whole target was run: its parts are anyone's guess, their sum is not", async () => {
    for (const [rounds, layers] of [
      [2, LAYERS],
      [3, 30],
    ]) {
      const whole = observe(level, 0.3, 4).flatMap(({ round, context, us, visit }) =>
        round < rounds ? [{ ...targetPass(layers), context, query: 5, us: us * layers, passes: 1, round, visit }] : [],
      );
      const shape = await new ShapeSearch(whole, layers, CONTEXTS, silent).choose();
      const costsAt = fitLine(whole, layers, shape, { wholeTargetUs: wholeTargets(whole) });
      for (const [n, us] of wholeTargets(whole))
        expect(Math.abs(passUs(costsAt(n), targetPass(layers)) / us - 1)).toBeLessThan(0.5);
    }
  });

  test("recovers a bent surface through 5 % noise, nine passes of ten within 3 % and all within 8 %, and never falls with n", () => {
    for (const seed of [1, 2, 3]) {
      const observations = observe(bent, 0.05, seed);
      const shape = { ...straight(CONTEXTS), attnKnots: [64, 512, 2048] };
      const costsAt = fitLine(observations, LAYERS, shape, { wholeTargetUs: wholeTargets(observations) });
      const errors = observations
        .map(({ context, ...pass }) => Math.abs(passUs(costsAt(context), pass) / exactUs(pass, context, bent) - 1))
        .sort((a, b) => a - b);
      expect(errors[Math.floor(0.9 * errors.length)]).toBeLessThan(0.03);
      expect(errors.at(-1)).toBeLessThan(0.08);
      const attn = CONTEXTS.map((n) => costsAt(n).perLayer.attn.int8 ?? []);
      for (let i = 1; i < CONTEXTS.length; i++)
        attn[i].forEach((us, layer) => {
          expect(us).toBeGreaterThanOrEqual(attn[i - 1][layer] - 1e-9);
        });
    }
  });
});
