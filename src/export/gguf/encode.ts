/**
 * fp32 -> stored number formats, bit for bit as the gguf package's `quantize` (gguf-py `quants.py`, whose Q8_0 is that of
 * ggml-quants.c). Its arithmetic is fp32, so every product and sum here is rounded to fp32 before the next.
 */
import { STORED_TYPES } from "../../model/formats/dequantize.js";
import { toHalf } from "../../model/kernels/half.js";

/** Formats that a tensor can be written in; the others are only copied. */
export const ENCODED_TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0"] as const;
export type EncodedType = (typeof ENCODED_TYPES)[number];

const PIECE_VALUES = 1 << 18;

/**
 * @param values as many whole blocks of the type
 * @returns the tensor's bytes, in pieces of about a megabyte at most
 */
export function* encode(type: EncodedType, values: Float32Array): Generator<Uint8Array> {
  for (let from = 0; from < values.length; from += PIECE_VALUES)
    yield ENCODERS[type](values.subarray(from, from + PIECE_VALUES));
}

const ENCODERS: Record<EncodedType, (values: Float32Array) => Uint8Array> = {
  F32: (values) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  F16: (values) => new Uint8Array(toHalf(values).buffer),
  BF16: encodeBf16,
  Q8_0: encodeQ8_0,
  Q4_0: encodeQ4_0,
};

/** Nearest, ties to even; what is not a number stays so. */
function encodeBf16(values: Float32Array): Uint8Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const nan = (bits[i] & 0x7fffffff) > 0x7f800000;
    out[i] = nan ? (bits[i] >>> 16) | 64 : (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16;
  }
  return new Uint8Array(out.buffer);
}

const { fround } = Math;
const BLOCK = 32;

/** block: d f16, 32 int8; the greatest magnitude is 127 steps. Halves round away from nought (C's `roundf`). */
function encodeQ8_0(values: Float32Array): Uint8Array {
  const blocks = values.length / BLOCK;
  const { blockBytes } = STORED_TYPES.Q8_0;
  const out = new Uint8Array(blocks * blockBytes);
  const scales = new Float32Array(blocks);
  for (let b = 0; b < blocks; b++) {
    let greatest = 0;
    for (let i = b * BLOCK; i < (b + 1) * BLOCK; i++) greatest = Math.max(greatest, Math.abs(values[i]));
    const scale = fround(greatest / 127);
    const inverse = scale === 0 ? 0 : fround(1 / scale);
    scales[b] = scale;
    for (let j = 0; j < BLOCK; j++) {
      const steps = fround(values[b * BLOCK + j] * inverse);
      const magnitude = Math.abs(steps);
      const whole = Math.floor(magnitude);
      out[b * blockBytes + 2 + j] = Math.sign(steps) * (whole + Math.floor(2 * (magnitude - whole)));
    }
  }
  putScales(out, scales, blockBytes);
  return out;
}

/** block: d f16, 16 bytes of two codes; the number of greatest magnitude, the first on a tie, is -8 steps. */
function encodeQ4_0(values: Float32Array): Uint8Array {
  const blocks = values.length / BLOCK;
  const { blockBytes } = STORED_TYPES.Q4_0;
  const out = new Uint8Array(blocks * blockBytes);
  const scales = new Float32Array(blocks);
  for (let b = 0; b < blocks; b++) {
    let extreme = 0;
    for (let i = b * BLOCK; i < (b + 1) * BLOCK; i++) if (Math.abs(values[i]) > Math.abs(extreme)) extreme = values[i];
    const scale = fround(extreme / -8);
    const inverse = scale === 0 ? 0 : fround(1 / scale);
    scales[b] = scale;
    const code = (i: number): number => Math.min(15, fround(fround(values[b * BLOCK + i] * inverse) + 8.5) | 0);
    for (let j = 0; j < BLOCK / 2; j++) out[b * blockBytes + 2 + j] = code(j) | (code(j + BLOCK / 2) << 4);
  }
  putScales(out, scales, blockBytes);
  return out;
}

function putScales(out: Uint8Array, scales: Float32Array, blockBytes: number): void {
  toHalf(scales).forEach((half, b) => {
    out[b * blockBytes] = half & 0xff;
    out[b * blockBytes + 1] = half >>> 8;
  });
}
