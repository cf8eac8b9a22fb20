/**
 * Random tiny models, written as a Hugging Face folder or as a GGUF file. The same options give the same weights
 * in both formats, so reading either must give the same numbers.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expectedTensors } from "../../src/model/formats/tensors.js";
import type { Architecture, ModelSpec, RopeScaling, Variations } from "../../src/model/spec.js";
import type { GgufTensor, Metadata } from "./gguf-bytes.js";
import { ggufBytes } from "./gguf-bytes.js";
import { toBf16, toF16, uniform } from "./numbers.js";
import type { RawTensor } from "./safetensors-bytes.js";
import { safetensorsBytes } from "./safetensors-bytes.js";

export interface TinyModel {
  architecture?: Architecture;
  layers?: number;
  hidden?: number;
  intermediate?: number;
  heads?: number;
  kvHeads?: number;
  headDim?: number;
  vocab?: number;
  context?: number;
  theta?: number;
  ropeScaling?: RopeScaling | null;
  /** of a head's numbers */
  rotatedDim?: number;
  /** what is computed besides: for weights that go straight to the graph, since a configuration says it in its own way */
  variations?: Variations;
  rmsEps?: number;
  tied?: boolean;
  /** llama and qwen3; qwen2 always has biases on q, k and v */
  attentionBias?: boolean;
  /** llama only */
  mlpBias?: boolean;
  /** mistral, or qwen with use_sliding_window in all layers */
  slidingWindow?: number | null;
  bosTokenId?: number | null;
  eosTokenIds?: number[];
  seed?: number;
  /** multiplies the linear weights: 1 keeps activations about as large as their inputs */
  scale?: number;
}

export interface SafetensorsOptions {
  dtype?: "F32" | "F16" | "BF16";
  /** 1: `model.safetensors`; more: shards and an index */
  shards?: number;
  /** keys added to config.json, or replaced in it */
  config?: Record<string, unknown>;
}

export interface GgufOptions {
  /** of the matrices; norms and biases are F32, as llama.cpp's converter writes them */
  type?: "F32" | "F16" | "BF16" | "Q8_0";
  version?: number;
  alignment?: number;
  /** added, or replaced */
  metadata?: Record<string, Metadata>;
  /** added, or replaced; null leaves one out */
  tensors?: Record<string, GgufTensor | null>;
}

export interface TinyTensor {
  shape: readonly number[];
  values: Float32Array;
}

const folders: string[] = [];
process.on("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Removed when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "draftplan-test-"));
  folders.push(folder);
  return folder;
}

export function tinySpec(model: TinyModel = {}): ModelSpec {
  const architecture = model.architecture ?? "llama";
  const hiddenSize = model.hidden ?? 32;
  const heads = model.heads ?? 4;
  const bias = model.attentionBias ?? false;
  return {
    name: "tiny",
    architecture,
    layers: model.layers ?? 2,
    hiddenSize,
    intermediateSize: model.intermediate ?? 64,
    heads,
    kvHeads: model.kvHeads ?? 2,
    headDim: model.headDim ?? hiddenSize / heads,
    vocabSize: model.vocab ?? 64,
    contextLimit: model.context ?? 256,
    rmsEps: model.rmsEps ?? 1e-5,
    rope: {
      theta: model.theta ?? 10000,
      scaling: model.ropeScaling ?? null,
      ...(model.rotatedDim === undefined ? {} : { rotatedDim: model.rotatedDim }),
    },
    tiedEmbeddings: model.tied ?? true,
    qkvBias: architecture === "qwen2" || bias,
    outputBias: bias,
    mlpBias: model.mlpBias ?? false,
    qkNorm: ["qwen3", "olmo2", "gemma3"].includes(architecture),
    slidingWindow: model.slidingWindow ?? null,
    ...model.variations,
    bosTokenId: model.bosTokenId === undefined ? 1 : model.bosTokenId,
    eosTokenIds: model.eosTokenIds ?? [2],
  };
}

/** Canonical name -> weights. Norms lie around 1, biases are small, a matrix keeps the size of what it multiplies. */
export function tinyTensors(model: TinyModel = {}): Map<string, TinyTensor> {
  const random = uniform(model.seed ?? 1);
  const tensors = new Map<string, TinyTensor>();
  for (const [name, shape] of expectedTensors(tinySpec(model))) {
    const size = shape.reduce((product, n) => product * n, 1);
    const spread = shape.length === 2 ? (model.scale ?? 1) * Math.sqrt(12 / shape[1]) : 0.2;
    const centre = /norm\.weight$/.test(name) ? 1 : 0;
    tensors.set(name, { shape, values: Float32Array.from({ length: size }, () => centre + (random() - 0.5) * spread) });
  }
  return tensors;
}

/** Writes config.json and the weights into `dir`, made if need be. @returns dir */
export function writeTinyCheckpoint(dir: string, model: TinyModel & SafetensorsOptions = {}): string {
  mkdirSync(dir, { recursive: true });
  const dtype = model.dtype ?? "F32";
  writeFileSync(join(dir, "config.json"), JSON.stringify({ ...tinyConfig(model), ...model.config }, null, 1));
  const tensors = [...tinyTensors(model)].map(([name, t]): [string, RawTensor] => [
    name,
    { dtype, shape: t.shape, bytes: encode(dtype, t.values) },
  ]);
  const shards = model.shards ?? 1;
  if (shards === 1) {
    writeFileSync(join(dir, "model.safetensors"), safetensorsBytes(new Map(tensors)));
    return dir;
  }
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-${String(shard + 1).padStart(5, "0")}-of-${String(shards).padStart(5, "0")}.safetensors`;
    const part = tensors.filter((_, i) => i % shards === shard);
    for (const [name] of part) weightMap[name] = file;
    writeFileSync(join(dir, file), safetensorsBytes(new Map(part)));
  }
  writeFileSync(join(dir, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: weightMap }));
  return dir;
}

/** Those whose config.json this writes; others are in fixtures/architectures.json. */
const CLASS_NAMES: Partial<Record<Architecture, string>> = {
  llama: "LlamaForCausalLM",
  mistral: "MistralForCausalLM",
  qwen2: "Qwen2ForCausalLM",
  qwen3: "Qwen3ForCausalLM",
};

/** Architectures whose tiny checkpoints are written here. */
export const TINY_ARCHITECTURES = Object.keys(CLASS_NAMES) as Architecture[];

/** config.json as transformers 4 writes it. */
export function tinyConfig(model: TinyModel = {}): Record<string, unknown> {
  const spec = tinySpec(model);
  const { scaling } = spec.rope;
  if (CLASS_NAMES[spec.architecture] === undefined || model.variations !== undefined)
    throw new Error(`no config.json is written here of ${spec.architecture}`);
  const qwen = spec.architecture === "qwen2" || spec.architecture === "qwen3";
  return {
    architectures: [CLASS_NAMES[spec.architecture]],
    model_type: spec.architecture,
    num_hidden_layers: spec.layers,
    hidden_size: spec.hiddenSize,
    intermediate_size: spec.intermediateSize,
    num_attention_heads: spec.heads,
    num_key_value_heads: spec.kvHeads,
    head_dim: spec.headDim,
    vocab_size: spec.vocabSize,
    max_position_embeddings: spec.contextLimit,
    rms_norm_eps: spec.rmsEps,
    hidden_act: "silu",
    rope_theta: spec.rope.theta,
    rope_scaling:
      scaling?.type === "llama3"
        ? {
            rope_type: "llama3",
            factor: scaling.factor,
            low_freq_factor: scaling.lowFreqFactor,
            high_freq_factor: scaling.highFreqFactor,
            original_max_position_embeddings: scaling.originalContext,
          }
        : null,
    tie_word_embeddings: spec.tiedEmbeddings,
    attention_bias: spec.outputBias,
    mlp_bias: spec.mlpBias,
    sliding_window: spec.slidingWindow,
    ...(qwen ? { use_sliding_window: spec.slidingWindow !== null, max_window_layers: 0 } : {}),
    bos_token_id: spec.bosTokenId,
    eos_token_id: spec.eosTokenIds.length === 1 ? spec.eosTokenIds[0] : spec.eosTokenIds,
  };
}

const GGML_TYPES = { F32: 0, F16: 1, Q8_0: 8, BF16: 30 } as const;

/** Writes one `.gguf` file (its folder is made if need be). mistral is written as llama, as llama.cpp does. @returns path */
export function writeTinyGguf(path: string, model: TinyModel & GgufOptions = {}): string {
  mkdirSync(dirname(path), { recursive: true });
  const metadata = new Map<string, Metadata>(Object.entries({ ...ggufMetadata(tinySpec(model)), ...model.metadata }));
  if (model.alignment !== undefined) metadata.set("general.alignment", { type: "u32", value: model.alignment });
  const tensors = new Map(ggufTensors(model));
  for (const [name, tensor] of Object.entries(model.tensors ?? {})) {
    if (tensor === null) tensors.delete(name);
    else tensors.set(name, tensor);
  }
  writeFileSync(path, ggufBytes({ version: model.version ?? 3, metadata, tensors, alignment: model.alignment ?? 32 }));
  return path;
}

function ggufMetadata(spec: ModelSpec): Record<string, Metadata> {
  const arch = spec.architecture === "mistral" ? "llama" : spec.architecture;
  const u32 = (value: number): Metadata => ({ type: "u32", value });
  const f32 = (value: number): Metadata => ({ type: "f32", value });
  const [eos] = spec.eosTokenIds;
  return {
    "general.architecture": { type: "string", value: arch },
    "general.name": { type: "string", value: spec.name },
    [`${arch}.block_count`]: u32(spec.layers),
    [`${arch}.context_length`]: u32(spec.contextLimit),
    [`${arch}.embedding_length`]: u32(spec.hiddenSize),
    [`${arch}.feed_forward_length`]: u32(spec.intermediateSize),
    [`${arch}.attention.head_count`]: u32(spec.heads),
    [`${arch}.attention.head_count_kv`]: u32(spec.kvHeads),
    [`${arch}.attention.key_length`]: u32(spec.headDim),
    [`${arch}.attention.value_length`]: u32(spec.headDim),
    [`${arch}.attention.layer_norm_rms_epsilon`]: f32(spec.rmsEps),
    [`${arch}.rope.freq_base`]: f32(spec.rope.theta),
    [`${arch}.rope.dimension_count`]: u32(spec.headDim),
    ...(spec.slidingWindow === null ? {} : { [`${arch}.attention.sliding_window`]: u32(spec.slidingWindow) }),
    ...(spec.bosTokenId === null ? {} : { "tokenizer.ggml.bos_token_id": u32(spec.bosTokenId) }),
    ...(eos === undefined ? {} : { "tokenizer.ggml.eos_token_id": u32(eos) }),
  };
}

const GGUF_PARTS: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens\./, "token_embd."],
  [/^model\.norm\./, "output_norm."],
  [/^lm_head\./, "output."],
  [/^model\.layers\.(\d+)\./, "blk.$1."],
  [/input_layernorm/, "attn_norm"],
  [/post_attention_layernorm/, "ffn_norm"],
  [/self_attn\.([qkv])_proj/, "attn_$1"],
  [/self_attn\.o_proj/, "attn_output"],
  [/self_attn\.([qk])_norm/, "attn_$1_norm"],
  [/mlp\.(gate|up|down)_proj/, "ffn_$1"],
];

export const ggufName = (canonical: string): string =>
  GGUF_PARTS.reduce((name, [from, to]) => name.replace(from, to), canonical);

function ggufTensors(model: TinyModel & GgufOptions): [string, GgufTensor][] {
  const spec = tinySpec(model);
  const permuted = spec.architecture === "llama" || spec.architecture === "mistral";
  return [...tinyTensors(model)].map(([name, { shape, values }]) => {
    const type = shape.length === 2 ? (model.type ?? "F32") : "F32";
    const heads = !permuted ? 0 : name.includes("q_proj") ? spec.heads : name.includes("k_proj") ? spec.kvHeads : 0;
    const stored = heads === 0 ? values : interleave(values, heads, spec.headDim);
    return [ggufName(name), { type: GGML_TYPES[type], shape, bytes: encode(type, stored) }];
  });
}

/** llama.cpp's converter: reshape to [heads, 2, headDim / 2, columns], swap the middle axes (convert_hf_to_gguf.py `permute`). */
function interleave(values: Float32Array, heads: number, headDim: number): Float32Array {
  const columns = values.length / (heads * headDim);
  const out: number[] = [];
  for (let head = 0; head < heads; head++)
    for (let i = 0; i < headDim / 2; i++)
      for (let j = 0; j < 2; j++) {
        const row = head * headDim + j * (headDim / 2) + i;
        out.push(...values.subarray(row * columns, (row + 1) * columns));
      }
  return Float32Array.from(out);
}

function encode(type: "F32" | "F16" | "BF16" | "Q8_0", values: Float32Array): Uint8Array {
  switch (type) {
    case "F32":
      return new Uint8Array(values.slice().buffer);
    case "F16":
      return new Uint8Array(Uint16Array.from(values, toF16).buffer);
    case "BF16":
      return new Uint8Array(Uint16Array.from(values, toBf16).buffer);
    case "Q8_0":
      return quantizeQ8(values);
  }
}

/** blocks of 32: scale f16, 32 int8 */
function quantizeQ8(values: Float32Array): Uint8Array {
  const bytes = Buffer.alloc((values.length / 32) * 34);
  for (let block = 0; block < values.length / 32; block++) {
    const part = values.subarray(block * 32, block * 32 + 32);
    const scale = part.reduce((max, v) => Math.max(max, Math.abs(v)), 0) / 127;
    bytes.writeUInt16LE(toF16(scale), block * 34);
    for (let i = 0; i < 32; i++) bytes.writeInt8(scale === 0 ? 0 : Math.round(part[i] / scale), block * 34 + 2 + i);
  }
  return bytes;
}
