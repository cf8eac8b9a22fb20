/** From the times of whole passes at one (n, q) to what every part of a pass costs there. */
import { mean, median } from "simple-statistics";
import { BLOCK_KINDS, type BlockKind, blockKind, blockLayer, KERNEL_NAMES, type Kernel } from "../schema/choice.js";
import { isTarget, type Mask, targetMask } from "./masks.js";
import type { Observation } from "./observation.js";
import { fitMixedModel, type Row, rowSum } from "./regression.js";

/** Costs of one point; `perLayer` [L], already pooled value plus deviation. */
export interface PointCosts {
  fixedUs: number;
  headUs: Partial<Record<Kernel, number>>;
  perLayer: Record<BlockKind, Partial<Record<Kernel, number[]>>>;
}

/** Where each coefficient stands: fixed, heads, pooled blocks, then the deviations of single blocks. */
class Columns {
  readonly pooled: number;
  readonly groups: number[] = [];
  constructor(
    readonly kernels: readonly Kernel[],
    readonly layers: number,
    private readonly isPooled: boolean,
  ) {
    this.pooled = 1 + 3 * kernels.length;
    if (isPooled) return;
    for (let group = 0; group < 2 * kernels.length; group++) this.groups.push(...new Array<number>(layers).fill(group));
  }
  head(kernel: Kernel): number {
    return 1 + this.kernels.indexOf(kernel);
  }
  private group(kind: BlockKind, kernel: Kernel): number {
    return BLOCK_KINDS.indexOf(kind) * this.kernels.length + this.kernels.indexOf(kernel);
  }
  kind(kind: BlockKind, kernel: Kernel): number {
    return 1 + this.kernels.length + this.group(kind, kernel);
  }
  layer(kind: BlockKind, kernel: Kernel, layer: number): number {
    return this.pooled + this.group(kind, kernel) * this.layers + layer;
  }
  /** what a block's cost is the sum of */
  block(kind: BlockKind, kernel: Kernel, layer: number): number[] {
    return this.isPooled ? [this.kind(kind, kernel)] : [this.kind(kind, kernel), this.layer(kind, kernel, layer)];
  }
  of({ choices, head }: Mask): number[] {
    const columns = head ? [0, this.head(choices.head)] : [0];
    choices.blocks.forEach((choice, index) => {
      if (choice === "skip") return; // costs nothing: the untaken `If` is in the fixed part
      const kind = blockKind(index);
      columns.push(...this.block(kind, choice, blockLayer(index)));
    });
    return columns;
  }
}

export const targetTimes = (observations: readonly Observation[]): number[] =>
  observations.filter(isTarget).map(({ us }) => us);

/** What is known of a point's costs before they are fitted. */
export interface Known {
  /** the sum over the target's parts is held at it: that sum is what a verification or a plain step is predicted to cost */
  wholeTargetUs: number;
  /** costs that do not depend on n, from all contexts together */
  shared?: Shared;
}

export type Shared = Pick<PointCosts, "fixedUs" | "headUs">;

/**
 * Parts of the passes at one point.
 * @param options pooled: every layer costs what its kind costs, no deviations
 */
export function fitPoint(
  observations: readonly Observation[],
  layers: number,
  known: Known,
  { pooled = false }: { pooled?: boolean } = {},
): PointCosts {
  const kernels = KERNEL_NAMES.filter((kernel) =>
    observations.some(({ choices }) => choices.head === kernel || choices.blocks.includes(kernel)),
  );
  const columns = new Columns(kernels, layers, pooled);
  const rows: Row[] = observations.map((o) => ({ columns: columns.of(o), y: o.us }));
  const constraints: Row[] = [{ columns: columns.of(targetMask(layers)), y: known.wholeTargetUs }];
  if (known.shared !== undefined) {
    constraints.push({ columns: [0], y: known.shared.fixedUs });
    for (const kernel of kernels)
      constraints.push({ columns: [columns.head(kernel)], y: known.shared.headUs[kernel] ?? 0 });
  }
  const cost = fitMixedModel({ rows, fixed: columns.pooled, groups: columns.groups, constraints });
  return {
    fixedUs: cost[0],
    headUs: Object.fromEntries(kernels.map((kernel) => [kernel, cost[columns.head(kernel)]])),
    perLayer: Object.fromEntries(
      BLOCK_KINDS.map((kind) => [
        kind,
        Object.fromEntries(kernels.map((kernel) => [kernel, layerCosts(columns, cost, kind, kernel)])),
      ]),
    ) as PointCosts["perLayer"],
  };
}

/** Pooled value plus deviation; what would fall below zero is zero, and the others give way so that the sum stays. */
function layerCosts(columns: Columns, cost: Float64Array, kind: BlockKind, kernel: Kernel): number[] {
  const raw = Array.from({ length: columns.layers }, (_, layer) => rowSum(columns.block(kind, kernel, layer), cost));
  const sum = raw.reduce((total, us) => total + us, 0);
  const kept = raw.map((us) => Math.max(0, us));
  const total = kept.reduce((a, b) => a + b, 0);
  return total > 0 && sum > 0 ? kept.map((us) => (us * sum) / total) : kept.map(() => 0);
}

/**
 * What belongs to no block costs the same at every context (t_fixed(q), t_head(kernel, q); docs/method.md), so one value is
 * taken from all points of a q. At one point alone a head is known badly: it is a small part of a pass.
 */
export function sharedCosts(line: readonly PointCosts[]): Shared {
  const kernels = Object.keys(line[0].headUs) as Kernel[];
  return {
    fixedUs: median(line.map(({ fixedUs }) => fixedUs)),
    headUs: Object.fromEntries(
      kernels.map((kernel) => [kernel, median(line.map(({ headUs }) => headUs[kernel] ?? 0))]),
    ),
  };
}

/** Every layer at the mean of its kind. */
export function pooledCosts(costs: PointCosts): PointCosts {
  const even = (perLayer: Partial<Record<Kernel, number[]>>) =>
    Object.fromEntries(
      Object.entries(perLayer).map(([kernel, us]) => [kernel, new Array<number>(us.length).fill(mean(us))]),
    );
  return { ...costs, perLayer: { attn: even(costs.perLayer.attn), mlp: even(costs.perLayer.mlp) } };
}

/** Predicted time of a pass with these choices. */
export function passUs(costs: PointCosts, { choices, head }: Mask): number {
  let us = costs.fixedUs + (head ? (costs.headUs[choices.head] ?? 0) : 0);
  choices.blocks.forEach((choice, index) => {
    if (choice !== "skip") us += costs.perLayer[blockKind(index)][choice]?.[blockLayer(index)] ?? 0;
  });
  return us;
}

/** median |sum of parts - measured| in percent of the measured */
export const residualPercent = (costs: PointCosts, observations: readonly Observation[]): number =>
  median(observations.map((o) => (100 * Math.abs(passUs(costs, o) - o.us)) / o.us));
