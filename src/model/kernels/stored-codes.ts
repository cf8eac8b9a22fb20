/** Codes that a checkpoint has already, taken over as they are. */
import type { StoredRows } from "./kernel.js";
import type { Quantised } from "./quantise.js";

const BLOCK = 32;

/**
 * Puts the checkpoint's own codes and scales in their rows, which it has in as many bits as are made: a value that is a whole
 * number of its scale is that number again, exactly, since fp16 scales times small whole numbers fit fp32. Quantising such
 * values anew finds the same codes where the greatest of a block is the greatest code, which no format promises.
 * @param values [out, inner] fp32, as the checkpoint's own reader gives them; inner is a multiple of 32 where rows are stored
 */
export function takeOver(made: Quantised, values: Float32Array, inner: number, stored: readonly StoredRows[]): void {
  const blocks = inner / BLOCK;
  for (const { from, rows, bits, scales } of stored) {
    made.scales.set(scales, from * blocks);
    for (let block = 0; block < rows * blocks; block++) {
      const at = from * inner + block * BLOCK;
      if (bits === 8) eightBits(values, scales[block], made.codes, at);
      else fourBits(values, scales[block], made.codes, at);
    }
  }
}

/** A block of scale 0 is nought whatever its codes were. */
const codeOf = (value: number, scale: number): number => (scale === 0 ? 0 : Math.round(value / scale));

function eightBits(values: Float32Array, scale: number, codes: Uint8Array, at: number): void {
  for (let i = at; i < at + BLOCK; i++) codes[i] = codeOf(values[i], scale) + 128;
}

/** Two codes a byte, the first in the low half. */
function fourBits(values: Float32Array, scale: number, codes: Uint8Array, at: number): void {
  for (let i = at; i < at + BLOCK; i += 2)
    codes[i / 2] = (codeOf(values[i], scale) + 8) | ((codeOf(values[i + 1], scale) + 8) << 4);
}
