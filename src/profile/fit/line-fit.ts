/**
 * From the times of whole passes at one q to what every part of a pass costs at every context.
 *
 * All contexts are fitted together, since few parts depend on n: the fixed part and the heads do not, the MLP hardly, and
 * attention by the keys and values that it reads. So attention is a straight line in n, with further knots, and whatever
 * else it takes, where passes kept out of the fit are predicted better with them (shape.ts). Each point fitted by itself
 * had three or four partial passes to tell attention from the MLP at q > 1, and two sweeps differed by half.
 */

import { mean, median } from "simple-statistics";
import {
  type AttentionKernel,
  BLOCK_KINDS,
  type BlockKind,
  blockKind,
  blockLayer,
  type Choice,
  type HeadKernel,
  isShort,
  isSpanned,
  KERNEL_NAMES,
  type Kernel,
  kernelOf,
  orderedChoices,
  readsAll,
  type ShortKernel,
  type SpannedKernel,
} from "../../schema/choice.js";
import { fitMixedModel, type Row, rowSum } from "../../stats/mixed-model.js";
import { clamp, sum } from "../../stats/numbers.js";
import { isTarget, type Observation, type SweepPass, targetPass } from "../sweep/pass.js";

/** Costs of one point; `perLayer` [L], already pooled value plus deviation. */
export interface PointCosts {
  fixedUs: number;
  headUs: Partial<Record<HeadKernel, number>>;
  perLayer: { attn: Partial<Record<AttentionKernel, number[]>>; mlp: Partial<Record<Kernel, number[]>> };
}

/** How the costs at one q depend on n. */
export interface Shape {
  /** contexts where attention's line may bend, rising; the first and the last are always there */
  attnKnots: readonly number[];
  /** whether attention rises differently under each kernel: all read the same keys and values, but not the same caches */
  attnByKernel: boolean;
  /** whether the MLP rises with n, on a straight line: where keys and values push its weights out of a cache */
  mlpRises: boolean;
}

export const straight = (contexts: readonly number[]): Shape => ({
  attnKnots: [...new Set([contexts[0], contexts[contexts.length - 1]])],
  attnByKernel: false,
  mlpRises: false,
});

/** [knots - 1] the share of each piece that n has passed: 0 before it, 1 after it. */
const passed = (knots: readonly number[], n: number): number[] =>
  knots.slice(1).map((to, i) => clamp((n - knots[i]) / (to - knots[i]), 0, 1));

/** Where each coefficient stands: fixed, heads, blocks at the first context, what they rise by, deviations of layers. */
class Columns {
  readonly pooled: number;
  readonly groups: number[] = [];
  private readonly rises: number;
  private readonly pieces: number;
  /** of the first span's cost */
  private readonly spanned: number;

  constructor(
    readonly kernels: readonly Kernel[],
    readonly spans: readonly SpannedKernel[],
    readonly shorts: readonly ShortKernel[],
    readonly layers: number,
    private readonly shape: Shape,
    /** how a layer's deviation grows with n; null: layers do not deviate */
    private readonly growth: ((kind: BlockKind, kernel: Kernel, n: number) => number) | null,
  ) {
    this.rises = 1 + 3 * kernels.length;
    this.pieces = shape.attnKnots.length - 1;
    this.spanned = this.rises + this.pieces * (shape.attnByKernel ? kernels.length : 1) + (shape.mlpRises ? 1 : 0);
    this.pooled = this.spanned + spans.length + shorts.length;
    if (growth === null) return;
    for (let group = 0; group < 2 * kernels.length; group++) this.groups.push(...new Array<number>(layers).fill(group));
  }

  head(kernel: HeadKernel): number {
    return isShort(kernel)
      ? this.spanned + this.spans.length + this.shorts.indexOf(kernel)
      : 1 + this.kernels.indexOf(kernel);
  }

  /** what one block costs at context n */
  block(kind: BlockKind, kernel: Kernel, layer: number, n: number): Omit<Row, "y"> {
    const group = BLOCK_KINDS.indexOf(kind) * this.kernels.length + this.kernels.indexOf(kernel);
    const columns = [1 + this.kernels.length + group];
    const factors = [1];
    if (this.growth !== null) {
      columns.push(this.pooled + group * this.layers + layer);
      factors.push(this.growth(kind, kernel, n));
    }
    const rise = this.rise(kind, kernel, n);
    return { columns: [...columns, ...rise.columns], factors: [...factors, ...rise.factors] };
  }

  private rise(kind: BlockKind, kernel: Kernel, n: number): { columns: number[]; factors: number[] } {
    const { attnKnots, attnByKernel, mlpRises } = this.shape;
    if (kind === "attn") {
      const first = this.rises + (attnByKernel ? this.kernels.indexOf(kernel) * this.pieces : 0);
      const factors = passed(attnKnots, n);
      return { columns: factors.map((_, piece) => first + piece), factors };
    }
    const ends = [attnKnots[0], attnKnots[attnKnots.length - 1]];
    return mlpRises ? { columns: [this.spanned - 1], factors: passed(ends, n) } : { columns: [], factors: [] };
  }

  /**
   * What one attention costs at context n. Beyond its span nothing more is read, so it is level there, and every layer's is
   * the same; where the context is no longer than the span it is its kernel's own.
   */
  attention(choice: AttentionKernel, layer: number, n: number): Omit<Row, "y"> {
    if (readsAll(choice, n)) return this.block("attn", kernelOf(choice), layer, n);
    return { columns: [this.spanned + this.spans.indexOf(choice as SpannedKernel)], factors: [1] };
  }

  /** what a whole pass costs at context n */
  of({ choices, head }: SweepPass, n: number): Omit<Row, "y"> {
    const amounts = new Map<number, number>([[0, 1]]);
    if (head) amounts.set(this.head(choices.head), 1);
    choices.blocks.forEach((choice, index) => {
      if (choice === "skip") return; // costs nothing: the untaken `If` is in the fixed part
      const layer = blockLayer(index);
      const { columns, factors = [] } =
        blockKind(index) === "attn"
          ? this.attention(choice as AttentionKernel, layer, n)
          : this.block("mlp", kernelOf(choice), layer, n);
      columns.forEach((column, i) => amounts.set(column, (amounts.get(column) ?? 0) + factors[i]));
    });
    const used = [...amounts].filter(([, amount]) => amount > 0);
    return { columns: used.map(([column]) => column), factors: used.map(([, amount]) => amount) };
  }
}

export const targetTimes = (observations: readonly Observation[]): number[] =>
  observations.filter(isTarget).map(({ us }) => us);

/** The median of the whole target at each context that has one. */
export function wholeTargets(observations: readonly Observation[]): Map<number, number> {
  const times = new Map<number, number[]>();
  for (const o of observations.filter(isTarget)) times.set(o.context, [...(times.get(o.context) ?? []), o.us]);
  return new Map([...times].map(([context, us]) => [context, median(us)]));
}

export interface LineFit {
  /** the sums over the target's parts are drawn to these: they are what verifications and plain steps are predicted by */
  wholeTargetUs: ReadonlyMap<number, number>;
  /** every layer costs what its kind costs, no deviations */
  pooled?: boolean;
}

/** How sure the deviations of single layers are. */
export type LayerErrors = Record<BlockKind, Partial<Record<Kernel, number[]>>>;

export interface FittedLine {
  /** costs at any context */
  at: (contextTokens: number) => PointCosts;
  /** [layers] standard error of a layer's cost beside the mean of its kind, in share of that mean; none if pooled */
  layerErrors: LayerErrors;
}

/** Parts of the passes at one q, as costs at any context. @param observations of one q */
export const fitLine = (
  observations: readonly Observation[],
  layers: number,
  shape: Shape,
  options: LineFit,
): FittedLine["at"] => fitLineWithErrors(observations, layers, shape, options).at;

export function fitLineWithErrors(
  observations: readonly Observation[],
  layers: number,
  shape: Shape,
  { wholeTargetUs, pooled = false }: LineFit,
): FittedLine {
  const seen = orderedChoices(observations.flatMap(({ choices }) => [choices.head, ...choices.blocks]));
  const spans = seen.filter(isSpanned);
  const shorts = seen.filter(isShort);
  // of a short head the blocks tell nothing
  const kernels = KERNEL_NAMES.filter((kernel) =>
    seen.some((choice) => !isShort(choice) && kernelOf(choice) === kernel),
  );
  const growth = pooled ? null : growthOf(fitLine(observations, layers, shape, { wholeTargetUs, pooled: true }), shape);
  const columns = new Columns(kernels, spans, shorts, layers, shape, growth);
  const rows: Row[] = observations.map((o) => ({ ...columns.of(o, o.context), y: o.us }));
  const constraints: Row[] = [...wholeTargetUs].map(([n, y]) => ({ ...columns.of(targetPass(layers), n), y }));
  const model = { rows, fixed: columns.pooled, groups: columns.groups, constraints };
  const { coefficients: cost, deviationErrors } = fitMixedModel(model);
  const at = (n: number): PointCosts => ({
    fixedUs: cost[0],
    headUs: Object.fromEntries([...kernels, ...shorts].map((kernel) => [kernel, cost[columns.head(kernel)]])),
    perLayer: {
      attn: Object.fromEntries(
        [...kernels, ...spans].map((choice) => [
          choice,
          layerCosts(columns, cost, (layer) => columns.attention(choice, layer, n)),
        ]),
      ),
      mlp: Object.fromEntries(
        kernels.map((kernel) => [kernel, layerCosts(columns, cost, (layer) => columns.block("mlp", kernel, layer, n))]),
      ),
    },
  });
  return {
    at,
    layerErrors: pooled ? { attn: {}, mlp: {} } : toLayerErrors(columns, deviationErrors, at(shape.attnKnots[0])),
  };
}

/** Deviations are in µs at the first context, and grow with n as their kind does: so a share holds at every context. */
function toLayerErrors({ kernels, layers }: Columns, errors: Float64Array, { perLayer }: PointCosts): LayerErrors {
  const [attn, mlp] = BLOCK_KINDS.map((kind, k) =>
    Object.fromEntries(
      kernels.map((kernel, j) => {
        const first = (k * kernels.length + j) * layers;
        const average = mean(perLayer[kind][kernel] ?? [0]);
        return [kernel, Array.from(errors.subarray(first, first + layers), (us) => (average > 0 ? us / average : 0))];
      }),
    ),
  );
  return { attn, mlp };
}

/** A layer that takes a tenth longer than the others takes a tenth longer at every context: deviations grow as their kind. */
function growthOf(pooledAt: (n: number) => PointCosts, { attnKnots: [first] }: Shape) {
  const known = new Map<number, PointCosts>();
  const usAt = (kind: BlockKind, kernel: Kernel, n: number): number => {
    const costs = known.get(n) ?? pooledAt(n);
    known.set(n, costs);
    return costs.perLayer[kind][kernel]?.[0] ?? 0;
  };
  return (kind: BlockKind, kernel: Kernel, n: number): number => {
    const base = usAt(kind, kernel, first);
    return base > 0 ? usAt(kind, kernel, n) / base : 1;
  };
}

/** Pooled value plus deviation; what would fall below zero is zero, and the others give way so that the sum stays. */
function layerCosts(columns: Columns, cost: Float64Array, rowOf: (layer: number) => Omit<Row, "y">): number[] {
  const raw = Array.from({ length: columns.layers }, (_, layer) => rowSum(rowOf(layer), cost));
  const kept = raw.map((us) => Math.max(0, us));
  const [whole, keptWhole] = [sum(raw), sum(kept)];
  return keptWhole > 0 && whole > 0 ? kept.map((us) => (us * whole) / keptWhole) : kept.map(() => 0);
}

/** Every layer at the mean of its kind. */
export function pooledCosts(costs: PointCosts): PointCosts {
  const even = (perLayer: Partial<Record<AttentionKernel, number[]>>) =>
    Object.fromEntries(
      Object.entries(perLayer).map(([kernel, us = []]) => [kernel, new Array<number>(us.length).fill(mean(us))]),
    );
  return { ...costs, perLayer: { attn: even(costs.perLayer.attn), mlp: even(costs.perLayer.mlp) } };
}

/** Predicted time of a pass with these choices. */
export function passUs(costs: PointCosts, { choices, head }: SweepPass): number {
  let us = costs.fixedUs + (head ? (costs.headUs[choices.head] ?? 0) : 0);
  choices.blocks.forEach((choice, index) => {
    if (choice === "skip") return;
    const of: Partial<Record<Choice, number[]>> = costs.perLayer[blockKind(index)];
    us += of[choice]?.[blockLayer(index)] ?? 0;
  });
  return us;
}

/** median |sum of parts - measured| in percent of the measured */
export const residualPercent = (costs: PointCosts, observations: readonly Observation[]): number =>
  median(observations.map((o) => (100 * Math.abs(passUs(costs, o) - o.us)) / o.us));
