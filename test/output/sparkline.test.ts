import { expect, test } from "vitest";
import { resampledAt, sparkline } from "../../src/output/profile-tables.js";

test("bars rise from nothing to the most there is", () => {
  expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7], 7)).toBe("▁▂▃▄▅▆▇█");
  expect(sparkline([3.5, 7], 14)).toBe("▃▅");
  expect(sparkline([9, -1], 7)).toBe("█▁");
  expect(sparkline([0, 0], 0)).toBe("▁▁");
});

test("a line through points is read at even distances, its ends among them", () => {
  expect(
    resampledAt(
      [
        [0, 0],
        [10, 100],
        [30, 100],
        [40, 0],
      ],
      5,
    ),
  ).toEqual([0, 100, 100, 100, 0]);
  expect(
    resampledAt(
      [
        [64, 5],
        [128, 7],
      ],
      3,
    ),
  ).toEqual([5, 6, 7]);
  expect(resampledAt([[64, 5]], 2)).toEqual([5, 5]);
});
