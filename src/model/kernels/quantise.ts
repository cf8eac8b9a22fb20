/**
 * Block-wise symmetric quantisation as com.microsoft.MatMulNBits stores it: codes [out, blocks, bytes] without zero
 * points (the implied one is 2^(bits-1)), one scale per block of 32 inputs, fp32 or fp16 as the graph's numbers are.
 */

import { clamp } from "../../stats/numbers.js";
import { roundToHalf } from "./half.js";
import type { FloatType } from "./kernel.js";

/** Of a code. */
export type Bits = 8 | 4 | 2;

export interface Quantised {
  /** [out, blocks, block · bits / 8]; two 4-bit codes or four 2-bit codes to a byte, the first in the lowest bits */
  codes: Uint8Array;
  /** [out, blocks] */
  scales: Float32Array;
}

/** One block: writes its codes, a byte each, and returns its scale; `codes` holds the code of nought before. */
type QuantiseBlock = (weights: Float32Array, from: number, to: number, codes: Uint8Array, at: number) => number;

/** Of the scale that makes the greatest magnitude -2 steps. */
const TWO_BIT_SHARES = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4];

const ZERO_CODE = { 8: 128, 4: 8, 2: 2 } as const;

const QUANTISERS: Record<FloatType, Record<Bits, QuantiseBlock>> = {
  fp32: { 8: eightBits, 4: fourBits, 2: twoBits((scale) => Math.fround(scale)) },
  fp16: { 8: eightBitsHalf, 4: fourBitsHalf, 2: twoBits(roundToHalf) },
};

/**
 * @param weights [out, inner] fp32, row-major
 * @param bits    8, 4 or 2
 * @param float   what scales are stored in: codes are counted in steps of the stored scale, so that its rounding, which
 *   is coarse for small fp16 numbers, does not make every weight of the block too large or too small
 * @param options packed: false leaves a byte for each code
 * @returns codes and scales [out, ceil(inner / block)]; a short last block is filled with zeros
 */
export function quantiseRows(
  weights: Float32Array,
  out: number,
  inner: number,
  bits: number,
  block: number,
  float: FloatType = "fp32",
  { packed = true } = {},
): Quantised {
  if (bits !== 8 && bits !== 4 && bits !== 2) throw new RangeError(`${bits}-bit codes are not written`);
  const quantiseBlock: QuantiseBlock = QUANTISERS[float][bits];
  const blocks = Math.ceil(inner / block);
  const codes = new Uint8Array(out * blocks * block).fill(ZERO_CODE[bits]);
  const scales = new Float32Array(out * blocks);
  for (let row = 0; row < out; row++) {
    for (let b = 0; b < blocks; b++) {
      const from = row * inner + b * block;
      const to = Math.min(from + block, (row + 1) * inner);
      const index = row * blocks + b;
      scales[index] = quantiseBlock(weights, from, to, codes, index * block);
    }
  }
  return { codes: packed ? packCodes(codes, bits) : codes, scales };
}

/** Codes 1 to 255 in steps of an fp16 scale, which may be a little less than the greatest magnitude asks for. */
function eightBitsHalf(weights: Float32Array, from: number, to: number, codes: Uint8Array, at: number): number {
  const scale = roundToHalf(Math.abs(extremeOf(weights, from, to)) / 127);
  if (scale === 0) return 0; // all are less than 4e-6: nought, as its codes say
  for (let i = from; i < to; i++) codes[at + i - from] = clamp((weights[i] / scale + 128.5) | 0, 1, 255);
  return scale;
}

/** Codes 0 to 15 in steps of an fp16 scale. */
function fourBitsHalf(weights: Float32Array, from: number, to: number, codes: Uint8Array, at: number): number {
  const scale = roundToHalf(extremeOf(weights, from, to) / -8);
  if (scale === 0) return 0;
  for (let i = from; i < to; i++) codes[at + i - from] = clamp(Math.floor(weights[i] / scale + 8.5), 0, 15);
  return scale;
}

/** Codes 1 to 255: the greatest magnitude is 127 steps. */
function eightBits(weights: Float32Array, from: number, to: number, codes: Uint8Array, at: number): number {
  const greatest = Math.abs(extremeOf(weights, from, to));
  if (greatest === 0) return 0;
  const inverse = 127 / greatest;
  // codes are positive: adding a half and cutting rounds to nearest
  for (let i = from; i < to; i++) codes[at + i - from] = (weights[i] * inverse + 128.5) | 0;
  return greatest / 127;
}

/**
 * Codes 0 to 15, with a scale of either sign: the weight of greatest magnitude is -8 steps, as in llama.cpp's Q4_0 and
 * ONNX Runtime's own quantiser, so that all sixteen codes are of use.
 */
function fourBits(weights: Float32Array, from: number, to: number, codes: Uint8Array, at: number): number {
  const scale = Math.fround(extremeOf(weights, from, to) / -8);
  if (scale === 0) return 0;
  // divided, not multiplied by 1 / scale: that overflows where the scale is subnormal
  for (let i = from; i < to; i++) codes[at + i - from] = Math.min(15, (weights[i] / scale + 8.5) | 0);
  return scale;
}

/**
 * Codes 0 to 3 for -2 to 1 steps, with a scale of either sign. Four codes are too few for the greatest magnitude to decide
 * alone: the scale is the one of a few that makes the squared error least.
 */
function twoBits(stored: (scale: number) => number): QuantiseBlock {
  const codeOf = (weight: number, scale: number) => clamp(Math.floor(weight / scale + 2.5), 0, 3);
  return (weights, from, to, codes, at) => {
    const extreme = extremeOf(weights, from, to);
    let [best, least] = [0, Number.POSITIVE_INFINITY];
    for (const share of TWO_BIT_SHARES) {
      const scale = stored((share * extreme) / -2);
      if (scale === 0) continue;
      let error = 0;
      for (let i = from; i < to; i++) error += (weights[i] - (codeOf(weights[i], scale) - 2) * scale) ** 2;
      if (error < least) [best, least] = [scale, error];
    }
    if (best === 0) return 0;
    for (let i = from; i < to; i++) codes[at + i - from] = codeOf(weights[i], best);
    return best;
  };
}

/** The weight of greatest magnitude, the first on a tie. */
function extremeOf(weights: Float32Array, from: number, to: number): number {
  let extreme = 0;
  for (let i = from; i < to; i++) if (Math.abs(weights[i]) > Math.abs(extreme)) extreme = weights[i];
  return extreme;
}

/** Bytes of the operator: one code, two or four of them in each, the first in the lowest bits; a block fills whole bytes. */
export function packCodes(codes: Uint8Array, bits: Bits): Uint8Array {
  if (bits === 8) return codes;
  const perByte = 8 / bits;
  const packed = new Uint8Array(codes.length / perByte);
  for (let i = 0; i < packed.length; i++)
    for (let k = 0; k < perByte; k++) packed[i] |= codes[perByte * i + k] << (bits * k);
  return packed;
}
