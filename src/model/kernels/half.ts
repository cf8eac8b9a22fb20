/**
 * fp32 <-> fp16 (IEEE 754 binary16). Node 20 has no Float16Array. A library would bring its own array class for what are
 * two loops here; a model of 8 billion weights goes through them once.
 */

const INFINITY = 0x7c00;
const NOT_A_NUMBER = 0x7e00;
/** bits of 65520, half-way from the greatest fp16 number to where the next would be: from here on it is infinity */
const OVERFLOWS = 0x477ff000;
/** bits of 2^-14: below lie the subnormals, multiples of 2^-24 */
const LEAST_NORMAL = 0x38800000;
const SUBNORMALS_PER_ONE = 2 ** 24;
/** added and taken away again, it rounds to a whole number, to the even one half-way */
const ROUNDER = 2 ** 52;

/** @returns [values.length] bits of the nearest fp16 numbers, ties to even; too large a number becomes an infinity */
export function toHalf(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) halves[i] = halfOf(bits[i], values[i]);
  return halves;
}

/** @param bits of `value` in fp32 */
function halfOf(bits: number, value: number): number {
  const magnitude = bits & 0x7fffffff;
  const sign = (bits >>> 16) & 0x8000;
  // the exponent's bias goes from 127 to 15; 13 bits are dropped, and carry into the exponent where they round up
  if (magnitude >= LEAST_NORMAL && magnitude < OVERFLOWS)
    return sign | ((magnitude - 0x38000000 + 0x0fff + ((magnitude >>> 13) & 1)) >>> 13);
  if (magnitude < LEAST_NORMAL) return sign | (Math.abs(value) * SUBNORMALS_PER_ONE + ROUNDER - ROUNDER);
  return sign | (magnitude > 0x7f800000 ? NOT_A_NUMBER : INFINITY);
}

/** fp16 bits -> number; a table, because bit tricks are several times slower */
export const HALF_NUMBERS = numbers();

function numbers(): Float32Array {
  const table = new Float32Array(1 << 16);
  for (let bits = 0; bits < table.length; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) table[bits] = (sign * fraction) / SUBNORMALS_PER_ONE;
    else if (exponent === 0x1f) table[bits] = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return table;
}

const one = new Float32Array(1);
const oneBits = new Uint32Array(one.buffer);

/** The fp16 number nearest to an fp32 one. Asked for every block of a model: nothing is made for it. */
export function roundToHalf(value: number): number {
  one[0] = value;
  return HALF_NUMBERS[halfOf(oneBits[0], one[0])];
}

/** Index of the first half that is infinite or not a number; undefined: all are finite. */
export function firstNotFinite(halves: Uint16Array): number | undefined {
  for (let i = 0; i < halves.length; i++) if ((halves[i] & INFINITY) === INFINITY) return i;
  return undefined;
}
