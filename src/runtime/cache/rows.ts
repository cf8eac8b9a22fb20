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

/** Runs of numbers that the rows of all heads take in `stored`. */
function* runsOf(spec: ModelSpec, capacity: number, position: number, count: number): Generator<[number, number]> {
  const width = storedHeadDim(spec);
  for (let head = 0; head < spec.kvHeads; head++) {
    const start = (head * capacity + position) * width;
    yield [start, start + count * width];
  }
}

/** @returns [kvHeads, count, storedHeadDim] from `position`, as stored */
export function copyRows(
  stored: FloatArray,
  spec: ModelSpec,
  capacity: number,
  position: number,
  count: number,
): FloatArray {
  const copy = stored.slice(0, spec.kvHeads * count * storedHeadDim(spec));
  let at = 0;
  for (const [from, to] of runsOf(spec, capacity, position, count)) {
    copy.set(stored.subarray(from, to), at);
    at += to - from;
  }
  return copy;
}

/** Puts what `copyRows` gave back. */
export function pasteRows(
  stored: FloatArray,
  spec: ModelSpec,
  capacity: number,
  { position, count }: { position: number; count: number },
  rows: NodeJS.TypedArray,
): void {
  let at = 0;
  for (const [from, to] of runsOf(spec, capacity, position, count)) {
    stored.set((rows as FloatArray).subarray(at, at + to - from), from);
    at += to - from;
  }
}
