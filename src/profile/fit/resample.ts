/**
 * How sure the surface is: a bootstrap over rounds (Efron 1979). A round is the unit, because what slows a machine down
 * slows neighbouring passes alike; and one draw of rounds serves the whole grid, so that parts that were measured too high
 * together stay together.
 *
 * The deviations of single layers are held: at a point they are as uncertain as they are small. What is drawn is the pooled
 * cost of each part, and the whole target. A draw is kept as factors on the point's own values.
 */
import { median } from "simple-statistics";
import { BLOCK_KINDS, KERNEL_NAMES, type Kernel } from "../../schema/choice.js";
import type { ProfilePoint } from "../../schema/profile.js";
import type { Random } from "../../stats/random.js";
import { isTarget, type Observation } from "../sweep/pass.js";
import { fitLine, type PointCosts, passUs, pooledCosts, type Shape } from "./line-fit.js";

export type Resampled = NonNullable<ProfilePoint["resampled"]>;

/** Enough for a 90 % interval whose ends are the third and the fourth from outside. */
export const DRAWS = 40;

/** [count + 1][rounds] how often each round is in a draw; the first draw is the sample itself. */
export function drawRounds(rounds: number, random: Random, count = DRAWS): number[][] {
  const draws = [new Array<number>(rounds).fill(1)];
  while (draws.length <= count) {
    const counts = new Array<number>(rounds).fill(0);
    for (let i = 0; i < rounds; i++) counts[random.index(rounds)] += 1;
    draws.push(counts);
  }
  return draws;
}

const repeat = (observations: readonly Observation[], counts: readonly number[]): Observation[] =>
  observations.flatMap((o) => new Array<Observation>(counts[o.round] ?? 0).fill(o));

/** One place of the grid as the resampling needs it. */
export interface ResampleCell {
  context: number;
  /** passes as measured */
  seen: readonly Observation[];
  /** passes as the fit used them */
  used: readonly Observation[];
}

/** [draws + 1] µs of the whole target; a draw without a single pass of it is the sample's own */
function wholeTargets({ seen }: ResampleCell, draws: readonly number[][]): number[] {
  const times = (counts: readonly number[]) => repeat(seen.filter(isTarget), counts).map(({ us }) => us);
  const own = median(times(draws[0]));
  return draws.map((counts) => {
    const drawn = times(counts);
    return drawn.length === 0 ? own : median(drawn);
  });
}

const factor = (value: number | undefined, own: number | undefined): number =>
  value === undefined || own === undefined || !(own > 0) ? 1 : Math.round((10_000 * value) / own) / 10_000;

const factors = (values: readonly (number | undefined)[]): number[] =>
  values.slice(1).map((value) => factor(value, values[0]));

/** At q > 1 only the whole target is ever asked for. */
export const resampleVerification = (cell: ResampleCell, draws: readonly number[][]): Resampled => ({
  whole_target: factors(wholeTargets(cell, draws)),
});

/** All contexts of one q, and the fit that is drawn again. */
export interface ResampleLine {
  /** [contexts] */
  cells: readonly ResampleCell[];
  /** [contexts] the fitted costs, whose deviations of single layers are taken off before */
  costs: readonly PointCosts[];
  shape: Shape;
  layers: number;
  draws: readonly number[][];
  /** called between fits */
  tick: () => Promise<void>;
}

/** The parts of a step at every context, each draw fitted as the sample was, layers pooled. */
export async function resampleSteps({ cells, costs, shape, layers, draws, tick }: ResampleLine): Promise<Resampled[]> {
  const whole = cells.map((cell) => wholeTargets(cell, draws));
  const even = cells.flatMap(({ used }, i) => withoutDeviations(used, costs[i]));
  const fitted: PointCosts[][] = [];
  for (const [draw, counts] of draws.entries()) {
    await tick();
    const wholeTargetUs = new Map(cells.map(({ context }, i) => [context, whole[i][draw]]));
    const drawn = repeat(even, counts);
    const costsAt = fitLine(drawn.length === 0 ? even : drawn, layers, shape, { wholeTargetUs, pooled: true });
    fitted.push(cells.map(({ context }) => costsAt(context)));
  }
  return cells.map((_, i) => {
    const line = fitted.map((points) => points[i]);
    const byKernel = (of: (point: PointCosts, kernel: Kernel) => number | undefined) =>
      Object.fromEntries(
        KERNEL_NAMES.filter((kernel) => of(line[0], kernel) !== undefined).map((kernel) => [
          kernel,
          factors(line.map((point) => of(point, kernel))),
        ]),
      );
    const [attn, mlp] = BLOCK_KINDS.map((kind) => byKernel((point, kernel) => point.perLayer[kind][kernel]?.[0]));
    return {
      fixed: factors(line.map(({ fixedUs }) => fixedUs)),
      head: byKernel(({ headUs }, kernel) => headUs[kernel]),
      attn,
      mlp,
      whole_target: factors(whole[i]),
    };
  });
}

/** The passes as they would have been with every layer at its kind's mean. */
function withoutDeviations(observations: readonly Observation[], costs: PointCosts): Observation[] {
  const pooled = pooledCosts(costs);
  return observations.map((o) => ({ ...o, us: Math.max(0, o.us - passUs(costs, o) + passUs(pooled, o)) }));
}
