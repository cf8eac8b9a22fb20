import { describe, expect, test } from "vitest";
import { quantiseRows } from "../../src/model/kernels/quantise.js";
import { uniform } from "../support/numbers.js";

const BLOCK = 32;

/** Straight from the definition: code 128 + k stands for k steps, a step is 1/127 of the block's greatest magnitude. */
function naive(weights: Float32Array, out: number, inner: number): { codes: number[]; scales: number[] } {
  const codes: number[] = [];
  const scales: number[] = [];
  for (let row = 0; row < out; row++) {
    for (let from = 0; from < inner; from += BLOCK) {
      const block = Array.from({ length: BLOCK }, (_, i) => (from + i < inner ? weights[row * inner + from + i] : 0));
      const step = Math.max(...block.map(Math.abs)) / 127;
      scales.push(Math.fround(step));
      codes.push(...block.map((w) => 128 + (step === 0 ? 0 : Math.round(w / step))));
    }
  }
  return { codes, scales };
}

function random(seed: number, length: number, spread = 1): Float32Array {
  const next = uniform(seed);
  return Float32Array.from({ length }, () => (next() - 0.5) * spread);
}

/** what MatMulNBits makes of codes without zero points */
const restore = ({ codes, scales }: { codes: Uint8Array; scales: Float32Array }) =>
  Array.from(codes, (code, i) => (code - 128) * scales[Math.floor(i / BLOCK)]);

const SHAPES: [number, number][] = [
  [1, 32],
  [3, 64],
  [5, 40],
  [4, 31],
  [2, 33],
  [7, 1],
];

describe("8-bit blocks", () => {
  test.each(SHAPES)("%i rows of %i: as the definition says, but for exact halves", (out, inner) => {
    const weights = random(out * 100 + inner, out * inner);
    const twin = naive(weights, out, inner);
    const { codes, scales } = quantiseRows(weights, out, inner, 8, BLOCK);
    expect([...scales]).toEqual(twin.scales);
    expect([...codes]).toEqual(twin.codes);
  });

  test.each(SHAPES)("%i rows of %i: no weight is off by more than half a step", (out, inner) => {
    for (const spread of [1e-30, 1e-3, 1, 1e30]) {
      const weights = random(out + inner, out * inner, spread);
      const quantised = quantiseRows(weights, out, inner, 8, BLOCK);
      const restored = restore(quantised);
      const padded = Math.ceil(inner / BLOCK) * BLOCK;
      for (let row = 0; row < out; row++) {
        for (let i = 0; i < inner; i++) {
          const step = quantised.scales[Math.floor((row * padded + i) / BLOCK)];
          const error = Math.abs(restored[row * padded + i] - weights[row * inner + i]);
          expect(error).toBeLessThanOrEqual(0.5 * step * (1 + 1e-4)); // fp32 roundings of 127 steps
        }
      }
    }
  });

  test("a block of zeros has scale 0 and the code of nought; its neighbours are not touched", () => {
    const weights = random(3, 96);
    weights.fill(0, 32, 64);
    const { codes, scales } = quantiseRows(weights, 1, 96, 8, BLOCK);
    expect(scales[1]).toBe(0);
    expect([...codes.subarray(32, 64)]).toEqual(new Array<number>(32).fill(128));
    expect(scales[0]).toBeGreaterThan(0);
    expect(scales[2]).toBeGreaterThan(0);
  });

  test("a short last block ends in the code of nought, and reads nothing of the next row", () => {
    const weights = random(4, 2 * 40, 0.01);
    weights[40] = 1000; // the next row's first
    const { codes, scales } = quantiseRows(weights, 2, 40, 8, BLOCK);
    expect(scales[1]).toBeLessThan(1e-4);
    expect([...codes.subarray(32 + 8, 64)]).toEqual(new Array<number>(24).fill(128));
  });

  test("the greatest magnitude becomes 127 steps, whichever its sign", () => {
    for (const extreme of [1, -1, 3.7e-5, -2.5e8]) {
      const weights = random(5, 32, Math.abs(extreme)); // all below half of it
      weights[17] = extreme;
      const { codes, scales } = quantiseRows(weights, 1, 32, 8, BLOCK);
      expect(codes[17]).toBe(128 + 127 * Math.sign(extreme));
      expect(scales[0]).toBe(Math.fround(Math.abs(weights[17]) / 127));
    }
  });

  test("both extremes in one block", () => {
    const weights = new Float32Array(32);
    weights[0] = 2;
    weights[31] = -2;
    const { codes } = quantiseRows(weights, 1, 32, 8, BLOCK);
    expect([codes[0], codes[1], codes[31]]).toEqual([255, 128, 1]);
  });

  test("weights too small for a scale of their own become noughts, not rubbish", () => {
    const { codes, scales } = quantiseRows(new Float32Array(32).fill(1e-45), 1, 32, 8, BLOCK);
    const restored = restore({ codes, scales });
    expect(Math.max(...restored.map(Math.abs))).toBeLessThanOrEqual(2e-45);
  });

  test("another number of bits is refused", () => {
    expect(() => quantiseRows(new Float32Array(32), 1, 32, 5, BLOCK)).toThrow(RangeError);
  });
});
