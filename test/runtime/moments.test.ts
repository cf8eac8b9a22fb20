/** Moments of what goes into every matrix, against the twin in float64; and what is stored by them. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { weightParts } from "../../src/model/graph/weights.js";
import { fitRows } from "../../src/model/kernels/fit.js";
import { kMeans } from "../../src/model/kernels/k-means.js";
import { groupsFor, type MomentsOf, readMoments } from "../../src/model/moments-file.js";
import { openCheckpoint } from "../../src/model/open.js";
import type { Checkpoint } from "../../src/model/spec.js";
import { learnLevels } from "../../src/runtime/fit/levels.js";
import { measureMoments } from "../../src/runtime/fit/moments.js";
import { loadModel } from "../../src/runtime/load.js";
import { targetChoices } from "../../src/schema/choice.js";
import { CPU_NUMERICS } from "../../src/schema/numerics.js";
import { forward } from "../oracle/transformer.js";
import { temporaryFolder, tinySpec, tinyTensors, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { tokens } from "./support.js";

const MODEL = { seed: 5, layers: 2, hidden: 64, heads: 4, kvHeads: 2, headDim: 16, intermediate: 96, tied: true };
const SPEC = tinySpec(MODEL);
const SEQUENCES = [tokens(1, 12), tokens(2, 12)];
const folder = writeTinyCheckpoint(temporaryFolder(), MODEL);
const tensors = tinyTensors(MODEL);
const tensor = (name: string): ArrayLike<number> => {
  const found = tensors.get(name);
  if (found === undefined) throw new Error(name);
  return found.values;
};

type Vector = number[];
const normed = (x: Vector, weight: ArrayLike<number>): Vector => {
  const scale = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + SPEC.rmsEps);
  return x.map((v, i) => v * scale * weight[i]);
};
const times = (x: Vector, matrix: ArrayLike<number>, out: number): Vector =>
  Array.from({ length: out }, (_, r) => x.reduce((sum, v, i) => sum + v * matrix[r * x.length + i], 0));

/** What goes into a matrix at every token of every text. */
function inputsOf(matrix: string): Vector[] {
  return SEQUENCES.flatMap((ids) => {
    const { states, hidden } = forward(SPEC, tensor, ids);
    if (matrix === "head") return hidden.map((x) => normed(x, tensor("model.norm.weight")));
    const [layer, , part] = matrix.split(".");
    const at = `model.layers.${layer}`;
    if (part === "qkv") return states[2 * Number(layer)].map((x) => normed(x, tensor(`${at}.input_layernorm.weight`)));
    if (part === "out") {
      // with an identity for its projection a block adds what goes into it
      const identity = Float32Array.from({ length: 64 * 64 }, (_, i) => (i % 65 === 0 ? 1 : 0));
      const bare = forward(SPEC, (name) => (name === `${at}.self_attn.o_proj.weight` ? identity : tensor(name)), ids);
      const [before, after] = [0, 1].map((b) => bare.states[2 * Number(layer) + b]);
      return after.map((x, t) => x.map((v, i) => v - before[t][i]));
    }
    const into = states[2 * Number(layer) + 1].map((x) => normed(x, tensor(`${at}.post_attention_layernorm.weight`)));
    if (part === "gate_up") return into;
    const [gate, up] = ["gate", "up"].map((p) => into.map((x) => times(x, tensor(`${at}.mlp.${p}_proj.weight`), 96)));
    return gate.map((g, t) => g.map((v, i) => (v / (1 + Math.exp(-v))) * up[t][i]));
  });
}

describe("moments of a model's matrices", () => {
  let checkpoint: Checkpoint;
  let moments: MomentsOf;
  beforeAll(async () => {
    checkpoint = await openCheckpoint(folder);
    moments = await measureMoments(checkpoint, SEQUENCES, temporaryFolder(), { threads: 1 });
  });
  afterAll(() => checkpoint?.close());

  test.each(["0.attn.qkv", "0.attn.out", "0.mlp.gate_up", "0.mlp.down", "1.attn.qkv", "1.mlp.down", "head"])(
    "of %s are those of the twin's inputs",
    (matrix) => {
      const place = moments(matrix);
      if (place === undefined) throw new Error(`${matrix} has none`);
      const { inner, group, values } = readMoments(place);
      const inputs = inputsOf(matrix);
      expect([inner, group]).toEqual([inputs[0].length, inputs[0].length]);
      for (let i = 0; i < inner; i += 7)
        for (let j = 0; j < inner; j += 5) {
          const expected = inputs.reduce((sum, x) => sum + x[i] * x[j], 0) / inputs.length;
          expect(Math.abs(values[i * inner + j] - expected)).toBeLessThan(1e-4 * (1 + Math.abs(expected)));
        }
    },
  );

  test("decide what is stored, int4 and int8", () => {
    const parts = [...weightParts(checkpoint, ["int8", "int4"], { ...CPU_NUMERICS, scales: "fitted" }, { moments })];
    const place = moments("1.mlp.down");
    if (place === undefined) throw new Error("no place");
    const weights = Float32Array.from(tensor("model.layers.1.mlp.down_proj.weight"));
    for (const bits of [8, 4] as const) {
      const made = fitRows(weights, [64, 96], bits, 32, "fp32", readMoments(place));
      const part = parts.find(({ name }) => name === `1.mlp.down.int${bits}.codes`);
      expect(part?.bytes()).toEqual(made.codes);
    }
  });
});

test("levels of a matrix's inputs are those of the twin's: outliers left out, by the greatest magnitude of the rest", async () => {
  const checkpoint = await openCheckpoint(folder);
  const levels = await learnLevels(checkpoint, SEQUENCES, temporaryFolder(), { threads: 1 });
  checkpoint.close();
  for (const matrix of ["0.attn.qkv", "1.mlp.down", "head"]) {
    const shares = inputsOf(matrix).flatMap((x) => {
      const rest = x.toSorted((a, b) => a - b).slice(1, -1); // half a percent of 64 or 96 is none, and one it is at least
      const greatest = Math.max(...rest.map(Math.abs));
      return rest.map((v) => v / greatest);
    });
    const expected = kMeans(Float32Array.from(shares), 16);
    const found = levels(matrix) as Float64Array;
    expect(found).toHaveLength(16);
    found.forEach((level, k) => expect(Math.abs(level - expected[k]), `${matrix} ${k}`).toBeLessThan(1e-4));
  }
  expect(levels("2.attn.qkv")).toBeUndefined();
});

test("a model that is fitted is another entry of the cache, measured once; its target is the same to the bit", async () => {
  let asked = 0;
  const fitTo = {
    sha256: "a text",
    async sequences() {
      asked++;
      return SEQUENCES;
    },
  };
  const options = { provider: "cpu", threads: 1, kernels: ["target", "int4"] as const };
  const rounded = await loadModel(folder, options);
  const fitted = await loadModel(folder, { ...options, fitTo });
  const again = await loadModel(folder, { ...options, fitTo });
  try {
    expect(asked).toBe(1);
    const pass = { position: 0, input: SEQUENCES[0], logitRows: 1 };
    const run = ({ engine }: typeof rounded, head: "target" | "int4") =>
      engine.run({ ...pass, choices: { ...targetChoices(2), head } }).logits.slice();
    expect(run(fitted, "target")).toEqual(run(rounded, "target"));
    expect(run(fitted, "int4")).not.toEqual(run(rounded, "int4"));
    expect(run(again, "int4")).toEqual(run(fitted, "int4"));
    expect(fitted.engine.numerics.scales).toBe("fitted");
  } finally {
    for (const model of [rounded, fitted, again]) model.close();
  }
});

test("the larger a model, the fewer inputs are looked at together; always whole blocks, or all", () => {
  const small = groupsFor({
    ...SPEC,
    layers: 30,
    hiddenSize: 576,
    heads: 9,
    kvHeads: 3,
    headDim: 64,
    intermediateSize: 1536,
    vocabSize: 49152,
  });
  expect([576, 1536].map(small)).toEqual([576, 1536]);
  const large = groupsFor({
    ...SPEC,
    layers: 32,
    hiddenSize: 4096,
    heads: 32,
    kvHeads: 8,
    headDim: 128,
    intermediateSize: 14336,
    vocabSize: 128256,
  });
  expect([4096, 14336].map(large)).toEqual([32, 32]);
  expect(large(40)).toBe(40);
});
