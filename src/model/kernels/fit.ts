/**
 * Codes and scales by weighted least squares: of the block-wise symmetric codes that quantise.ts writes, those that cost the
 * product least, by the moments of its inputs (moments.ts). No gradient, and a row depends on that row alone.
 *
 * Input by input, the errors so far are made up for by what is rounded next; at the beginning of a block its scale is sought
 * among a few, each refined by least squares, for the weights as they are then wanted. A row for which that does not help
 * keeps today's rounding, so the weighted error of a row is never greater than with it.
 */
import { roundToHalf } from "./half.js";
import type { FloatType } from "./kernel.js";
import { type Moments, rowOf, type Triangle, triangleOf } from "./moments.js";
import { type Bits, packCodes, type Quantised, quantiseRows } from "./quantise.js";

/** Steps below and above nought that a code can say. */
const RANGE = { 8: [-127, 127], 4: [-8, 7], 2: [-2, 1] } as const;
/** Scales that are tried, as shares of the one that makes the greatest magnitude the greatest code; of either sign. */
const SHARES = {
  8: [1, 0.98],
  4: [1.05, 1, 0.95, 0.9, 0.85, 0.8, 0.72, 0.65],
  2: [1, 0.85, 0.7, 0.6, 0.5, 0.42],
} as const;

/**
 * @param weights [out, inner] fp32, row-major
 * @param moments of the inputs
 * @returns what `quantiseRows` returns
 */
export function fitRows(
  weights: Float32Array,
  [out, inner]: readonly [number, number],
  bits: Bits,
  block: number,
  float: FloatType,
  moments: Moments,
): Quantised {
  const { group } = moments;
  if (moments.inner !== inner || inner % group !== 0 || (group !== inner && group % block !== 0))
    throw new Error(`moments of ${moments.inner} inputs, ${group} together, for a matrix of ${inner}`);
  const blocks = Math.ceil(inner / block);
  const { codes, scales } = quantiseRows(weights, out, inner, bits, block, float, { packed: false });
  const zero = 2 ** (bits - 1);
  for (let first = 0; first < inner; first += group) {
    const triangle = triangleOf(moments, first / group, block);
    const fit = new RowFit(triangle, bits, block, float);
    for (let row = 0; row < out; row++) {
      const from = row * inner + first;
      const at = (row * blocks + Math.floor(first / block)) * block;
      const error = fit.row(weights, from);
      if (!(error < fit.errorOf(weights, from, codes, scales, at, zero, error))) continue;
      fit.write(codes, scales, at, zero);
    }
  }
  return { codes: packCodes(codes, bits), scales };
}

/** Fits one row of a group after another. */
class RowFit {
  readonly #size: number;
  /** [group] in the order of rounding: errors left, weights as they are wanted, steps */
  readonly #errors: Float64Array;
  readonly #wanted: Float64Array;
  readonly #steps: Int16Array;
  /** [blocks of the group] in the order of rounding */
  readonly #scales: Float32Array;
  readonly #least: number;
  readonly #most: number;

  constructor(
    private readonly triangle: Triangle,
    private readonly bits: Bits,
    private readonly block: number,
    private readonly float: FloatType,
  ) {
    this.#size = triangle.order.length;
    this.#errors = new Float64Array(this.#size);
    this.#wanted = new Float64Array(this.#size);
    this.#steps = new Int16Array(this.#size);
    this.#scales = new Float32Array(triangle.starts.length - 1);
    [this.#least, this.#most] = RANGE[bits];
  }

  /** @returns the weighted error of the row, whose steps and scales are kept until the next */
  row(weights: Float32Array, from: number): number {
    const { order, starts, factor } = this.triangle;
    const errors = this.#errors;
    let total = 0;
    for (let b = 0; b + 1 < starts.length; b++) {
      const [first, end] = [starts[b], starts[b + 1]];
      for (let k = first; k < end; k++)
        this.#wanted[k] = weights[from + order[k]] + dot(errors, factor, rowOf(k), 0, first);
      const scale = this.#scaleOf(first, end);
      this.#scales[b] = scale;
      for (let k = first; k < end; k++) {
        const at = rowOf(k);
        const wanted = this.#wanted[k] + dot(errors, factor, at, first, k);
        const step = scale === 0 ? 0 : this.#nearest(wanted / scale);
        this.#steps[k] = step;
        errors[k] = weights[from + order[k]] - step * scale;
        const left = wanted - step * scale;
        total += factor[at + k] * left * left;
      }
    }
    return total;
  }

  /** The weighted error of codes that are there; some greater number as soon as it is not below `enough`. */
  errorOf(
    weights: Float32Array,
    from: number,
    codes: Uint8Array,
    scales: Float32Array,
    at: number,
    zero: number,
    enough: number,
  ): number {
    const { order, factor } = this.triangle;
    const errors = this.#errors;
    let total = 0;
    for (let k = 0; k < this.#size; k++) {
      const input = order[k];
      errors[k] = weights[from + input] - (codes[at + input] - zero) * scales[Math.floor((at + input) / this.block)];
      const left = errors[k] + dot(errors, factor, rowOf(k), 0, k);
      total += factor[rowOf(k) + k] * left * left;
      if (total > enough) return total;
    }
    return total;
  }

  /** Puts the row's codes and scales where they belong. */
  write(codes: Uint8Array, scales: Float32Array, at: number, zero: number): void {
    const { order, starts } = this.triangle;
    for (let b = 0; b + 1 < starts.length; b++) {
      scales[Math.floor((at + order[starts[b]]) / this.block)] = this.#scales[b];
      for (let k = starts[b]; k < starts[b + 1]; k++) codes[at + order[k]] = this.#steps[k] + zero;
    }
  }

  #nearest(steps: number): number {
    const nearest = Math.floor(steps + 0.5);
    return nearest < this.#least ? this.#least : nearest > this.#most ? this.#most : nearest;
  }

  /** The scale for the wanted weights first to end, with their own moments alone. */
  #scaleOf(first: number, end: number): number {
    let extreme = 0;
    for (let k = first; k < end; k++) if (Math.abs(this.#wanted[k]) > Math.abs(extreme)) extreme = this.#wanted[k];
    if (extreme === 0) return 0;
    let best = 0;
    let bestError = Number.POSITIVE_INFINITY;
    for (const side of [this.#least, this.#most])
      for (const share of SHARES[this.bits]) {
        const refined = this.#stored(this.#refine(first, end, (share * extreme) / side));
        const error = this.#roundingError(first, end, refined);
        if (error >= bestError) continue;
        bestError = error;
        best = refined;
      }
    return best;
  }

  #stored(scale: number): number {
    return this.float === "fp16" ? roundToHalf(scale) : Math.fround(scale);
  }

  /** Least squares for the steps that this scale gives. */
  #refine(first: number, end: number, scale: number): number {
    const { factor } = this.triangle;
    let [products, squares] = [0, 0];
    for (let k = first; k < end; k++) {
      const step = this.#nearest(this.#wanted[k] / scale);
      const weight = factor[rowOf(k) + k] * step;
      products += weight * this.#wanted[k];
      squares += weight * step;
    }
    return squares > 0 ? products / squares : scale;
  }

  #roundingError(first: number, end: number, scale: number): number {
    if (scale === 0 || !Number.isFinite(scale)) return Number.POSITIVE_INFINITY;
    const { factor } = this.triangle;
    let total = 0;
    for (let k = first; k < end; k++) {
      const left = this.#wanted[k] - this.#nearest(this.#wanted[k] / scale) * scale;
      total += factor[rowOf(k) + k] * left * left;
    }
    return total;
  }
}

/** Σ errors[j] · factor[at + j] for from ≤ j < to; four sums, so that one addition need not wait for another. */
function dot(errors: Float64Array, factor: Float64Array, at: number, from: number, to: number): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  let j = from;
  for (; j + 3 < to; j += 4) {
    a += errors[j] * factor[at + j];
    b += errors[j + 1] * factor[at + j + 1];
    c += errors[j + 2] * factor[at + j + 2];
    d += errors[j + 3] * factor[at + j + 3];
  }
  for (; j < to; j++) a += errors[j] * factor[at + j];
  return a + b + (c + d);
}
