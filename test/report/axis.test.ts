import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeAxis, textWidth, WIDTH } from "../../src/report/charts/axis.js";
import { trials } from "../support/long.js";

const anyValues = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 12 });
const scale = fc.constantFrom("linear" as const, "log" as const);

describe("an axis", () => {
  test("places every value on the drawing and keeps its labels apart, whatever the values", () => {
    fc.assert(
      fc.property(anyValues, scale, fc.boolean(), (values, scale, tight) => {
        const axis = makeAxis(values, { label: "x", scale, tight }, [40, WIDTH - 8], true);
        for (const value of values) {
          expect(axis.at(value)).toBeGreaterThanOrEqual(40 - 1e-6);
          expect(axis.at(value)).toBeLessThanOrEqual(WIDTH - 8 + 1e-6);
        }
        axis.ticks.forEach(({ at, text }, i) => {
          expect(at).toBeGreaterThanOrEqual(40 - 1e-6);
          expect(at).toBeLessThanOrEqual(WIDTH - 8 + 1e-6);
          expect(text).not.toMatch(/NaN|Infinity/);
          const before = axis.ticks[i - 1];
          if (before !== undefined && axis.ticks.length > 3)
            expect(at - before.at).toBeGreaterThan((textWidth(text) + textWidth(before.text)) / 2);
        });
      }),
      { seed: 1, numRuns: trials(300, 3000) },
    );
  });

  test("keeps the order of values", () => {
    fc.assert(
      fc.property(anyValues, scale, (values, scale) => {
        const axis = makeAxis(values, { label: "x", scale }, [0, 300], false);
        const sorted = [...values].sort((a, b) => a - b).map((value) => axis.at(value));
        expect(sorted.every((at, i) => i === 0 || at >= sorted[i - 1] - 1e-9)).toBe(true);
      }),
      { seed: 2, numRuns: trials(150, 1000) },
    );
  });

  test("of powers of ten names them plainly", () => {
    const axis = makeAxis([0.00002, 3], { label: "loss", scale: "log" }, [200, 0], false);
    expect(axis.ticks.map(({ text }) => text)).toEqual(["0.0001", "0.001", "0.01", "0.1", "1"]);
  });

  test("of a narrow range has steps of 1, 2 and 5", () => {
    const axis = makeAxis([0.012, 0.11], { label: "loss", scale: "log" }, [200, 0], false);
    expect(axis.ticks.map(({ text }) => text)).toEqual(["0.01", "0.02", "0.05", "0.1", "0.2"]);
  });

  test("of whole numbers has no ticks between them", () => {
    const axis = makeAxis([0, 3], { label: "layer", scale: "linear", integers: true, tight: true }, [0, 300], true);
    expect(axis.ticks.map(({ text }) => text)).toEqual(["0", "1", "2", "3"]);
  });

  test("of the same values ends alike in both directions, so that equal values lie on the diagonal", () => {
    const spec = { label: "x", scale: "log" } as const;
    const across = makeAxis([0.003, 0.7], spec, [0, 100], true);
    const up = makeAxis([0.003, 0.7], spec, [100, 0], false);
    for (const value of [0.003, 0.04, 0.7]) expect(across.at(value) + up.at(value)).toBeCloseTo(100, 9);
  });
});
