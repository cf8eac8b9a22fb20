/**
 * Blocks of about two to four bits a number -> fp32, bit for bit as gguf's `dequantize` (ggml/src/ggml-quants.c).
 *
 * As in dequantize.ts, arithmetic is in doubles and rounded once: a scale in fp16 has 11 bits, sub-scales take at most
 * 6 and values at most 7, so every product fits fp32's 24 bits.
 */

import { HALF_NUMBERS } from "../kernels/half.js";
import { IQ3_S_GROUPS, IQ3_XXS_GROUPS } from "./iq3-groups.js";

/** Values in a super-block. */
const VALUES = 256;

const halfAt = (bytes: Uint8Array, p: number): number => HALF_NUMBERS[bytes[p] | (bytes[p + 1] << 8)];

/**
 * block: 16 bytes with a scale (low half) and a minimum (high half) for 16 values each, 64 bytes of 2-bit values, d f16,
 * dmin f16. Each 32 bytes of values hold four runs of 32, the first in their lowest bits.
 */
export function decodeQ2_K(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 84, at += VALUES) {
    const d = halfAt(bytes, p + 80);
    const dmin = halfAt(bytes, p + 82);
    for (let i = 0; i < 16; i++) {
      const scale = d * (bytes[p + i] & 15);
      const minimum = dmin * (bytes[p + i] >> 4);
      const from = p + 16 + (i >> 3) * 32 + (i & 1) * 16;
      const shift = ((i >> 1) & 3) * 2;
      for (let j = 0; j < 16; j++) out[at + i * 16 + j] = scale * ((bytes[from + j] >> shift) & 3) - minimum;
    }
  }
}

/** Of 16 scales of 6 bits in 12 bytes: low 4 bits in the halves of bytes 0..7, upper 2 in bytes 8..11. */
const scaleOfQ3_K = (bytes: Uint8Array, s: number, i: number): number =>
  (((bytes[s + (i & 7)] >> ((i >> 3) * 4)) & 15) | (((bytes[s + 8 + (i & 3)] >> ((i >> 2) * 2)) & 3) << 4)) - 32;

/**
 * block: 32 bytes of third bits (bit r of byte j belongs to value j of run r), 64 bytes as in Q2_K, 12 bytes of scales,
 * d f16. A third bit that is set means that 4 is not taken away.
 */
export function decodeQ3_K(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 110, at += VALUES) {
    const d = halfAt(bytes, p + 108);
    for (let i = 0; i < 16; i++) {
      const scale = d * scaleOfQ3_K(bytes, p + 96, i);
      const high = p + (i & 1) * 16;
      const from = p + 32 + (i >> 3) * 32 + (i & 1) * 16;
      const run = i >> 1;
      for (let j = 0; j < 16; j++) {
        const low = (bytes[from + j] >> ((run & 3) * 2)) & 3;
        out[at + i * 16 + j] = scale * (low - ((bytes[high + j] >> run) & 1 ? 0 : 4));
      }
    }
  }
}

/** What the 16 codes of the IQ4 formats stand for (`kvalues_iq4nl`). */
const IQ4_VALUES = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

// block: d f16, 16 bytes; byte j holds code j in its low half, code j + 16 in its high half
export function decodeIQ4_NL(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 18, at += 32) decodeCodes(bytes, p + 2, halfAt(bytes, p), out, at);
}

/** 32 codes in 16 bytes. */
function decodeCodes(bytes: Uint8Array, from: number, scale: number, out: Float32Array, at: number): void {
  for (let j = 0; j < 16; j++) {
    out[at + j] = scale * IQ4_VALUES[bytes[from + j] & 15];
    out[at + j + 16] = scale * IQ4_VALUES[bytes[from + j] >> 4];
  }
}

/** block: d f16, upper 2 bits of 8 scales in a u16, their low 4 bits in 4 bytes, then 8 times 32 codes as in IQ4_NL */
export function decodeIQ4_XS(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 136, at += VALUES) {
    const d = halfAt(bytes, p);
    const high = bytes[p + 2] | (bytes[p + 3] << 8);
    for (let i = 0; i < 8; i++) {
      const low = (bytes[p + 4 + (i >> 1)] >> ((i & 1) * 4)) & 15;
      const scale = d * ((low | (((high >> (i * 2)) & 3) << 4)) - 32);
      decodeCodes(bytes, p + 8 + i * 16, scale, out, at + i * 32);
    }
  }
}

/** Eight signs, a set bit for minus, of which seven are stored: the number of minus signs is even. */
const EVEN_SIGNS = Uint8Array.from({ length: 128 }, (_, seven) => {
  let ones = 0;
  for (let bits = seven; bits > 0; bits >>= 1) ones += bits & 1;
  return seven | ((ones & 1) << 7);
});

/** Four values of a group times `scale`, minus where bit `first` + i of `signs` is set. */
function decodeGroup(
  groups: Uint8Array,
  group: number,
  scale: number,
  signs: number,
  first: number,
  out: Float32Array,
  at: number,
): void {
  for (let i = 0; i < 4; i++) {
    const value = scale * groups[group * 4 + i];
    out[at + i] = (signs >> (first + i)) & 1 ? -value : value;
  }
}

/**
 * block: d f16, 64 bytes that each name a group of four values, 8 u32 for 32 values each: four times seven signs from the
 * lowest bit on, and a scale in the upper 4 bits.
 */
export function decodeIQ3_XXS(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 98, at += VALUES) {
    const d = halfAt(bytes, p);
    for (let i = 0; i < 8; i++) {
      const w = p + 66 + i * 4;
      const word = bytes[w] | (bytes[w + 1] << 8) | (bytes[w + 2] << 16) | (bytes[w + 3] << 24);
      const scale = d * (0.5 + (word >>> 28)) * 0.5;
      for (let g = 0; g < 8; g++) {
        const signs = EVEN_SIGNS[(word >>> ((g >> 1) * 7)) & 127];
        decodeGroup(IQ3_XXS_GROUPS, bytes[p + 2 + i * 8 + g], scale, signs, (g & 1) * 4, out, at + i * 32 + g * 4);
      }
    }
  }
}

/**
 * block: d f16, 64 bytes and 64 ninth bits (bit i of byte j belongs to group 8 j + i) that each name a group of four
 * values, 32 bytes of signs, 8 scales of 4 bits.
 */
export function decodeIQ3_S(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  for (let b = 0, p = 0; b < blocks; b++, p += 110, at += VALUES) {
    const d = halfAt(bytes, p);
    for (let g = 0; g < 64; g++) {
      const scale = d * (1 + 2 * ((bytes[p + 106 + (g >> 4)] >> (((g >> 3) & 1) * 4)) & 15));
      const group = bytes[p + 2 + g] | (((bytes[p + 66 + (g >> 3)] >> (g & 7)) & 1) << 8);
      decodeGroup(IQ3_S_GROUPS, group, scale, bytes[p + 74 + (g >> 1)], (g & 1) * 4, out, at + g * 4);
    }
  }
}
