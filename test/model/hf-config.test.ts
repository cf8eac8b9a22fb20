import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ErrorCode } from "../../src/core/errors.js";
import { architectureSha256 } from "../../src/model/digest.js";
import { openConfigOnly } from "../../src/model/open.js";
import type { ModelSpec, RopeScaling } from "../../src/model/spec.js";
import { type ArchitectureCase, CASES } from "../support/architectures.js";
import { expectFailure } from "../support/failure.js";
import type { TinyModel } from "../support/tiny-checkpoint.js";
import { temporaryFolder, tinyConfig, tinySpec } from "../support/tiny-checkpoint.js";

const LLAMA3 = {
  rope_type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};
const LLAMA3_SPEC = { type: "llama3", factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 8192 } as const;

let folders = 0;
const root = temporaryFolder();

/** A config.json with `changes`; undefined takes a key away. */
function write(model: TinyModel, changes: Record<string, unknown>, generation?: unknown): string {
  const folder = join(root, `config-${folders++}`, "tiny");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...tinyConfig(model), ...changes }));
  if (generation !== undefined)
    writeFileSync(
      join(folder, "generation_config.json"),
      typeof generation === "string" ? generation : JSON.stringify(generation),
    );
  return join(folder, "config.json");
}

const read = (model: TinyModel, changes: Record<string, unknown>, generation?: unknown): ModelSpec =>
  openConfigOnly(write(model, changes, generation));

test.each(["llama", "mistral", "qwen2", "qwen3"] as const)("a plain %s config is read whole", (architecture) => {
  expect(read({ architecture }, {})).toEqual(tinySpec({ architecture }));
});

const scaled = (scaling: RopeScaling): Partial<ModelSpec> => ({ rope: { theta: 10000, scaling } });

describe("a key that is understood", () => {
  test.each<[string, TinyModel, Record<string, unknown>, Partial<ModelSpec>]>([
    ["missing head_dim: hidden / heads", {}, { head_dim: undefined }, { headDim: 8 }],
    ["null head_dim: hidden / heads", {}, { head_dim: null }, { headDim: 8 }],
    ["missing head_dim of qwen3: 128", { architecture: "qwen3" }, { head_dim: undefined }, { headDim: 128 }],
    ["missing num_key_value_heads of llama: heads", {}, { num_key_value_heads: undefined }, { kvHeads: 4 }],
    ["null num_key_value_heads: heads", { architecture: "mistral" }, { num_key_value_heads: null }, { kvHeads: 4 }],
    [
      "missing num_key_value_heads of mistral: 8",
      { architecture: "mistral", heads: 16 },
      { num_key_value_heads: undefined },
      { kvHeads: 8 },
    ],
    ["missing rope_theta", {}, { rope_theta: undefined }, { rope: { theta: 10000, scaling: null } }],
    ["missing rms_norm_eps", {}, { rms_norm_eps: undefined }, { rmsEps: 1e-6 }],
    ["missing tie_word_embeddings", {}, { tie_word_embeddings: undefined }, { tiedEmbeddings: false }],
    ["missing hidden_act", {}, { hidden_act: undefined }, {}],
    ["llama attention_bias: on q, k, v and output", {}, { attention_bias: true }, { qkvBias: true, outputBias: true }],
    ["qwen3 attention_bias", { architecture: "qwen3" }, { attention_bias: true }, { qkvBias: true, outputBias: true }],
    [
      "qwen2: bias on q, k and v whatever attention_bias says",
      { architecture: "qwen2" },
      { attention_bias: true },
      { qkvBias: true, outputBias: false },
    ],
    ["llama mlp_bias", {}, { mlp_bias: true }, { mlpBias: true }],
    ["rope_scaling llama3", {}, { rope_scaling: LLAMA3 }, { rope: { theta: 10000, scaling: LLAMA3_SPEC } }],
    [
      "rope_scaling llama3 under the old key",
      {},
      { rope_scaling: { ...LLAMA3, rope_type: undefined, type: "llama3" } },
      { rope: { theta: 10000, scaling: LLAMA3_SPEC } },
    ],
    ["rope_scaling default", {}, { rope_scaling: { rope_type: "default" } }, { rope: { theta: 10000, scaling: null } }],
    [
      "rope_parameters of transformers 5",
      {},
      { rope_theta: undefined, rope_scaling: undefined, rope_parameters: { rope_type: "default", rope_theta: 5e5 } },
      { rope: { theta: 5e5, scaling: null } },
    ],
    [
      "rope_parameters with llama3",
      {},
      { rope_theta: undefined, rope_scaling: undefined, rope_parameters: { ...LLAMA3, rope_theta: 5e5 } },
      { rope: { theta: 5e5, scaling: LLAMA3_SPEC } },
    ],
    ["whole heads rotated", {}, { partial_rotary_factor: 1 }, {}],
    ["several end tokens", {}, { eos_token_id: [2, 5] }, { eosTokenIds: [2, 5] }],
    ["no end token", {}, { eos_token_id: null, bos_token_id: undefined }, { eosTokenIds: [], bosTokenId: null }],
    ["model_type alone", {}, { architectures: undefined }, {}],
    ["architectures alone", {}, { model_type: undefined }, {}],
    ["mistral's window", { architecture: "mistral" }, { sliding_window: 64 }, { slidingWindow: 64 }],
    ["mistral's default window", { architecture: "mistral" }, { sliding_window: undefined }, { slidingWindow: 4096 }],
    ["llama has no window", {}, { sliding_window: 64 }, { slidingWindow: null }],
    [
      "qwen's window, not used",
      { architecture: "qwen2" },
      { sliding_window: 64, use_sliding_window: false },
      { slidingWindow: null },
    ],
    [
      "qwen's window, used in all layers",
      { architecture: "qwen2" },
      { sliding_window: 64, use_sliding_window: true, max_window_layers: 0 },
      { slidingWindow: 64 },
    ],
    [
      "qwen's window, used above the last layer",
      { architecture: "qwen2" },
      { sliding_window: 64, use_sliding_window: true, max_window_layers: 28 },
      { slidingWindow: null },
    ],
    [
      "qwen's window, used in some layers",
      { architecture: "qwen2" },
      { sliding_window: 64, use_sliding_window: true, max_window_layers: 1 },
      { layerWindows: [null, 64] },
    ],
    ["linear scaling", {}, { rope_scaling: { type: "linear", factor: 2 } }, scaled({ type: "linear", factor: 2 })],
    ["linear scaling by 1", {}, { rope_scaling: { type: "linear", factor: 1 } }, {}],
    ["dynamic scaling, which begins behind the context", {}, { rope_scaling: { type: "dynamic", factor: 4 } }, {}],
    ["yarn by 1", {}, { rope_scaling: { rope_type: "yarn", factor: 1 } }, {}],
    [
      "yarn, whose factor is one of the context that it names",
      {},
      { rope_scaling: { rope_type: "yarn", factor: 4, original_max_position_embeddings: 256, attention_factor: 1 } },
      {
        contextLimit: 1024,
        ...scaled({
          ...{ type: "yarn", factor: 4, betaFast: 32, betaSlow: 1, originalContext: 256 },
          ...{ attentionFactor: 1, truncate: true },
        }),
      },
    ],
    [
      "llama3 by 1",
      {},
      { rope_scaling: { rope_type: "llama3", factor: 1, low_freq_factor: 1, high_freq_factor: 4 } },
      {},
    ],
    [
      "longrope by 1, whose context is the original one",
      {},
      {
        original_max_position_embeddings: 64,
        rope_scaling: { type: "longrope", short_factor: [1, 1, 1, 1], long_factor: [1, 2, 3, 4], attention_factor: 1 },
      },
      { contextLimit: 64 },
    ],
    [
      "layer_types all sliding",
      { architecture: "qwen3" },
      { sliding_window: 64, use_sliding_window: true, layer_types: ["sliding_attention", "sliding_attention"] },
      { slidingWindow: 64 },
    ],
    ["unknown keys", {}, { pretraining_tp: 1, my_own_note: { a: [1] } }, {}],
  ])("%s", (_name, model, changes, expected) => {
    expect(read(model, changes)).toEqual({ ...tinySpec(model), ...expected });
  });
});

test("end tokens of generation_config.json are added, once each", () => {
  expect(read({}, { eos_token_id: 2 }, { eos_token_id: [7, 2] }).eosTokenIds).toEqual([2, 7]);
  expect(read({}, { eos_token_id: 2 }, { temperature: 1 }).eosTokenIds).toEqual([2]);
});

describe("refused by name", () => {
  test.each<[ErrorCode, RegExp, TinyModel, Record<string, unknown>]>([
    ...["qwen2_moe", "gpt_oss", "deepseek_v3"].map((name): [ErrorCode, RegExp, TinyModel, Record<string, unknown>] => [
      "ARCHITECTURE_UNSUPPORTED",
      new RegExp(`"${name}" is not supported: a mixture of experts that has what`),
      {},
      { model_type: name, architectures: undefined },
    ]),
    ["ARCHITECTURE_UNSUPPORTED", /"gpt2"/, {}, { model_type: "gpt2", architectures: ["GPT2LMHeadModel"] }],
    [
      "ARCHITECTURE_UNSUPPORTED",
      /LlamaForSequenceClassification/,
      {},
      { architectures: ["LlamaForSequenceClassification"] },
    ],
    ["ARCHITECTURE_UNSUPPORTED", /quantization_config/, {}, { quantization_config: { quant_method: "bitsandbytes" } }],
    ["ARCHITECTURE_UNSUPPORTED", /hidden_act: is "gelu"/, {}, { hidden_act: "gelu" }],
    ["ARCHITECTURE_UNSUPPORTED", /"mrope"/, {}, { rope_scaling: { rope_type: "mrope", factor: 4 } }],
    ["CONFIG_INVALID", /linear scaling needs factor/, {}, { rope_scaling: { type: "linear" } }],
    ["CONFIG_INVALID", /short_factor has 0 numbers for 4/, {}, { rope_scaling: { type: "longrope" } }],
    ["CONFIG_INVALID", /rope_scaling\.factor/, {}, { rope_scaling: { type: "linear", factor: 0.5 } }],
    [
      "ARCHITECTURE_UNSUPPORTED",
      /differs between layers/,
      {},
      { rope_parameters: { full_attention: {}, sliding_attention: {} } },
    ],
    ["ARCHITECTURE_UNSUPPORTED", /partial_rotary_factor: is 0.5/, {}, { partial_rotary_factor: 0.5 }],
    [
      "ARCHITECTURE_UNSUPPORTED",
      /"chunked_attention"/,
      { architecture: "qwen2" },
      { layer_types: ["chunked_attention", "full_attention"] },
    ],
    [
      "CONFIG_INVALID",
      /layer_types: has 1 entries for 2/,
      { architecture: "qwen2" },
      { layer_types: ["full_attention"] },
    ],
    ["CONFIG_INVALID", /model_type: missing/, {}, { model_type: undefined, architectures: undefined }],
    ["CONFIG_INVALID", /rope_scaling: llama3 scaling needs/, {}, { rope_scaling: { rope_type: "llama3", factor: 8 } }],
    ["CONFIG_INVALID", /high_freq_factor 1 must exceed/, {}, { rope_scaling: { ...LLAMA3, high_freq_factor: 1 } }],
    ["CONFIG_INVALID", /3 key\/value heads do not divide 4/, {}, { num_key_value_heads: 3 }],
    ["CONFIG_INVALID", /7 is odd/, {}, { head_dim: 7 }],
    [
      "CONFIG_INVALID",
      /5 heads do not divide hidden size 32/,
      {},
      { head_dim: null, num_attention_heads: 5, num_key_value_heads: 5 },
    ],
    ["CONFIG_INVALID", /num_hidden_layers/, {}, { num_hidden_layers: undefined }],
    ["CONFIG_INVALID", /num_hidden_layers/, {}, { num_hidden_layers: 0 }],
    ["CONFIG_INVALID", /num_hidden_layers/, {}, { num_hidden_layers: 1e9 }],
    ["CONFIG_INVALID", /num_hidden_layers/, {}, { num_hidden_layers: "12" }],
    ["CONFIG_INVALID", /hidden_size/, {}, { hidden_size: -4 }],
    ["CONFIG_INVALID", /hidden_size/, {}, { hidden_size: 32.5 }],
    ["CONFIG_INVALID", /intermediate_size/, {}, { intermediate_size: 2 ** 40 }],
    ["CONFIG_INVALID", /vocab_size/, {}, { vocab_size: 1e300 }],
    ["CONFIG_INVALID", /max_position_embeddings/, {}, { max_position_embeddings: 0 }],
    ["CONFIG_INVALID", /rms_norm_eps/, {}, { rms_norm_eps: 0 }],
    ["CONFIG_INVALID", /rope_theta/, {}, { rope_theta: -1 }],
    ["CONFIG_INVALID", /eos_token_id/, {}, { eos_token_id: -1 }],
    ["CONFIG_INVALID", /tie_word_embeddings/, {}, { tie_word_embeddings: "yes" }],
  ])("%s %s", async (code, text, model, changes) => {
    await expectFailure(() => read(model, changes), code, text);
  });

  test("the supported architectures are listed with a refusal", async () => {
    const path = write({}, { model_type: "gpt2", architectures: ["GPT2LMHeadModel"] });
    await expect(async () => openConfigOnly(path)).rejects.toMatchObject({
      remedy: expect.stringContaining("llama, mistral, qwen2, qwen3"),
    });
  });

  test.each([
    ["text", "not json"],
    ["null", "null"],
    ["a list", "[]"],
    ["nothing", ""],
  ])("config.json holding %s", async (_name, text) => {
    const path = write({}, {});
    writeFileSync(path, text);
    await expectFailure(() => openConfigOnly(path), "CONFIG_INVALID", /config\.json: top level/);
  });

  test("a broken generation_config.json", async () => {
    await expectFailure(() => read({}, {}, "{"), "CONFIG_INVALID", /generation_config\.json/);
  });

  test("a missing file and a folder in its place", async () => {
    await expectFailure(() => openConfigOnly(join(root, "none", "config.json")), "FILE_NOT_FOUND", /config\.json/);
    await expectFailure(() => openConfigOnly(root), "FILE_UNREADABLE", /not a regular file/);
  });
});

test("the architecture's digest ignores names and token ids, and nothing else", () => {
  const spec = tinySpec();
  const digest = architectureSha256(spec);
  expect(architectureSha256({ ...spec, name: "other", bosTokenId: null, eosTokenIds: [9] })).toBe(digest);
  const reversed = Object.fromEntries(Object.entries(spec).reverse()) as unknown as ModelSpec;
  expect(architectureSha256(reversed)).toBe(digest);
  expect(architectureSha256({ ...spec, slidingWindow: 64 })).not.toBe(digest);
  expect(architectureSha256({ ...spec, rope: { theta: 10000, scaling: LLAMA3_SPEC } })).not.toBe(digest);
});

describe("keys of single architectures that contradict or are not computed are refused by name", () => {
  const of = (name: string): ArchitectureCase => CASES.find((one) => one.name === name) as ArchitectureCase;
  test.each<[string, Record<string, unknown>, ErrorCode, RegExp]>([
    ["gemma3", { sliding_window: null }, "ARCHITECTURE_UNSUPPORTED", /sliding_window: is null/],
    ["gemma3", { use_bidirectional_attention: true }, "ARCHITECTURE_UNSUPPORTED", /use_bidirectional_attention/],
    ["gemma3", { hidden_activation: "relu" }, "ARCHITECTURE_UNSUPPORTED", /hidden_activation: is "relu"/],
    ["gemma3", { layer_types: ["full_attention"] }, "CONFIG_INVALID", /layer_types: has 1 entries for 7/],
    ["gemma2", { attn_logit_softcapping: -1 }, "CONFIG_INVALID", /attn_logit_softcapping/],
    ["gemma2", { query_pre_attn_scalar: 0 }, "CONFIG_INVALID", /query_pre_attn_scalar/],
    ["granite", { residual_multiplier: "big" }, "CONFIG_INVALID", /residual_multiplier: is "big"/],
    ["smollm3", { no_rope_layers: [1, 0] }, "CONFIG_INVALID", /no_rope_layers/],
    ["smollm3", { no_rope_layers: null, no_rope_layer_interval: 0 }, "CONFIG_INVALID", /no_rope_layer_interval/],
    ["phi3", { rope_parameters: { rope_type: "linear", factor: 2 } }, "ARCHITECTURE_UNSUPPORTED", /"linear".*longrope/],
    ["phi3", { rope_parameters: null, partial_rotary_factor: 0.4 }, "CONFIG_INVALID", /0.4 of 8 numbers/],
    [
      "olmo2",
      { rope_parameters: { full_attention: { rope_theta: 1e4 } } },
      "ARCHITECTURE_UNSUPPORTED",
      /between layers/,
    ],
  ])("%s %j", async (name, changes, code, message) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "config.json"), JSON.stringify({ ...of(name).config, ...changes }));
    await expectFailure(() => openConfigOnly(join(folder, "config.json")), code, message);
  });
});
