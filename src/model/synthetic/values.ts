/** The numbers of made-up weights: what a seed and a tensor's name give, some rows at a time. */
import { createHash } from "node:crypto";
import { seededRandom } from "../../stats/random.js";
import { seededRows } from "../conversion/rows.js";

/** A tensor's own stream of numbers. */
export interface Made {
  name: string;
  seed: number;
}

/**
 * Rows of a matrix, uniform in ±√(3 / inner): variance 1 / inner, so that a product is as large as its input. Each run of
 * so many rows has a seed of its own, so that threads make them apart.
 * @returns [rows, inner]
 */
export function madeRows({ name, seed }: Made, firstRow: number, rows: number, inner: number): Float32Array {
  const run = seededRows(inner);
  const values = new Float32Array(rows * inner);
  for (let at = firstRow; at < firstRow + rows; at += run) {
    if (at % run !== 0) throw new RangeError(`row ${at} does not begin a run of ${run}`);
    const from = (at - firstRow) * inner;
    fillUniform(values.subarray(from, from + run * inner), 0, Math.sqrt(3 / inner), seedOf(name, seed, at / run));
  }
  return values;
}

/** The first run's is the name's alone. */
const seedOf = (name: string, seed: number, run: number): number =>
  createHash("sha256")
    .update(`${seed}\0${name}${run === 0 ? "" : `\0${run}`}`)
    .digest()
    .readInt32LE(0);

/** [length], uniform in centre ± spread */
export function madeVector({ name, seed }: Made, length: number, centre: number, spread: number): Float32Array {
  const values = new Float32Array(length);
  fillUniform(values, centre, spread, seedOf(name, seed, 0));
  return values;
}

/** centre ± spread; never exactly the centre, since an odd number is never 0 */
function fillUniform(values: Float32Array, centre: number, spread: number, seed: number): void {
  const random = seededRandom(seed); // 5 ns a value (EPYC, Node 20): a layer of an 8B model in a second
  const scale = spread / 2 ** 31;
  for (let i = 0; i < values.length; i++) values[i] = centre + (random.bits() | 1) * scale;
}
