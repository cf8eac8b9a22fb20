import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  counted,
  duration,
  factor,
  fixed,
  listed,
  missedBy,
  moment,
  percent,
  range,
  significant,
} from "../../src/report/format.js";
import { trials } from "../support/long.js";

describe("significant", () => {
  test.each([
    [0, "0"],
    [12.345, "12.3"],
    [0.00123456, "0.00123"],
    [123456, "123,456"],
    [-2.5, "−2.50"],
    [1.5e-9, "1.50e−9"],
    [1e300, "1.00e+300"],
  ])("%d is %s", (value, text) => {
    expect(significant(value)).toBe(text);
  });

  test("keeps three digits of any number", () => {
    fc.assert(
      fc.property(fc.double({ min: -1e307, max: 1e307, noNaN: true }), (value) => {
        const read = Number(significant(value).replaceAll(",", "").replaceAll("−", "-"));
        expect(Math.abs(read - value)).toBeLessThanOrEqual(Math.abs(value) * 0.0051);
      }),
      { seed: 1, numRuns: trials(300, 2000) },
    );
  });
});

test.each([
  [0.9735, "97.4 %"],
  [1, "100.0 %"],
  [0.99999, "99.999 %"],
  [0.9999999, "> 99.999 %"],
  [0, "0.0 %"],
])("a share of %d is %s: never all where it is not all", (share, text) => {
  expect(percent(share)).toBe(text);
});

test.each([
  [312.4, "312 µs"],
  [21500, "21.5 ms"],
  [3.2e6, "3.20 s"],
  [0, "0 µs"],
])("%d µs are %s", (us, text) => {
  expect(duration(us)).toBe(text);
});

test.each([
  [5.51, "5.5 % too high"],
  [-9.8, "9.8 % too low"],
  [0.01, "as measured"],
])("an error of %d %% is %s", (error, text) => {
  expect(missedBy(error)).toBe(text);
});

test("small words", () => {
  expect(factor(1.386)).toBe("1.39×");
  expect(fixed(-1234.56, 1)).toBe("−1,234.6");
  expect(range({ from: 0, to: 1024 })).toBe("0–1,024");
  expect([counted(1, "tie"), counted(2, "tie")]).toEqual(["1 tie", "2 ties"]);
  expect(listed(["a", "b", "c"])).toBe("a, b and c");
  expect(moment("2026-11-23T21:31:02.126Z")).toBe("2026-11-23 21:31 UTC");
});
