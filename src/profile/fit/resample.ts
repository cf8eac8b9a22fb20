/**
 * How sure the surface is: a bootstrap over rounds (Efron 1979). A round is the unit, because what slows a machine down
 * slows neighbouring passes alike; and one draw of rounds serves the whole grid, so that parts that were measured too high
 * together stay together.
 *
 * What is drawn is the pooled cost of each part, and the whole target: drift, slow-downs and the shape of the curves are
 * found anew in each draw. A draw is kept as factors on the point's own values. The deviations of single layers are held:
 * they are drawn towards their kind's mean, and no bootstrap shows by how much too far. How sure they are comes from the fit
 * itself (`layer_error`); without it the interval of drafts that mix choices covered the truth in half of the cases.
 */
import { mean, median } from "simple-statistics";
import { type AttentionKernel, type HeadKernel, KERNEL_NAMES, orderedChoices } from "../../schema/choice.js";
import type { ProfilePoint } from "../../schema/profile.js";
import type { Random } from "../../stats/random.js";
import type { Observation } from "../sweep/pass.js";
import { type Steadied, steady, withoutDrift } from "./drift.js";
import type { Assigned } from "./held-out.js";
import { fitLine, type PointCosts, targetTimes } from "./line-fit.js";
import { passUs, pooledCosts } from "./predict.js";
import type { ShapeSearch } from "./shape.js";

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

const repeat = <O extends Observation>(observations: readonly O[], counts: readonly number[]): O[] =>
  observations.flatMap((o) => new Array<O>(counts[o.round] ?? 0).fill(o));

/** Passes brought to one level, as the fit takes them. */
export interface Levelled {
  /** [rounds] how often each was drawn */
  counts: readonly number[];
  /** drift taken out */
  level: readonly Assigned[];
  /** slow-downs of whole visits too */
  steadied: readonly (Assigned & Steadied)[];
}

/** A draw goes the whole way of the sample: its own drift, its own usual times and slow-downs. */
export function levelled(observations: readonly Assigned[], counts: readonly number[]): Levelled {
  const level = withoutDrift(repeat(observations, counts));
  return { counts, level, steadied: steady(level) };
}

/**
 * µs of the whole target at one place: the median of its passes, slow-downs of their visits taken out, or as they were
 * where every visit there was too slow to be used. A verification and a step are then compared within visits, as the parts
 * of a step are. From passes as they were the ratio of the two was off by twice as much (docs/measurements.md).
 * @returns null where a draw has no pass of it
 */
export function wholeTargetUs({ level, steadied }: Levelled, context: number, query: number): number | null {
  for (const passes of [steadied, level]) {
    const times = targetTimes(passes.filter((o) => o.context === context && o.query === query));
    if (times.length > 0) return median(times);
  }
  return null;
}

/** [draws + 1] µs of the whole target; a draw without a single pass of it is the sample's own */
function wholeTargets(draws: readonly Levelled[], context: number, query: number): number[] {
  const own = wholeTargetUs(draws[0], context, query) as number;
  return draws.map((draw) => wholeTargetUs(draw, context, query) ?? own);
}

const factor = (value: number | undefined, own: number | undefined): number =>
  value === undefined || own === undefined || !(own > 0) ? 1 : Math.round((10_000 * value) / own) / 10_000;

const factors = (values: readonly (number | undefined)[]): number[] =>
  values.slice(1).map((value) => factor(value, values[0]));

/** At q > 1 only the whole target is ever asked for. */
export const resampleVerification = (draws: readonly Levelled[], context: number, query: number): Resampled => ({
  whole_target: factors(wholeTargets(draws, context, query)),
});

/** All contexts of q = 1, and the fit that is drawn again. */
export interface ResampleLine {
  contexts: readonly number[];
  /** [contexts] the fitted costs, whose deviations of single layers are taken off before */
  costs: readonly PointCosts[];
  shapes: ShapeSearch;
  layers: number;
  /** [draws + 1] the first is the sample */
  draws: readonly Levelled[];
  /** called between fits */
  tick: () => Promise<void>;
}

/** The parts of a step at every context, each draw fitted as the sample was, its shape chosen by itself, layers pooled. */
export async function resampleSteps(line: ResampleLine): Promise<Resampled[]> {
  const { contexts, costs, shapes, layers, draws, tick } = line;
  const whole = contexts.map((context) => wholeTargets(draws, context, 1));
  const evenOf = ({ steadied }: Levelled) =>
    contexts.flatMap((context, i) =>
      withoutDeviations(
        steadied.filter((o) => o.query === 1 && o.context === context && !o.heldOut),
        costs[i],
      ),
    );
  const sample = evenOf(draws[0]);
  const fitted: PointCosts[][] = [];
  for (const [draw, drawn] of draws.entries()) {
    await tick();
    const wholeTargetUs = new Map(contexts.map((context, i) => [context, whole[i][draw]]));
    const even = draw === 0 ? sample : evenOf(drawn);
    const shape = await shapes.choose(drawn.counts);
    const costsAt = fitLine(even.length === 0 ? sample : even, layers, shape, { wholeTargetUs, pooled: true });
    fitted.push(contexts.map((context) => costsAt(context)));
  }
  return contexts.map((_, i) => {
    const points = fitted.map((at) => at[i]);
    const by = <K extends AttentionKernel | HeadKernel>(
      names: readonly K[],
      of: (point: PointCosts, name: K) => number | undefined,
    ) =>
      Object.fromEntries(
        names
          .filter((name) => of(points[0], name) !== undefined)
          .map((name) => [name, factors(points.map((point) => of(point, name)))]),
      );
    const attentions = orderedChoices(Object.keys(points[0].perLayer.attn) as AttentionKernel[]);
    return {
      fixed: factors(points.map(({ fixedUs }) => fixedUs)),
      head: by(orderedChoices(Object.keys(points[0].headUs) as HeadKernel[]), ({ headUs }, kernel) => headUs[kernel]),
      attn: by(attentions, ({ perLayer }, name) => meanOf(perLayer.attn[name])),
      mlp: by(KERNEL_NAMES, ({ perLayer }, kernel) => perLayer.mlp[kernel]?.[0]),
      whole_target: factors(whole[i]),
    };
  });
}

/** Layers of one class of attention are alike here, and of most models there is but one. */
const meanOf = (layers: readonly number[] | undefined): number | undefined => layers && mean([...layers]);

/** The passes as they would have been with every layer at its kind's mean. */
function withoutDeviations(observations: readonly Observation[], costs: PointCosts): Observation[] {
  const pooled = pooledCosts(costs);
  return observations.map((o) => ({ ...o, us: Math.max(0, o.us - passUs(costs, o) + passUs(pooled, o)) }));
}
