/** Rows of a KV cache that lies in host memory: keys or values of one layer, [kvHeads, capacity, storedHeadDim]. */
import { storedDimension, storedHeadDim } from "../../model/graph/heads.js";
import { HALF_NUMBERS } from "../../model/kernels/half.js";
import type { ModelSpec } from "../../model/spec.js";
import type { FloatArray } from "../bindings.js";
import { rowsInPlace } from "../tree.js";

/** Moves rows behind `position` to position, position + 1, …, in place. @param rows ascending */
export function moveRows(
  stored: FloatArray,
  spec: ModelSpec,
  capacity: number,
  position: number,
  rows: ArrayLike<number>,
): void {
  const width = storedHeadDim(spec);
  for (let head = 0; head < spec.kvHeads; head++) {
    const start = head * capacity + position;
    for (let i = rowsInPlace(rows); i < rows.length; i++)
      stored.copyWithin((start + i) * width, (start + rows[i]) * width, (start + rows[i] + 1) * width);
  }
}

/** @returns [kvHeads, count, headDim] from `position` */
export function numbersOf(
  stored: FloatArray,
  spec: ModelSpec,
  capacity: number,
  position: number,
  count: number,
): Float32Array {
  const { kvHeads, headDim } = spec;
  const at = stored instanceof Uint16Array ? (i: number) => HALF_NUMBERS[stored[i]] : (i: number) => stored[i];
  const width = storedHeadDim(spec);
  return Float32Array.from({ length: kvHeads * count * headDim }, (_, i) => {
    const row = Math.floor(i / headDim);
    const token = Math.floor(row / count) * capacity + position + (row % count);
    return at(token * width + storedDimension(spec, i % headDim));
  });
}
