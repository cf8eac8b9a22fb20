import { describe, expect, test } from "vitest";
import { decide, type Thresholds } from "../../src/verify/index.js";

const good = {
  lossless: true,
  speedup: { median: 1.4, low: 1.3 as number | null, high: 1.5 as number | null },
  acceptance: 0.9 as number | null,
  prediction_error_percent: -8 as number | null,
};

describe("what was asked for", () => {
  test("is recorded, and only that", () => {
    expect(decide(good, {})).toEqual({ failed: [] });
    expect(decide(good, { minSpeedup: 1.3, minAcceptance: 0.9, maxPredictionErrorPercent: 8 })).toEqual({
      min_speedup: 1.3,
      min_acceptance: 0.9,
      max_prediction_error_percent: 8,
      failed: [],
    });
  });

  const cases: { name: string; changes: Partial<typeof good>; asked: Thresholds; failed: string[] }[] = [
    { name: "output", changes: { lossless: false }, asked: {}, failed: ["lossless"] },
    {
      name: "a speedup whose interval begins below",
      changes: {},
      asked: { minSpeedup: 1.31 },
      failed: ["min_speedup"],
    },
    {
      name: "a speedup without an interval",
      changes: { speedup: { median: 1.4, low: null, high: null } },
      asked: { minSpeedup: 0.1 },
      failed: ["min_speedup"],
    },
    { name: "acceptance", changes: {}, asked: { minAcceptance: 0.91 }, failed: ["min_acceptance"] },
    {
      name: "a prediction too low",
      changes: {},
      asked: { maxPredictionErrorPercent: 7.9 },
      failed: ["max_prediction_error_percent"],
    },
    {
      name: "a prediction too high",
      changes: { prediction_error_percent: 8 },
      asked: { maxPredictionErrorPercent: 7.9 },
      failed: ["max_prediction_error_percent"],
    },
    {
      name: "what was not measured",
      changes: { acceptance: null, prediction_error_percent: null },
      asked: { minAcceptance: 0, maxPredictionErrorPercent: 1000 },
      failed: ["min_acceptance", "max_prediction_error_percent"],
    },
    {
      name: "everything at once",
      changes: { lossless: false },
      asked: { minSpeedup: 2, minAcceptance: 1, maxPredictionErrorPercent: 0 },
      failed: ["lossless", "min_speedup", "min_acceptance", "max_prediction_error_percent"],
    },
  ];
  test.each(cases)("fails for $name", ({ changes, asked, failed }) => {
    expect(decide({ ...good, ...changes }, asked).failed).toEqual(failed);
  });
});
