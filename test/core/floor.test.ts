import { expect, test } from "vitest";
import { floorUs } from "../../src/core/floor.js";

test("a gigabyte at 25 GB/s takes 40 ms", () => {
  expect(floorUs(1e9, 25e9)).toBeCloseTo(40_000, 9);
});

test("nothing to read takes no time", () => {
  expect(floorUs(0, 25e9)).toBe(0);
});

test.each([
  ["no bandwidth", 1, 0],
  ["a bandwidth that is no number", 1, Number.NaN],
  ["bytes below none", -1, 1],
  ["bytes without end", Infinity, 1],
])("%s is refused", (_what, bytes, bytesPerSecond) => {
  expect(() => floorUs(bytes, bytesPerSecond)).toThrow(RangeError);
});
