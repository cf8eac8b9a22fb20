/** What vitest.config.ts puts before vitest's own comparison takes nothing for equal that is not. */
import { expect, test } from "vitest";
import { equalNumbers } from "./equal-arrays.js";

const N = 100;
const numbers = Array.from({ length: N }, (_, i) => i);

test.each<[string, unknown, unknown]>([
  ["one number differs", numbers, numbers.with(N - 1, 0)],
  ["one is longer", numbers, [...numbers, 0]],
  ["zeros of two signs", numbers, numbers.with(0, -0)],
  ["numbers and their words", numbers, numbers.map(String)],
  ["a gap and undefined", new Array(N), new Array(N).fill(undefined)],
  ["one number of a typed array differs", Float32Array.from(numbers), Float32Array.from(numbers.with(N - 1, 0))],
  ["the same bytes of two types", new Int32Array(N), new Float32Array(N)],
  ["a list and a typed array", numbers, Float32Array.from(numbers)],
])("%s: nothing is said, and toStrictEqual fails", (_what, a, b) => {
  expect(equalNumbers(a, b)).toBeUndefined();
  expect(() => expect(a).toStrictEqual(b)).toThrow();
});

test.each<[string, unknown, unknown]>([
  ["lists", numbers, [...numbers]],
  ["lists with NaN", numbers.with(3, Number.NaN), numbers.with(3, Number.NaN)],
  ["typed arrays", Float32Array.from(numbers), Float32Array.from(numbers)],
  ["a view and a copy", new Float64Array([9, ...numbers]).subarray(1), Float64Array.from(numbers)],
])("%s of the same numbers are equal", (_what, a, b) => {
  expect(equalNumbers(a, b)).toBe(true);
  expect({ inside: [a] }).toStrictEqual({ inside: [b] });
});
