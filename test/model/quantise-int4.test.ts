import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { quantiseRows } from "../../src/model/kernels/quantise.js";
import { uniform } from "../support/numbers.js";

const BLOCK = 32;

function random(seed: number, length: number, spread = 1): Float32Array {
  const next = uniform(seed);
  return Float32Array.from({ length }, () => (next() - 0.5) * spread);
}

/** [out · blocks · 32] what the operator makes of packed codes without zero points: the low half of a byte comes first */
function restore({ codes, scales }: { codes: Uint8Array; scales: Float32Array }): number[] {
  const halves = Array.from(codes, (byte) => [byte & 15, byte >> 4]).flat();
  return halves.map((code, i) => (code - 8) * scales[Math.floor(i / BLOCK)]);
}

/** Straight from the definition: the greatest magnitude is -8 steps, every other weight the nearest step from -8 to 7. */
function naive(block: number[]): { codes: number[]; scale: number } {
  const extreme = block.reduce((most, w) => (Math.abs(w) > Math.abs(most) ? w : most), 0);
  const scale = Math.fround(extreme / -8);
  const nearest = (w: number) =>
    Array.from({ length: 16 }, (_, code) => code).reduce((best, code) =>
      Math.abs((code - 8) * scale - w) < Math.abs((best - 8) * scale - w) ? code : best,
    );
  return { codes: block.map((w) => (scale === 0 ? 8 : nearest(w))), scale };
}

const SHAPES: [number, number][] = [
  [1, 32],
  [3, 64],
  [5, 40],
  [4, 31],
  [2, 33],
  [7, 1],
];

describe("4-bit blocks", () => {
  test.each(SHAPES)("%i rows of %i: as the definition says, two codes to a byte", (out, inner) => {
    const weights = random(out * 100 + inner, out * inner);
    const { codes, scales } = quantiseRows(weights, out, inner, 4, BLOCK);
    const expected: number[] = [];
    const steps: number[] = [];
    for (let row = 0; row < out; row++) {
      for (let from = 0; from < inner; from += BLOCK) {
        const block = Array.from({ length: BLOCK }, (_, i) => (from + i < inner ? weights[row * inner + from + i] : 0));
        const twin = naive(block);
        steps.push(twin.scale);
        for (let i = 0; i < BLOCK; i += 2) expected.push(twin.codes[i] + 16 * twin.codes[i + 1]);
      }
    }
    expect([...codes]).toEqual(expected);
    expect([...scales]).toEqual(steps);
  });

  test.each([1, -1, 3.7e-5, -2.5e8, 1e-30])(
    "the greatest magnitude, %d, is -8 steps and comes back exactly",
    (extreme) => {
      const weights = random(5, 32, Math.abs(extreme)); // all below half of it
      weights[17] = extreme;
      const quantised = quantiseRows(weights, 1, 32, 4, BLOCK);
      expect(quantised.codes[8] >> 4).toBe(0);
      expect(restore(quantised)[17]).toBe(weights[17]);
    },
  );

  test("no weight is off by more than half a step, but on the side where sixteen codes end early", () => {
    for (const spread of [1e-30, 1e-3, 1, 1e30]) {
      const weights = random(9, 4 * 64, spread);
      const quantised = quantiseRows(weights, 4, 64, 4, BLOCK);
      restore(quantised).forEach((restored, i) => {
        const step = quantised.scales[Math.floor(i / BLOCK)];
        const most = weights[i] / step > 7.5 ? 1 : 0.5;
        expect(Math.abs(restored - weights[i])).toBeLessThanOrEqual(most * Math.abs(step) * (1 + 1e-4));
      });
    }
  });

  test("both extremes in one block: the first is exact, the other one step short", () => {
    const weights = new Float32Array(32);
    weights[0] = 2;
    weights[31] = -2;
    const restored = restore(quantiseRows(weights, 1, 32, 4, BLOCK));
    expect([restored[0], Math.abs(restored[1]), restored[31]]).toEqual([2, 0, -1.75]);
  });

  test("a block of zeros, and one too small for a scale, are noughts; a neighbour is not touched", () => {
    const weights = random(3, 96);
    weights.fill(0, 0, 32);
    weights.fill(1e-45, 64, 96);
    const quantised = quantiseRows(weights, 1, 96, 4, BLOCK);
    const restored = restore(quantised);
    expect([...quantised.codes.subarray(0, 16)]).toEqual(new Array<number>(16).fill(0x88));
    expect(Math.max(...restored.slice(64).map(Math.abs))).toBeLessThanOrEqual(2e-45);
    expect(quantised.scales[1]).not.toBe(0);
  });

  test("codes and scales mean the same to ONNX Runtime", () => {
    const golden = JSON.parse(readFileSync(new URL("../fixtures/int4.json", import.meta.url), "utf8")) as {
      out: number;
      inner: number;
      weights: number[];
      input: number[];
      product: number[];
    };
    const { out, inner } = golden;
    const quantised = quantiseRows(Float32Array.from(golden.weights), out, inner, 4, BLOCK);
    const restored = restore(quantised);
    const padded = restored.length / out;
    golden.product.forEach((expected, row) => {
      const sum = golden.input.reduce((total, x, i) => total + x * restored[row * padded + i], 0);
      expect(sum).toBeCloseTo(expected, 4);
    });
  });

  test("another number of bits is refused", () => {
    expect(() => quantiseRows(new Float32Array(32), 1, 32, 3, BLOCK)).toThrow(RangeError);
  });
});
