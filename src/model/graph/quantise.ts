/**
 * Block-wise symmetric quantisation as com.microsoft.MatMulNBits stores it: codes [out, blocks, bytes] without zero
 * points (the implied one is 2^(bits-1)), one fp32 scale per block of 32 inputs.
 */

/**
 * @param weights [out, inner] fp32, row-major
 * @param bits    8 (4 packs two codes to a byte, the first in the low half)
 * @returns codes and scales [out, ceil(inner / block)]; a short last block is filled with zeros
 */
export function quantiseRows(
  weights: Float32Array,
  out: number,
  inner: number,
  bits: number,
  block: number,
): { codes: Uint8Array; scales: Float32Array } {
  if (bits !== 8) throw new RangeError(`${bits}-bit codes are not written yet`);
  const blocks = Math.ceil(inner / block);
  const codes = new Uint8Array(out * blocks * block).fill(128);
  const scales = new Float32Array(out * blocks);
  for (let row = 0; row < out; row++) {
    for (let b = 0; b < blocks; b++) {
      const from = row * inner + b * block;
      const to = Math.min(from + block, (row + 1) * inner);
      let greatest = 0;
      for (let i = from; i < to; i++) {
        const magnitude = Math.abs(weights[i]);
        if (magnitude > greatest) greatest = magnitude;
      }
      if (greatest === 0) continue;
      const inverse = 127 / greatest;
      scales[row * blocks + b] = greatest / 127;
      const target = (row * blocks + b) * block - from;
      // codes are positive: adding a half and cutting rounds to nearest
      for (let i = from; i < to; i++) codes[target + i] = (weights[i] * inverse + 128.5) | 0;
    }
  }
  return { codes, scales };
}
