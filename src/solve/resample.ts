/**
 * How much the profile's noise matters to a plan. The profile carries draws of itself (bootstrap over rounds, as factors);
 * each is a profile that might as well have been measured, so a plan's speed under all of them gives its interval, and what
 * another plan would have gained under each gives its regret. Acceptance is held: this is the latencies' share alone.
 */

import { mean, quantileSorted } from "simple-statistics";
import { BLOCK_KINDS, type BlockKind, type HeadKernel, KERNEL_NAMES, type Kernel } from "../schema/choice.js";
import type { Profile, ProfilePoint } from "../schema/profile.js";
import { sum } from "../stats/numbers.js";
import { seededRandom } from "../stats/random.js";
import { extendProfile } from "./extrapolate.js";
import { type LatencyModel, openLatency } from "./latency.js";

/**
 * The latencies of each draw; none where the profile has no draws.
 * @param toContext draws are drawn on to it, each along its own lines
 */
export function resampledLatencies(profile: Profile, toContext?: number, file = "profile"): LatencyModel[] {
  const draws = profile.points[0]?.resampled?.whole_target.length ?? 0;
  return Array.from({ length: draws }, (_, draw) => {
    const layers = drawnLayers(profile.layer_error, draw);
    const points = profile.points.map((point) => drawnPoint(point, draw, layers));
    return openLatency(extendProfile({ ...profile, points, ...drawnHeads(profile, draw) }, toContext), file);
  });
}

/** Any: it makes the draws the same whenever a profile is read. */
const LAYER_SEED = 1;

type PerKernel<T> = Partial<Record<Kernel, T>>;

/** By kind and kernel, [L] what a draw makes of each layer beside the mean of its kind. */
type LayerFactors = Record<BlockKind, PerKernel<number[]>>;

/**
 * How far single layers are off is not part of the draws of rounds: it is known as a standard error, from which each draw
 * has normal numbers, the same ones at every context. Their mean is taken out, since the kind as a whole is drawn already.
 */
function drawnLayers(errors: Profile["layer_error"], draw: number): LayerFactors {
  const [attn, mlp] = BLOCK_KINDS.map((kind, k) =>
    Object.fromEntries(
      KERNEL_NAMES.flatMap((kernel, j) => {
        const shares = errors?.[kind][kernel];
        if (shares === undefined) return [];
        const random = seededRandom(LAYER_SEED, draw, k, j);
        const off = shares.map((share) => share * random.normal());
        const average = sum(off) / off.length;
        return [[kernel, off.map((share) => Math.max(0, 1 + share - average))]];
      }),
    ),
  );
  return { attn, mlp };
}

/** Passes of heads and of trees as one draw has them. */
function drawnHeads({ heads, tree_passes }: Profile, draw: number): Pick<Profile, "heads" | "tree_passes"> {
  const times = (factors: readonly number[] | undefined): number => factors?.[draw] ?? 1;
  return {
    ...(heads && {
      heads: heads.map((one) => ({
        ...one,
        passes: one.passes.map((pass) => ({ ...pass, us: pass.us * times(pass.resampled) })),
      })),
    }),
    ...(tree_passes && {
      tree_passes: tree_passes.map((pass) => ({ ...pass, times_chain: pass.times_chain * times(pass.resampled) })),
    }),
  };
}

/** A point as one draw has it. The parts of the target keep to the drawn whole, as those of the sample do. */
function drawnPoint(point: ProfilePoint, draw: number, layers: LayerFactors): ProfilePoint {
  const { resampled } = point;
  if (resampled === undefined) return point;
  const at = (factors: readonly number[] | undefined): number => factors?.[draw] ?? 1;
  const each = (
    parts: PerKernel<number[]>,
    factors: PerKernel<number[]> | undefined,
    byLayer: PerKernel<number[]>,
  ): PerKernel<number[]> =>
    Object.fromEntries(
      Object.entries(parts).map(([kernel, us]) => [
        kernel,
        us.map((x, layer) => x * at(factors?.[kernel as Kernel]) * (byLayer[kernel as Kernel]?.[layer] ?? 1)),
      ]),
    );
  const drawn: ProfilePoint = {
    ...point,
    fixed_us: point.fixed_us * at(resampled.fixed),
    head_us: Object.fromEntries(
      Object.entries(point.head_us).map(([kernel, us = 0]) => [
        kernel,
        us * at(resampled.head?.[kernel as HeadKernel]),
      ]),
    ),
    attn_us: each(point.attn_us, resampled.attn, layers.attn),
    mlp_us: each(point.mlp_us, resampled.mlp, layers.mlp),
  };
  return keptToWhole(drawn, targetUs(point) * at(resampled.whole_target));
}

const targetUs = ({ fixed_us, head_us, attn_us, mlp_us }: ProfilePoint): number =>
  fixed_us + (head_us.target ?? 0) + sum(attn_us.target ?? []) + sum(mlp_us.target ?? []);

/** The target's blocks scaled so that its parts add up to `wholeUs`. */
function keptToWhole(point: ProfilePoint, wholeUs: number): ProfilePoint {
  const blocks = sum(point.attn_us.target ?? []) + sum(point.mlp_us.target ?? []);
  if (blocks <= 0) return point;
  const factor = Math.max(0, 1 + (wholeUs - targetUs(point)) / blocks);
  const scaled = (us: number[] | undefined) => (us ?? []).map((x) => x * factor);
  return {
    ...point,
    attn_us: { ...point.attn_us, target: scaled(point.attn_us.target) },
    mlp_us: { ...point.mlp_us, target: scaled(point.mlp_us.target) },
  };
}

/** 90 % of the draws lie between. */
export function drawnInterval(values: readonly number[]): { low: number; high: number } {
  const sorted = [...values].sort((a, b) => a - b);
  return { low: quantileSorted(sorted, 0.05), high: quantileSorted(sorted, 0.95) };
}

/**
 * Percent of speed lost, on average and in the worst twentieth of draws, by having chosen on the sample.
 * @param chosen [draws] speed of the plan under each draw
 * @param best   [draws] speed of what would have been chosen on that draw
 */
export function regretPercent(chosen: readonly number[], best: readonly number[]): { mean: number; p95: number } {
  const lost = chosen.map((speed, draw) => Math.max(0, 100 * (1 - speed / best[draw])));
  return {
    mean: mean(lost),
    p95: quantileSorted(
      [...lost].sort((a, b) => a - b),
      0.95,
    ),
  };
}
