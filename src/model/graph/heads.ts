/**
 * Heads as GroupQueryAttention takes them. With rotation it refuses a head size that is no multiple of 16 (ONNX Runtime
 * 1.30, CPU), so heads of another size are filled up with zeros, each half by itself: the rotation pairs a dimension of
 * the first half with the one in the same place of the second. Zeros change no product, and the scale stays the model's.
 */
import type { ModelSpec } from "../spec.js";

const HEAD_MULTIPLE = 16;

/** numbers of a head in the graph and in the cache */
export const storedHeadDim = (spec: ModelSpec): number => Math.ceil(spec.headDim / HEAD_MULTIPLE) * HEAD_MULTIPLE;

/** numbers of a head that rotary positions turn */
export const rotatedDim = ({ headDim, rope }: Pick<ModelSpec, "headDim" | "rope">): number =>
  rope.rotatedDim ?? headDim;

/**
 * Where dimension d of a head lies among the stored ones. Those that are turned lie first in each half, those that are not
 * behind them: their angle is 0 (rope.ts), and what pairs them does not matter.
 */
export function storedDimension(spec: ModelSpec, d: number): number {
  const pairs = rotatedDim(spec) / 2;
  const storedHalf = storedHeadDim(spec) / 2;
  if (d < pairs) return d;
  if (d < 2 * pairs) return d - pairs + storedHalf;
  const behind = pairs + ((d - 2 * pairs) >> 1);
  return (d - 2 * pairs) % 2 === 0 ? behind : behind + storedHalf;
}

/** Whether heads are stored as checkpoints have them. */
export const headsAsTheyAre = (spec: ModelSpec): boolean =>
  storedHeadDim(spec) === spec.headDim && rotatedDim(spec) === spec.headDim;

/**
 * Fills up every head of a matrix.
 * @param data [outer, heads · headDim, inner]
 * @returns [outer, heads · storedHeadDim, inner]
 */
export function fillHeads(data: Float32Array, spec: ModelSpec, inner: number): Float32Array {
  const { headDim } = spec;
  const stored = storedHeadDim(spec);
  if (headsAsTheyAre(spec)) return data;
  const heads = data.length / (headDim * inner); // of all outer rows
  const filled = new Float32Array(heads * stored * inner);
  for (let head = 0; head < heads; head++) {
    for (let d = 0; d < headDim; d++) {
      const from = (head * headDim + d) * inner;
      filled.set(data.subarray(from, from + inner), (head * stored + storedDimension(spec, d)) * inner);
    }
  }
  return filled;
}
