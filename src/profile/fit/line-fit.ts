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
  /** [layers] attentions of another class than 0 have costs of their own; left out: all are of class 0 */
  attnClasses?: readonly number[];
}

export const straight = (contexts: readonly number[]): Shape => ({
  attnKnots: [...new Set([contexts[0], contexts[contexts.length - 1]])],
  attnByKernel: false,
  mlpRises: false,
});

/**
 * Of programs: attention is what it is at every context by itself. Queued passes are sure enough for that, its kernels take
 * steps in n on a device, and a window bends the line of its layers.
 */
export const stepped = (contexts: readonly number[], attnClasses?: readonly number[]): Shape => ({
  ...straight(contexts),
  attnKnots: [...contexts],
  ...(attnClasses === undefined ? {} : { attnClasses }),
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
  /** of attention of class 1, and how many columns a class has */
  private readonly classed: number;
  private readonly classColumns: number;

  constructor(
    readonly kernels: readonly Kernel[],
    readonly spans: readonly SpannedKernel[],
    readonly shorts: readonly ShortKernel[],
    readonly layers: number,
    private readonly shape: Shape,
    /** how a layer's deviation grows with n; null: layers do not deviate */
    private readonly growth: Growth | null,
  ) {
    this.rises = 1 + 3 * kernels.length;
    this.pieces = shape.attnKnots.length - 1;
    this.spanned = this.rises + this.pieces * (shape.attnByKernel ? kernels.length : 1) + (shape.mlpRises ? 1 : 0);
    this.classed = this.spanned + spans.length + shorts.length;
    this.classColumns = kernels.length + this.pieces * (shape.attnByKernel ? kernels.length : 1);
    this.pooled = this.classed + Math.max(0, ...(shape.attnClasses ?? [])) * this.classColumns;
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
    const own = kind === "attn" ? this.classOf(layer) : null;
    const columns = [own === null ? 1 + this.kernels.length + group : own + this.kernels.indexOf(kernel)];
    const factors = [1];
    if (this.growth !== null) {
      columns.push(this.pooled + group * this.layers + layer);
      factors.push(this.growth(kind, kernel, layer, n));
    }
    const rise = this.rise(kind, kernel, own, n);
    return { columns: [...columns, ...rise.columns], factors: [...factors, ...rise.factors] };
  }

  /** the first column of a layer's class of attention; null: class 0, which stands with the others */
  private classOf(layer: number): number | null {
    const index = this.shape.attnClasses?.[layer] ?? 0;
    return index === 0 ? null : this.classed + (index - 1) * this.classColumns;
  }

  private rise(
    kind: BlockKind,
    kernel: Kernel,
    own: number | null,
    n: number,
  ): { columns: number[]; factors: number[] } {
    const { attnKnots, attnByKernel, mlpRises } = this.shape;
    if (kind === "attn") {
      const begin = own === null ? this.rises : own + this.kernels.length;
      const first = begin + (attnByKernel ? this.kernels.indexOf(kernel) * this.pieces : 0);
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
type Growth = (kind: BlockKind, kernel: Kernel, layer: number, n: number) => number;

function growthOf(pooledAt: (n: number) => PointCosts, { attnKnots: [first] }: Shape): Growth {
  const known = new Map<number, PointCosts>();
  const usAt: Growth = (kind, kernel, layer, n) => {
    const costs = known.get(n) ?? pooledAt(n);
    known.set(n, costs);
    return costs.perLayer[kind][kernel]?.[layer] ?? 0;
  };
  return (kind, kernel, layer, n) => {
    const base = usAt(kind, kernel, layer, first);
    return base > 0 ? usAt(kind, kernel, layer, n) / base : 1;
  };
}

/** Pooled value plus deviation; what would fall below zero is zero, and the others give way so that the sum stays. */
function layerCosts(columns: Columns, cost: Float64Array, rowOf: (layer: number) => Omit<Row, "y">): number[] {
  const raw = Array.from({ length: columns.layers }, (_, layer) => rowSum(rowOf(layer), cost));
  const kept = raw.map((us) => Math.max(0, us));
  const [whole, keptWhole] = [sum(raw), sum(kept)];
  return keptWhole > 0 && whole > 0 ? kept.map((us) => (us * whole) / keptWhole) : kept.map(() => 0);
}
