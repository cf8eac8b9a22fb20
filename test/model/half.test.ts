/** fp32 -> fp16, against a twin that looks for the nearest of all fp16 numbers. */
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { describe, expect, test } from "vitest";
import { firstNotFinite, HALF_NUMBERS, roundToHalf, toHalf } from "../../src/model/kernels/half.js";

/** The value of fp16 bits, by the definition of IEEE 754 binary16, without a table. */
function definition(bits: number): number {
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = Math.floor(bits / 1024) % 32;
  const fraction = bits % 1024;
  if (exponent === 31) return fraction === 0 ? sign / 0 : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** All finite ones from 0 up, then where the next would be: their index is their bits. */
const LADDER = Array.from({ length: 0x7c01 }, (_, bits) => (bits === 0x7c00 ? 65536 : definition(bits)));

/** Bits of the nearest rung by bisection; half-way, the one with the even bits. */
function nearest(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return Number.NaN;
  if (size >= 65536) return sign + 0x7c00;
  let low = 0;
  let high = LADDER.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (LADDER[middle] <= size) low = middle;
    else high = middle;
  }
  const [below, above] = [size - LADDER[low], LADDER[high] - size];
  if (below === above) return sign + (low % 2 === 0 ? low : high);
  return sign + (below < above ? low : high);
}

const ALL = Array.from({ length: 1 << 16 }, (_, bits) => bits);

describe("fp16", () => {
  test("every one of the 65536 is read as its definition says, and written as it was", () => {
    expect(ALL.filter((bits) => !Object.is(HALF_NUMBERS[bits], definition(bits)))).toEqual([]);
    const written = toHalf(Float32Array.from(ALL, definition));
    const wrong = ALL.filter((bits) => !Number.isNaN(definition(bits)) && written[bits] !== bits);
    expect(wrong).toEqual([]);
    expect(ALL.filter((bits) => Number.isNaN(definition(bits)) && !Number.isNaN(HALF_NUMBERS[written[bits]]))).toEqual(
      [],
    );
  });

  test("between any two neighbours: half-way to the even one, and a last bit of fp32 to either side decides", () => {
    const word = new Uint32Array(1);
    const float = new Float32Array(word.buffer);
    const values: number[] = [];
    for (let bits = 0; bits < 0x7c00; bits++) {
      float[0] = (LADDER[bits] + LADDER[bits + 1]) / 2; // exact in fp32
      const middle = word[0];
      for (const near of [middle - 1, middle, middle + 1]) {
        word[0] = near;
        values.push(float[0], -float[0]);
      }
    }
    const written = toHalf(Float32Array.from(values));
    const wrong = values.filter((value, i) => written[i] !== nearest(value));
    expect(wrong).toEqual([]);
  });

  test("any bits of fp32, drawn at random (seed 5)", () => {
    const random = xoroshiro128plus(5);
    const words = Uint32Array.from({ length: 200_000 }, () => Math.floor(uniformFloat64(random) * 2 ** 32));
    const values = new Float32Array(words.buffer);
    const written = toHalf(values);
    const isRight = (value: number, bits: number) =>
      Number.isNaN(value) ? Number.isNaN(HALF_NUMBERS[bits]) : bits === nearest(value);
    expect(Array.from(values).filter((value, i) => !isRight(value, written[i]))).toEqual([]);
  });

  test("a part of an array is read where it lies, and the array is left as it was", () => {
    const values = Float32Array.of(9, 1, -2, 65504, 9);
    expect([...toHalf(values.subarray(1, 4))]).toEqual([0x3c00, 0xc000, 0x7bff]);
    expect([...values]).toEqual([9, 1, -2, 65504, 9]);
    expect(roundToHalf(1 + 2 ** -11)).toBe(1);
    expect(roundToHalf(1 + 3 * 2 ** -11)).toBe(1 + 2 ** -9);
  });

  test("the first that became too large, or was no number, is found", () => {
    expect(firstNotFinite(toHalf(Float32Array.of(0, 65519, -65504)))).toBeUndefined();
    expect(firstNotFinite(toHalf(Float32Array.of(0, 65520)))).toBe(1);
    expect(firstNotFinite(toHalf(Float32Array.of(0, 1, Number.NaN, 1e9)))).toBe(2);
  });
});
