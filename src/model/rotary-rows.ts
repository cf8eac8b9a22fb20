/** The order of rows within a head, on which the two conventions of rotary encoding differ. */

/**
 * Rows of a tensor as they are wanted.
 * @param interleavedHeadDim null: they are stored so; else they are in interleaved rotary order, in heads of so many rows
 */
export const rowsInOrder = (values: Float32Array, rows: number, interleavedHeadDim: number | null): Float32Array =>
  interleavedHeadDim === null ? values : halfSplitRows(values, rows / interleavedHeadDim, interleavedHeadDim);

/**
 * Within each head, row 2i + j moves to row j · headDim/2 + i.
 * @param values [heads · headDim, columns], rows in interleaved rotary order; a bias has one column
 */
export function halfSplitRows(values: Float32Array, heads: number, headDim: number): Float32Array {
  const columns = values.length / (heads * headDim);
  const half = headDim / 2;
  const out = new Float32Array(values.length);
  for (let row = 0; row < heads * headDim; row++) {
    const inHead = row % headDim;
    const target = row - inHead + (inHead % 2) * half + (inHead >> 1);
    out.set(values.subarray(row * columns, (row + 1) * columns), target * columns);
  }
  return out;
}
