/**
 * Stored number formats -> fp32, bit for bit as llama.cpp's `dequantize_row_*` (ggml/src/ggml-quants.c).
 *
 * Arithmetic here is in doubles and rounded once, on the store. That equals llama.cpp's fp32 arithmetic: every
 * product (11-bit scale × ≤ 8-bit sub-scale × ≤ 6-bit value) fits fp32's 24 bits, so only the final addition rounds,
 * and its operands, whole multiples of 2^-24 below 2^27, add exactly in a double.
 */

import { HALF_NUMBERS } from "../kernels/half.js";
import { decodeIQ3_S, decodeIQ3_XXS, decodeIQ4_NL, decodeIQ4_XS, decodeQ2_K, decodeQ3_K } from "./few-bit-blocks.js";

/** Decodes `blocks` whole blocks from the start of `bytes` to `out`, beginning at `out[at]`. */
type Decode = (bytes: Uint8Array, blocks: number, out: Float32Array, at: number) => void;

export interface StoredType {
  /** values in a block */
  blockValues: number;
  blockBytes: number;
  decode: Decode;
  /** of codes that MatMulNBits takes as they are: symmetric, a block of 32 beginning with its scale in fp16 */
  codeBits?: 8 | 4;
}

/** Values in a super-block of the K formats. */
const K_VALUES = 256;

export const STORED_TYPES = {
  F32: { blockValues: 1, blockBytes: 4, decode: decodeF32 },
  F16: { blockValues: 1, blockBytes: 2, decode: decodeF16 },
  BF16: { blockValues: 1, blockBytes: 2, decode: decodeBf16 },
  Q4_0: { blockValues: 32, blockBytes: 18, decode: decodeQ4_0, codeBits: 4 },
  Q4_1: { blockValues: 32, blockBytes: 20, decode: decodeQ4_1 },
  Q5_0: { blockValues: 32, blockBytes: 22, decode: decodeQ5_0 },
  Q5_1: { blockValues: 32, blockBytes: 24, decode: decodeQ5_1 },
  Q8_0: { blockValues: 32, blockBytes: 34, decode: decodeQ8_0, codeBits: 8 },
  Q4_K: { blockValues: K_VALUES, blockBytes: 144, decode: decodeQ4_K },
  Q5_K: { blockValues: K_VALUES, blockBytes: 176, decode: decodeQ5_K },
  Q6_K: { blockValues: K_VALUES, blockBytes: 210, decode: decodeQ6_K },
  Q2_K: { blockValues: K_VALUES, blockBytes: 84, decode: decodeQ2_K },
  Q3_K: { blockValues: K_VALUES, blockBytes: 110, decode: decodeQ3_K },
  IQ4_NL: { blockValues: 32, blockBytes: 18, decode: decodeIQ4_NL },
  IQ4_XS: { blockValues: K_VALUES, blockBytes: 136, decode: decodeIQ4_XS },
  IQ3_XXS: { blockValues: K_VALUES, blockBytes: 98, decode: decodeIQ3_XXS },
  IQ3_S: { blockValues: K_VALUES, blockBytes: 110, decode: decodeIQ3_S },
} as const satisfies Record<string, StoredType>;

export type StoredTypeName = keyof typeof STORED_TYPES;

export const isStoredType = (name: string): name is StoredTypeName => Object.hasOwn(STORED_TYPES, name);

const halfAt = (bytes: Uint8Array, p: number): number => HALF_NUMBERS[bytes[p] | (bytes[p + 1] << 8)];

function decodeF32(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  // Every platform Node runs on is little-endian, as both file formats are.
  new Uint8Array(out.buffer, out.byteOffset + at * 4, blocks * 4).set(bytes.subarray(0, blocks * 4));
}

function decodeF16(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let i = 0, p = 0; i < blocks; i++, p += 2) out[at + i] = HALF_NUMBERS[bytes[p] | (bytes[p + 1] << 8)];
}

function decodeBf16(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  // bf16 is the upper half of fp32; written as integers so that NaN payloads survive.
  const bits = new Uint32Array(out.buffer, out.byteOffset + at * 4, blocks);
  for (let i = 0, p = 0; i < blocks; i++, p += 2) bits[i] = (bytes[p] << 16) | (bytes[p + 1] << 24);
}

// block: d f16, 16 bytes; byte j holds value j in its low half, value j + 16 in its high half
function decodeQ4_0(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 18, at += 32) {
    const d = halfAt(bytes, p);
    for (let j = 0; j < 16; j++) {
      const q = bytes[p + 2 + j];
      out[at + j] = ((q & 15) - 8) * d;
      out[at + j + 16] = ((q >> 4) - 8) * d;
    }
  }
}

// block: d f16, m f16, 16 bytes as in Q4_0
function decodeQ4_1(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 20, at += 32) {
    const d = halfAt(bytes, p);
    const m = halfAt(bytes, p + 2);
    for (let j = 0; j < 16; j++) {
      const q = bytes[p + 4 + j];
      out[at + j] = (q & 15) * d + m;
      out[at + j + 16] = (q >> 4) * d + m;
    }
  }
}

// block: d f16, 32 fifth bits (bit i belongs to value i), 16 bytes as in Q4_0
function decodeQ5_0(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 22, at += 32) {
    const d = halfAt(bytes, p);
    const high = bytes[p + 2] | (bytes[p + 3] << 8) | (bytes[p + 4] << 16) | (bytes[p + 5] << 24);
    for (let j = 0; j < 16; j++) {
      const q = bytes[p + 6 + j];
      out[at + j] = (((q & 15) | (((high >>> j) & 1) << 4)) - 16) * d;
      out[at + j + 16] = (((q >> 4) | (((high >>> (j + 16)) & 1) << 4)) - 16) * d;
    }
  }
}

// block: d f16, m f16, then as in Q5_0
function decodeQ5_1(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 24, at += 32) {
    const d = halfAt(bytes, p);
    const m = halfAt(bytes, p + 2);
    const high = bytes[p + 4] | (bytes[p + 5] << 8) | (bytes[p + 6] << 16) | (bytes[p + 7] << 24);
    for (let j = 0; j < 16; j++) {
      const q = bytes[p + 8 + j];
      out[at + j] = ((q & 15) | (((high >>> j) & 1) << 4)) * d + m;
      out[at + j + 16] = ((q >> 4) | (((high >>> (j + 16)) & 1) << 4)) * d + m;
    }
  }
}

// block: d f16, 32 int8
function decodeQ8_0(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 34, at += 32) {
    const d = halfAt(bytes, p);
    for (let j = 0; j < 32; j++) out[at + j] = ((bytes[p + 2 + j] << 24) >> 24) * d;
  }
}

/**
 * Scale of sub-block i of Q4_K and Q5_K: 8 scales and 8 minima of 6 bits in 12 bytes. Bytes 0..3 and 4..7 hold
 * scales and minima 0..3 in their low 6 bits; bytes 8..11 hold the low 4 bits of 4..7, whose upper 2 bits are
 * the upper 2 bits of bytes 0..7.
 */
const scaleOf = (bytes: Uint8Array, s: number, i: number): number =>
  i < 4 ? bytes[s + i] & 63 : (bytes[s + i + 4] & 15) | ((bytes[s + i - 4] >> 6) << 4);

const minimumOf = (bytes: Uint8Array, s: number, i: number): number =>
  i < 4 ? bytes[s + i + 4] & 63 : (bytes[s + i + 4] >> 4) | ((bytes[s + i] >> 6) << 4);

// block: d f16, dmin f16, 12 bytes of scales, 128 bytes; each 32 bytes hold 32 values low, the next 32 high
function decodeQ4_K(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 144, at += K_VALUES) {
    const d = halfAt(bytes, p);
    const dmin = halfAt(bytes, p + 2);
    for (let i = 0; i < 8; i++) {
      const scale = d * scaleOf(bytes, p + 4, i);
      const minimum = dmin * minimumOf(bytes, p + 4, i);
      const from = p + 16 + (i >> 1) * 32;
      const shift = (i & 1) * 4;
      for (let j = 0; j < 32; j++) out[at + i * 32 + j] = scale * ((bytes[from + j] >> shift) & 15) - minimum;
    }
  }
}

// as Q4_K, with 32 bytes of fifth bits before the values: bit i of byte j belongs to value 32 i + j
function decodeQ5_K(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 176, at += K_VALUES) {
    const d = halfAt(bytes, p);
    const dmin = halfAt(bytes, p + 2);
    for (let i = 0; i < 8; i++) {
      const scale = d * scaleOf(bytes, p + 4, i);
      const minimum = dmin * minimumOf(bytes, p + 4, i);
      const from = p + 48 + (i >> 1) * 32;
      const shift = (i & 1) * 4;
      for (let j = 0; j < 32; j++) {
        const q = ((bytes[from + j] >> shift) & 15) | (((bytes[p + 16 + j] >> i) & 1) << 4);
        out[at + i * 32 + j] = scale * q - minimum;
      }
    }
  }
}

/**
 * block: 128 bytes of low 4 bits, 64 bytes of upper 2 bits, 16 int8 scales (one per 16 values), d f16.
 * Each half of 128 values is four runs of 32: runs 0 and 2 share low-bit bytes 0..31, runs 1 and 3 bytes 32..63;
 * run r takes bits 2r and 2r + 1 of the upper-bit bytes.
 */
function decodeQ6_K(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 210, at += K_VALUES) {
    const d = halfAt(bytes, p + 208);
    for (let run = 0; run < 8; run++) {
      const half = run >> 2;
      const r = run & 3;
      const low = p + half * 64 + (r & 1) * 32;
      const high = p + 128 + half * 32;
      for (let j = 0; j < 32; j++) {
        const scale = (bytes[p + 192 + run * 2 + (j >> 4)] << 24) >> 24;
        const q = ((bytes[low + j] >> ((r >> 1) * 4)) & 15) | (((bytes[high + j] >> (r * 2)) & 3) << 4);
        out[at + run * 32 + j] = d * scale * (q - 32);
      }
    }
  }
}
