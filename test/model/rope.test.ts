import { describe, expect, test } from "vitest";
import { inverseFrequencies, ropeTables } from "../../src/model/rope.js";
import type { Llama3RopeScaling, RopeScaling } from "../../src/model/spec.js";
import { angularSpeed } from "../oracle/transformer.js";
import { tinySpec } from "../support/tiny-checkpoint.js";

/** Llama 3.1's own numbers. */
const SCALING: Llama3RopeScaling = {
  type: "llama3",
  factor: 8,
  lowFreqFactor: 1,
  highFreqFactor: 4,
  originalContext: 8192,
};

const YARN: RopeScaling = {
  ...{ type: "yarn", factor: 4, betaFast: 32, betaSlow: 1, originalContext: 32768 },
  ...{ attentionFactor: 1.1386, truncate: true },
};

describe("frequencies", () => {
  test.each([
    ["theta 10,000, heads of 16", tinySpec({ headDim: 16 })],
    ["theta 1,000,000, heads of 128", tinySpec({ headDim: 128, theta: 1e6 })],
    ["an odd number of pairs", tinySpec({ headDim: 6 })],
    ["llama3", tinySpec({ headDim: 128, theta: 500_000, ropeScaling: SCALING })],
    ["yarn", tinySpec({ headDim: 128, ropeScaling: YARN })],
    ["yarn, ends of the blend between pairs", tinySpec({ headDim: 128, ropeScaling: { ...YARN, truncate: false } })],
    ["linear", tinySpec({ headDim: 128, ropeScaling: { type: "linear", factor: 8 } })],
  ])("%s: equal to the twin", (_name, spec) => {
    const half = spec.headDim / 2;
    inverseFrequencies(spec).forEach((frequency, i) => {
      const twin = angularSpeed(i, half, spec.rope);
      expect(Math.abs(frequency / twin - 1)).toBeLessThan(1e-12);
    });
  });

  test("llama3 keeps short waves, stretches long ones by the factor, and blends between without a jump", () => {
    const plain = inverseFrequencies(tinySpec({ headDim: 128, theta: 500_000 }));
    const scaled = inverseFrequencies(tinySpec({ headDim: 128, theta: 500_000, ropeScaling: SCALING }));
    const seen = { short: 0, blended: 0, long: 0 };
    plain.forEach((frequency, i) => {
      const wavelength = (2 * Math.PI) / frequency;
      const ratio = scaled[i] / frequency;
      if (wavelength < 8192 / 4) seen.short += expectRatio(ratio, 1);
      else if (wavelength > 8192) seen.long += expectRatio(ratio, 1 / 8);
      else {
        seen.blended++;
        expect(ratio).toBeGreaterThan(1 / 8);
        expect(ratio).toBeLessThan(1);
        expect(scaled[i]).toBeLessThan(scaled[i - 1]); // still falling
      }
    });
    expect(seen.short + seen.blended + seen.long).toBe(64);
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
  });

  test("llama3 in the middle of the blend, by hand", () => {
    // theta 4 with two pairs: speeds 1 and 1/2; wavelengths 2π and 4π
    const originalContext = 4 * Math.PI * 2.5; // the second pair turns 2.5 times: half-way between 1 and 4
    const spec = tinySpec({ headDim: 4, theta: 4, ropeScaling: { ...SCALING, originalContext } });
    const [first, second] = inverseFrequencies(spec);
    expect(first).toBeCloseTo(1, 12); // 5 turns
    expect(second).toBeCloseTo(0.5 * (0.5 + 0.5 / 8), 12);
  });
});

function expectRatio(actual: number, expected: number): 1 {
  expect(actual).toBeCloseTo(expected, 12);
  return 1;
}

describe("tables", () => {
  test.each([
    ["plain", tinySpec({ headDim: 16, context: 300 })],
    [
      "llama3",
      tinySpec({ headDim: 32, context: 300, theta: 500_000, ropeScaling: { ...SCALING, originalContext: 64 } }),
    ],
  ])("%s: cosines and sines of every position and pair", (_name, spec) => {
    const half = spec.headDim / 2;
    const { cos, sin } = ropeTables(spec);
    expect([cos.length, sin.length]).toEqual([300 * half, 300 * half]);
    let worst = 0;
    for (let position = 0; position < 300; position++) {
      for (let i = 0; i < half; i++) {
        const angle = position * angularSpeed(i, half, spec.rope);
        worst = Math.max(
          worst,
          Math.abs(cos[position * half + i] - Math.cos(angle)),
          Math.abs(sin[position * half + i] - Math.sin(angle)),
        );
      }
    }
    expect(worst).toBeLessThan(300 * 2 ** -23); // the angle is rounded to fp32, as transformers does
  });

  test("far positions follow transformers' fp32 angles, not the exact ones", () => {
    const spec = tinySpec({ headDim: 16, theta: 10_000, context: 100_001 });
    const speed = Math.fround(0.01); // of pair 4 of 8
    const { cos } = ropeTables(spec);
    expect(cos[8 * 99_999 + 4]).toBe(Math.fround(Math.cos(Math.fround(99_999 * speed))));
  });

  test("heads that are filled up to 16 have rows of 8, with the model's own pairs first", () => {
    const spec = tinySpec({ headDim: 6, context: 5 });
    const { cos, sin } = ropeTables(spec);
    expect([cos.length, sin.length]).toEqual([40, 40]);
    for (let i = 0; i < 3; i++) expect(cos[8 * 4 + i]).toBeCloseTo(Math.cos(4 * angularSpeed(i, 3, spec.rope)), 6);
  });
});
