/** The simulated kernel's numbers: K-means and the product as NumPy has them, and the levels against trying all there are. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Branch } from "../../src/model/graph/branch.js";
import { CPU_DIALECT } from "../../src/model/graph/dialect.js";
import { encodeModel, FLOAT, value } from "../../src/model/graph/onnx.js";
import { kMeans, nearestLevel } from "../../src/model/kernels/k-means.js";
import { oasis, outliersAtEachEnd, roundedWeights } from "../../src/model/kernels/oasis.js";
import { writeWeights } from "../../src/model/weight-file.js";
import { CPU_NUMERICS } from "../../src/schema/numerics.js";
import { openGraph, zeros } from "../support/graph-session.js";
import { uniform } from "../support/numbers.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

interface Product {
  tokens: number;
  out: number;
  inner: number;
  weights: number[];
  input: number[];
  input_levels: number[];
  rounded_weights: number[];
  product: number[];
}
const golden = JSON.parse(readFileSync(new URL("../fixtures/oasis.json", import.meta.url), "utf8")) as {
  k_means: { count: number; values: number[]; levels: number[] }[];
  products: Product[];
};

const near = (actual: ArrayLike<number>, expected: ArrayLike<number>, within: number) => {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) expect(Math.abs(actual[i] - expected[i]), `at ${i}`).toBeLessThan(within);
};

describe("K-means", () => {
  test.each(golden.k_means)("of $count levels: NumPy's", ({ count, values, levels }) => {
    const given = Float32Array.from(values);
    near(kMeans(given, count), levels, 1e-9);
    expect([...given]).toEqual([...Float32Array.from(values)]);
  });

  test("a value belongs to its nearest level, the lower one on a tie", () => {
    const levels = Float64Array.of(-2, 0, 1, 5);
    expect([-9, -1, -0.9, 0.5, 0.51, 3, 3.01, 9].map((one) => nearestLevel(levels, one))).toEqual([
      -2, -2, 0, 0, 1, 1, 5, 5,
    ]);
  });

  test("it can only walk to what is near: no better than the best of all partings, and seldom much worse", () => {
    const ratios = Array.from({ length: 30 }, (_, seed) => {
      const next = uniform(seed + 50);
      const values = Float32Array.from({ length: 14 }, () => (next() + next() + next() - 1.5) ** 3);
      const levels = kMeans(values, 3);
      const found = values.reduce((sum, v) => sum + (v - nearestLevel(levels, v)) ** 2, 0);
      return found / leastError(values, 3);
    });
    for (const ratio of ratios) expect(ratio).toBeGreaterThan(1 - 1e-6);
    expect(ratios.filter((ratio) => ratio < 1.001).length).toBeGreaterThan(10);
  });
});

/** Of all ways to part the sorted values into so many runs, each rounded to its mean. */
function leastError(values: Float32Array, count: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const spread = (part: number[]) => {
    const mean = part.reduce((a, b) => a + b, 0) / part.length;
    return part.reduce((sum, v) => sum + (v - mean) ** 2, 0);
  };
  const best = (from: number, parts: number): number => {
    if (parts === 1) return spread(sorted.slice(from));
    let least = Number.POSITIVE_INFINITY;
    for (let to = from + 1; to <= sorted.length - parts + 1; to++)
      least = Math.min(least, spread(sorted.slice(from, to)) + best(to, parts - 1));
    return least;
  };
  return best(0, count);
}

describe("a product", () => {
  test.each(golden.products)("of $out x $inner: weights are rounded as NumPy rounds them", (subject) => {
    const { out, inner, weights, rounded_weights } = subject;
    near(roundedWeights(Float32Array.from(weights), out, inner), rounded_weights, 1e-6);
  });

  test.each(golden.products)(
    "of $out x $inner in ONNX Runtime: NumPy's in float64, outliers in full",
    async (subject) => {
      const { tokens, out, inner, input, product } = subject;
      near(await productOf(subject), product, 2e-4);
      // and it is not the plain product, nor that without outliers
      const plain = Array.from({ length: tokens * out }, (_, i) => {
        const [t, row] = [Math.floor(i / out), i % out];
        return subject.weights
          .slice(row * inner, (row + 1) * inner)
          .reduce((sum, w, k) => sum + w * input[t * inner + k], 0);
      });
      expect(Math.max(...plain.map((v, i) => Math.abs(v - product[i])))).toBeGreaterThan(0.1);
    },
  );

  test("outliers are half a percent at each end, one at least, and never all", () => {
    expect([1, 2, 3, 64, 260, 576, 1536].map(outliersAtEachEnd)).toEqual([0, 0, 1, 1, 1, 3, 8]);
  });

  test("without levels of the inputs nothing is written", () => {
    const matrix = { label: "m", out: 1, inner: 4, read: () => new Float32Array(4) };
    const [, bounds] = oasis.weights(matrix, CPU_NUMERICS);
    expect(() => bounds.bytes()).toThrow(/levels of the inputs of m/);
  });
});

/** [tokens, out] */
async function productOf({ tokens, out, inner, weights, input, input_levels }: Product): Promise<Float32Array> {
  const folder = temporaryFolder();
  const matrix = { label: "m.oasis", out, inner, read: () => Float32Array.from(weights) };
  const inputLevels = () => Float64Array.from(input_levels);
  const parts = () => oasis.weights({ ...matrix, inputLevels }, CPU_NUMERICS);
  expect(parts().reduce((sum, { dims }) => sum + 4 * dims.reduce((a, b) => a * b, 1), 0)).toBe(
    oasis.bytes(out, inner, CPU_NUMERICS),
  );
  const places = await writeWeights(join(folder, "w.bin"), { parts, written: async () => {} });
  const branch = new Branch("product", { file: "w.bin", places, dialect: CPU_DIALECT });
  const y = oasis.emit(branch, { input: "x", label: matrix.label, out, inner, bias: null, output: "y" });
  const graph = branch.graph([value(y, FLOAT, [1, tokens, out])], [value("x", FLOAT, [1, tokens, inner])]);
  const path = join(folder, "product.onnx");
  writeFileSync(path, encodeModel(graph, "1", CPU_DIALECT.opset));
  const session = openGraph(path);
  const x = zeros([1, tokens, inner]);
  x.data.set(input as never);
  const result = zeros([1, tokens, out]);
  session.run({ x }, { [y]: result });
  session.close();
  return result.data as Float32Array;
}
