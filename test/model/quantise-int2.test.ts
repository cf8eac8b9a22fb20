import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { quantiseRows } from "../../src/model/kernels/quantise.js";

const BLOCK = 32;
const golden = JSON.parse(readFileSync(new URL("../fixtures/int2.json", import.meta.url), "utf8")) as {
  out: number;
  inner: number;
  weights: number[];
  input: number[];
  codes: number[];
  scales: number[];
  product: number[];
};
const { out, inner } = golden;
const quantised = () => quantiseRows(Float32Array.from(golden.weights), out, inner, 2, BLOCK);

describe("2-bit blocks", () => {
  test("codes and scales are those that NumPy finds by the rule, four codes to a byte", () => {
    expect([...quantised().scales]).toEqual(golden.scales);
    expect([...quantised().codes]).toEqual(golden.codes);
  });

  test("codes and scales mean the same to ONNX Runtime", () => {
    const { codes, scales } = quantised();
    const restored = Array.from(codes, (byte) => [0, 2, 4, 6].map((shift) => (byte >> shift) & 3))
      .flat()
      .map((code, i) => (code - 2) * scales[Math.floor(i / BLOCK)]);
    const padded = restored.length / out;
    golden.product.forEach((expected, row) => {
      const sum = golden.input.reduce((total, x, i) => total + x * restored[row * padded + i], 0);
      expect(sum).toBeCloseTo(expected, 4);
    });
  });
});
