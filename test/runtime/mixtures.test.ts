/** Mixtures of experts beyond the goldens (test/model/architectures.test.ts): layouts of folders, kernels, what is read, sizes. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { convertInto } from "../../src/model/convert.js";
import { expectedTensors } from "../../src/model/formats/tensors.js";
import { CPU_DIALECT } from "../../src/model/graph/dialect.js";
import { weightBytes } from "../../src/model/graph/matrices.js";
import { weightParts } from "../../src/model/graph/weights.js";
import { type MomentsOf, type MomentsPlace, readMoments } from "../../src/model/moments-file.js";
import { openCheckpoint, openConfigOnly } from "../../src/model/open.js";
import { activeParametersOf, parametersOf } from "../../src/model/parameters.js";
import type { Experts, ModelSpec, WeightSource } from "../../src/model/spec.js";
import type { Engine } from "../../src/runtime/engine.js";
import { measureMoments } from "../../src/runtime/fit/moments.js";
import { loadModel } from "../../src/runtime/load.js";
import { openOrtEngine } from "../../src/runtime/ort-engine.js";
import { type Kernel, uniformChoices } from "../../src/schema/choice.js";
import { forward } from "../oracle/transformer.js";
import { CASES, tensorValues, writeFolder } from "../support/architectures.js";
import { expectFailure } from "../support/failure.js";
import { safetensorsBytes } from "../support/safetensors-bytes.js";
import { type TinyModel, temporaryFolder, tinySpec, tinyTensors } from "../support/tiny-checkpoint.js";
import { greatestDifference, tokens } from "./support.js";

const MIXTRAL = CASES.find(({ name }) => name === "mixtral") as (typeof CASES)[number];
const KERNELS = ["target", "int8", "int4", "int2"] as const satisfies readonly Kernel[];
const TEXT = tokens(11, 9);

const bytesOf = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** The tensors of the golden under transformers' own names in memory: all experts in one, gate above up. */
function joined(change: Record<string, readonly number[] | undefined> = {}): string {
  const folder = join(temporaryFolder(), "tiny");
  mkdirSync(folder);
  writeFileSync(join(folder, "config.json"), JSON.stringify(MIXTRAL.config));
  const stored = new Map<string, { dtype: string; shape: readonly number[]; bytes: Uint8Array }>();
  const valuesOf = (name: string) => bytesOf(tensorValues(name, MIXTRAL.tensors[name], 0));
  for (const [name, shape] of Object.entries(MIXTRAL.tensors))
    if (!name.includes(".experts."))
      stored.set(name.replace("block_sparse_moe", "mlp"), { dtype: "F32", shape, bytes: valuesOf(name) });
  for (let layer = 0; layer < 3; layer++) {
    const all = (matrices: readonly string[]) =>
      Buffer.concat(
        Array.from({ length: 6 }, (_, expert) =>
          matrices.map((w) => valuesOf(`model.layers.${layer}.block_sparse_moe.experts.${expert}.${w}.weight`)),
        ).flat(),
      );
    const at = `model.layers.${layer}.mlp.experts`;
    stored.set(`${at}.gate_up_proj`, { dtype: "F32", shape: [6, 96, 32], bytes: all(["w1", "w3"]) });
    stored.set(`${at}.down_proj`, { dtype: "F32", shape: [6, 32, 48], bytes: all(["w2"]) });
  }
  for (const [name, shape] of Object.entries(change)) {
    const size = (shape ?? []).reduce((product, n) => product * n, 4);
    if (shape !== undefined) stored.set(name, { dtype: "F32", shape, bytes: new Uint8Array(size) });
  }
  writeFileSync(join(folder, "model.safetensors"), safetensorsBytes(stored));
  return folder;
}

describe("folders whose experts are in one tensor", () => {
  test("are the model of those with a tensor each, number for number", async () => {
    const [apart, whole] = [await openCheckpoint(writeFolder(MIXTRAL)), await openCheckpoint(joined())];
    expect(whole.architectureSha256).toBe(apart.architectureSha256);
    for (const [name, shape] of expectedTensors(apart.spec))
      expect(greatestDifference(whole.tensor(name, shape), apart.tensor(name, shape)), name).toBe(0);
    for (const checkpoint of [apart, whole]) checkpoint.close();
  });

  test("are refused where an expert is there twice, or one is missing", async () => {
    const twice = joined({ "model.layers.1.block_sparse_moe.experts.2.w3.weight": [48, 32] });
    await expectFailure(() => openCheckpoint(twice), "CHECKPOINT_CORRUPT", /experts\.2\.up_proj\.weight/);
    const fewer = joined({ "model.layers.0.mlp.experts.down_proj": [5, 32, 48] });
    await expectFailure(() => openCheckpoint(fewer), "TENSOR_SHAPE", /\[5, 32, 48\].*\[6, 32, 48\]/);
  });
});

/** A model without mixtures, and the same with every MLP as so many experts. */
const DENSE: TinyModel = { seed: 21, headDim: 16, hidden: 64, intermediate: 96, vocab: 64 };
const sourceOf = (spec: ModelSpec, tensor: (name: string) => Float32Array): WeightSource => ({ spec, tensor });

function alike(experts: Experts): { dense: WeightSource; mixture: WeightSource } {
  const tensors = tinyTensors(DENSE);
  const routers = tinyTensors({ ...DENSE, seed: 22, variations: { experts } });
  const valuesOf = (name: string) => tensors.get(name.replace(/\.experts\.\d+\./, "."))?.values;
  const spec = tinySpec({ ...DENSE, variations: { experts } });
  return {
    dense: sourceOf(tinySpec(DENSE), (name) => (valuesOf(name) as Float32Array).slice()),
    mixture: sourceOf(spec, (name) =>
      Float32Array.from(valuesOf(name) ?? (routers.get(name) as { values: Float32Array }).values),
    ),
  };
}

async function open(source: WeightSource): Promise<Engine> {
  const { modelPath } = await convertInto(temporaryFolder(), source, silentProgress, KERNELS, CPU_DIALECT);
  return openOrtEngine(modelPath, source.spec, { provider: "cpu", threads: 1, capacity: 32, kernels: KERNELS });
}

const logitsOf = (engine: Engine, kernel: Kernel, ids: readonly number[]) =>
  engine
    .run({ position: 0, input: [...ids], choices: uniformChoices(2, kernel), logitRows: ids.length })
    .logits.slice();

// above 16 they lie in groups of 4, the last of which is not full
test.each([5, 19])("a mixture of %i equal experts is the one MLP, in every kernel", async (count) => {
  const { dense, mixture } = alike({ count, perToken: 2, normalised: true });
  const [one, many] = [await open(dense), await open(mixture)];
  // shares that sum to 1 but for rounding: nothing else differs
  for (const kernel of KERNELS)
    expect(greatestDifference(logitsOf(many, kernel, TEXT), logitsOf(one, kernel, TEXT)), kernel).toBeLessThan(1e-4);
  for (const engine of [one, many]) engine.close();
});

test("a pass over several tokens is what passes over one each are", async () => {
  const { mixture } = alike({ count: 6, perToken: 3, normalised: false });
  const engine = await open(mixture);
  const { vocabSize } = mixture.spec;
  for (const kernel of KERNELS) {
    const whole = logitsOf(engine, kernel, TEXT);
    for (const [position, id] of TEXT.entries()) {
      const row = engine.run({ position, input: [id], choices: uniformChoices(2, kernel), logitRows: 1 }).logits;
      const wanted = whole.subarray(position * vocabSize, (position + 1) * vocabSize);
      expect(greatestDifference(row, wanted), `${kernel} ${position}`).toBeLessThan(1e-4);
    }
  }
  engine.close();
});

test.each([6, 19])("of a token's pass the weights of its experts alone are read, of %i", async (count) => {
  const experts = { count, perToken: 2, normalised: true };
  const model = { ...DENSE, seed: 23, variations: { experts } };
  const tensors = tinyTensors(model);
  const read = (name: string) => tensors.get(name)?.values as Float32Array;
  const [id] = TEXT;
  // by the twin: what a layer's router sees, and whom it chooses
  const { states, logits } = forward(tinySpec(model), read, [id]);
  const chosen = [0, 1].map((layer) => {
    const x = states[2 * layer + 1][0];
    const scale = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + 1e-5);
    const norm = read(`model.layers.${layer}.post_attention_layernorm.weight`);
    const router = read(`model.layers.${layer}.mlp.gate.weight`);
    const scores = Array.from({ length: count }, (_, e) =>
      x.reduce((sum, v, i) => sum + v * scale * norm[i] * router[e * 64 + i], 0),
    );
    return scores
      .map((score, e) => [score, e])
      .sort((a, b) => b[0] - a[0])
      .slice(0, 2)
      .map(([, e]) => e);
  });
  const poisoned = (name: string) => {
    const [, layer, expert] = /layers\.(\d)\.mlp\.experts\.(\d+)/.exec(name) ?? [];
    return expert === undefined || chosen[Number(layer)].includes(Number(expert))
      ? read(name).slice()
      : new Float32Array(read(name).length).fill(Number.NaN);
  };
  const engine = await open(sourceOf(tinySpec(model), poisoned));
  expect(greatestDifference(logitsOf(engine, "target", [id]), logits[0])).toBeLessThan(2e-4);
  engine.close();
});

test("moments of an expert are of the rows that are sent to it", async () => {
  const { dense, mixture } = alike({ count: 4, perToken: 4, normalised: true });
  const sequences = [tokens(1, 10), tokens(2, 10)];
  const [one, many] = await Promise.all(
    [dense, mixture].map((source) => measureMoments(source, sequences, temporaryFolder(), { threads: 1 })),
  );
  // every row goes to every expert, so each has the moments of the one MLP
  const of = (moments: MomentsOf, matrix: string) => readMoments(moments(matrix) as MomentsPlace).values;
  for (const [layer, part] of [
    [0, "gate_up"],
    [0, "down"],
    [1, "down"],
  ])
    for (const expert of [0, 3]) {
      const [wanted, there] = [of(one, `${layer}.mlp.${part}`), of(many, `${layer}.mlp.${expert}.${part}`)];
      expect(Math.max(...wanted)).toBeGreaterThan(0.1);
      expect(greatestDifference(there, wanted)).toBeLessThan(1e-5);
    }
  const some = await measureMoments(
    alike({ count: 8, perToken: 1, normalised: true }).mixture,
    [tokens(1, 3)],
    temporaryFolder(),
    { threads: 1 },
  );
  // of eight experts three rows leave some without any: no error, and nothing of theirs to fit to
  const seen = Array.from({ length: 8 }, (_, expert) => Math.max(...of(some, `0.mlp.${expert}.down`)));
  expect(seen.filter((most) => most > 0).length).toBeLessThanOrEqual(3);
  expect(seen.filter((most) => most > 0).length).toBeGreaterThan(0);
  expect(seen.every((most) => most >= 0)).toBe(true);
});

test("bytes of a mixture are those of the matrices as they are written", async () => {
  const checkpoint = await openCheckpoint(writeFolder(MIXTRAL));
  const kernels = ["target", "int8", "int4"] as const;
  const said = weightBytes(checkpoint.spec, kernels);
  for (const kernel of kernels) {
    const written = [...weightParts(checkpoint, kernels)]
      .filter(({ name }) => name.startsWith("1.mlp.") && name.includes(`.${kernel}`))
      .reduce((sum, part) => sum + part.bytes().byteLength, 0);
    expect(said.mlp[kernel]).toBe(written);
  }
  checkpoint.close();
});

/** config.json of published models, the keys that count; and what their publishers say of their sizes. */
const PUBLISHED = {
  "Mixtral-8x7B": {
    config: {
      ...{ architectures: ["MixtralForCausalLM"], model_type: "mixtral", vocab_size: 32000, hidden_size: 4096 },
      ...{ intermediate_size: 14336, num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 8 },
      ...{ num_local_experts: 8, num_experts_per_tok: 2, rope_theta: 1e6, sliding_window: null },
    },
    billions: { all: 46.7, active: 12.9 }, // mistral.ai/news/mixtral-of-experts
  },
  "Qwen3-30B-A3B": {
    config: {
      ...{ architectures: ["Qwen3MoeForCausalLM"], model_type: "qwen3_moe", vocab_size: 151936, hidden_size: 2048 },
      ...{ intermediate_size: 6144, moe_intermediate_size: 768, num_hidden_layers: 48, num_attention_heads: 32 },
      ...{ num_key_value_heads: 4, head_dim: 128, num_experts: 128, num_experts_per_tok: 8, norm_topk_prob: true },
      ...{ decoder_sparse_step: 1, mlp_only_layers: [], use_sliding_window: false, rope_theta: 1e6 },
    },
    billions: { all: 30.5, active: 3.3 }, // huggingface.co/Qwen/Qwen3-30B-A3B
  },
};

function configFile(config: Record<string, unknown>): string {
  const path = join(temporaryFolder(), "config.json");
  writeFileSync(path, JSON.stringify(config));
  return path;
}

test.each(Object.entries(PUBLISHED))("%s has the parameters that its publisher says", (_name, { config, billions }) => {
  const spec = openConfigOnly(configFile(config));
  // one digit behind the point, which some round and some cut
  expect(Math.abs(parametersOf(spec) / 1e9 - billions.all)).toBeLessThan(0.1);
  expect(Math.abs(activeParametersOf(spec) / 1e9 - billions.active)).toBeLessThan(0.1);
});

test.each([
  ["ARCHITECTURE_UNSUPPORTED", /decoder_sparse_step/, { decoder_sparse_step: 2 }],
  ["ARCHITECTURE_UNSUPPORTED", /mlp_only_layers/, { mlp_only_layers: [0] }],
  ["CONFIG_INVALID", /200 of 128 experts/, { num_experts_per_tok: 200 }],
  ["CONFIG_INVALID", /num_experts/, { num_experts: 0 }],
  ["CONFIG_INVALID", /moe_intermediate_size/, { moe_intermediate_size: -1 }],
] as const)("%s %s", async (code, text, change) => {
  const path = configFile({ ...PUBLISHED["Qwen3-30B-A3B"].config, ...change });
  await expectFailure(() => openConfigOnly(path), code, text);
});

test("levels of what goes into experts are not learned, and that is said", async () => {
  const learnFrom = { sha256: "0".repeat(64), sequences: async () => [TEXT] };
  const options = { provider: "cpu", threads: 1, learnFrom };
  await expectFailure(() => loadModel(writeFolder(MIXTRAL), options), "NOT_YET_SUPPORTED", /--simulate/);
});
