/** How much of a model is made up to be timed. Sizes are added up here by hand, from published figures. */
import { describe, expect, test } from "vitest";
import type { ModelSpec } from "../../src/model/spec.js";
import { chooseSlice, memoryNeeded, weightSizes } from "../../src/model/synthetic/slice.js";
import { failureOf } from "../support/failure.js";
import { tinySpec } from "../support/tiny-checkpoint.js";

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const CAPACITY = 4113;

/** Llama-3.1-8B */
const llama8b: ModelSpec = {
  ...tinySpec({ layers: 32, hidden: 4096, intermediate: 14336, heads: 32, kvHeads: 8, vocab: 128256, tied: false }),
  contextLimit: 131072,
  rope: {
    theta: 500000,
    scaling: { type: "llama3", factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 8192 },
  },
};
/** Qwen3-4B */
const qwen4b: ModelSpec = {
  ...tinySpec({ architecture: "qwen3", layers: 36, hidden: 2560, intermediate: 9728, heads: 32, kvHeads: 8 }),
  ...{ headDim: 128, vocabSize: 151936, contextLimit: 40960, tiedEmbeddings: true },
};
/** numbers in a layer's matrices */
const layerNumbers = ({ hiddenSize: h, intermediateSize: m, heads, kvHeads, headDim }: ModelSpec) =>
  h * headDim * (2 * heads + 2 * kvHeads) + 3 * h * m;
/** int8: a byte a number and a float every 32 */
const INT8_BYTES = 1 + 4 / 32;
const choose = (spec: ModelSpec, memoryBytes: number, cacheBytes = 32 * MIB) =>
  chooseSlice(spec, { memoryBytes, cacheBytes, capacity: CAPACITY }, "config.json");

describe("sizes", () => {
  test.each([
    ["Llama-3.1-8B", llama8b],
    ["Qwen3-4B", qwen4b],
  ])("of %s are those of its matrices, in fp32 and int8", (_name, spec) => {
    const short = { ...spec, contextLimit: CAPACITY };
    const { total, smallestLayer, largestMatrix } = weightSizes(short);
    expect(smallestLayer).toBe(layerNumbers(spec) * INT8_BYTES);
    const table = spec.vocabSize * spec.hiddenSize;
    const matrices = spec.layers * layerNumbers(spec) + table;
    const expected = matrices * (4 + INT8_BYTES) + (spec.tiedEmbeddings ? 0 : 4 * table);
    expect(Math.abs(total / expected - 1)).toBeLessThan(1e-3); // norms and rotary tables come on top
    expect(largestMatrix).toBe(4 * table);
  });

  test("memory is the weights twice, once mapped and once packed, and the KV cache", () => {
    const spec = { ...llama8b, layers: 2, vocabSize: 8192, contextLimit: CAPACITY };
    const cache = 2 * 2 * 8 * CAPACITY * 128 * 4;
    expect(memoryNeeded(spec, CAPACITY) - 2 * weightSizes(spec).total - cache).toBe(512 * MIB);
  });
});

describe("what is made up", () => {
  test("is the whole model where it fits, with rotary tables as long as the cache", () => {
    const { spec, isWhole } = choose(llama8b, 100 * GIB);
    expect(isWhole).toBe(true);
    expect(spec).toEqual({ ...llama8b, contextLimit: CAPACITY });
  });

  test("of an 8B model on a 24 GiB machine is two layers and the same share of the head", () => {
    const { spec, isWhole, weightBytes, wholeBytes } = choose(llama8b, 24 * GIB);
    expect({ isWhole, layers: spec.layers, rows: spec.vocabSize }).toEqual({ isWhole: false, layers: 2, rows: 8192 });
    expect(weightBytes).toBe(weightSizes(spec).total);
    expect(wholeBytes).toBe(memoryNeeded({ ...llama8b, contextLimit: CAPACITY }, CAPACITY));
    expect(wholeBytes).toBeGreaterThan(70 * GIB);
    expect(memoryNeeded(spec, CAPACITY)).toBeLessThan(6 * GIB);
  });

  test.each([1, 16, 32, 96, 256].flatMap((mib) => [llama8b, qwen4b].map((spec) => ({ mib, spec }))))(
    "is at least two layers, and several times a cache of $mib MiB in its smallest form: $spec.architecture",
    ({ mib, spec }) => {
      const { spec: slice } = choose(spec, 24 * GIB, mib * MIB);
      expect(slice.layers).toBeGreaterThanOrEqual(2);
      expect(slice.layers * layerNumbers(spec) * INT8_BYTES).toBeGreaterThanOrEqual(4 * mib * MIB);
      const share = slice.layers / spec.layers;
      expect(slice.vocabSize).toBeGreaterThanOrEqual(share * spec.vocabSize);
      expect(slice.vocabSize - share * spec.vocabSize).toBeLessThanOrEqual(1024);
      expect({ ...slice, layers: 0, vocabSize: 0, contextLimit: 0 }).toEqual({
        ...{ ...spec, layers: 0, vocabSize: 0, contextLimit: 0 },
      });
    },
  );

  test("is refused where not even a slice fits, and the message says how much it needs", async () => {
    const failure = await failureOf(() => choose(llama8b, 5 * GIB));
    expect({ code: failure.code, exit: failure.exitCode, at: failure.at }).toEqual({
      ...{ code: "OUT_OF_MEMORY", exit: 4, at: "config.json" },
    });
    expect(failure.what).toMatch(/a slice of 2 of 32 layers would take about 5\.3 GiB, and 5\.0 GiB may be used/);
    expect(failure.remedy).toMatch(/--memory/);
  });

  test("is refused where a slice that a cache could not hold would be all layers", async () => {
    const failure = await failureOf(() => choose(tinySpec({ layers: 12 }), 100 * MIB));
    expect(failure.what).toMatch(/^its 12 layers would take/);
  });
});

describe("a model whose layers differ", () => {
  const layerWindows = Array.from({ length: 36 }, (_, layer) => (layer % 6 === 5 ? null : 1024));

  test("is cut to whole repetitions of its pattern", () => {
    const { spec, isWhole } = choose({ ...qwen4b, layerWindows }, 12 * GIB);
    expect(isWhole).toBe(false);
    expect(spec.layers % 6).toBe(0);
    expect(spec.layers).toBeGreaterThanOrEqual(choose(qwen4b, 12 * GIB).spec.layers);
    expect(spec.layers).toBeLessThan(36);
    expect(spec.layerWindows).toEqual(layerWindows.slice(0, spec.layers));
  });

  test("of no pattern is built whole, or not at all", () => {
    const windows = layerWindows.map((window, layer) => (layer === 7 ? null : window));
    const failure = failureOf(() => choose({ ...qwen4b, layerWindows: windows }, 12 * GIB));
    return expect(failure).resolves.toMatchObject({ code: "OUT_OF_MEMORY" });
  });
});
