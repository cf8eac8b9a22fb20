/**
 * Hugging Face `config.json` -> ModelSpec. Keys that do not change the output are ignored (there are many);
 * keys that do are either understood or refused. Defaults of missing keys are those of the transformers config
 * classes (src/transformers/models/<type>/configuration_<type>.py, 5.x).
 */

import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { DraftplanError } from "../../core/errors.js";
import { configInvalid, unsupportedMaths } from "../failures.js";
import { assertConsistent, defaultHeadDim, LIMITS, uniformWindow } from "../limits.js";
import type { Architecture, Llama3RopeScaling, ModelSpec } from "../spec.js";
import { ARCHITECTURES } from "../spec.js";
import { readJsonFile } from "./json-file.js";

const CLASS_OF: Record<Architecture, string> = {
  llama: "LlamaForCausalLM",
  mistral: "MistralForCausalLM",
  qwen2: "Qwen2ForCausalLM",
  qwen3: "Qwen3ForCausalLM",
};

/** transformers' values for keys a config leaves out; null: derived from other keys */
const CLASS_DEFAULTS: Record<
  Architecture,
  { kvHeads: number | null; headDim: number | null; contextLimit: number; slidingWindow: number | null }
> = {
  llama: { kvHeads: null, headDim: null, contextLimit: 2048, slidingWindow: null },
  mistral: { kvHeads: 8, headDim: null, contextLimit: 131072, slidingWindow: 4096 },
  qwen2: { kvHeads: 32, headDim: null, contextLimit: 32768, slidingWindow: 4096 },
  qwen3: { kvHeads: 32, headDim: 128, contextLimit: 32768, slidingWindow: 4096 },
};
const DEFAULT_RMS_EPS = 1e-6;
const DEFAULT_THETA = 10000;
const DEFAULT_MAX_WINDOW_LAYERS = 28;

const EosIds = z.union([LIMITS.tokenId, z.array(LIMITS.tokenId).max(256)]);
const BosId = z.union([LIMITS.tokenId, z.array(LIMITS.tokenId).max(1)]);

const Rope = z.looseObject({
  rope_type: z.string().nullish(),
  type: z.string().nullish(),
  rope_theta: LIMITS.theta.nullish(),
  partial_rotary_factor: z.number().nullish(),
  factor: LIMITS.factor.nullish(),
  low_freq_factor: LIMITS.frequencyFactor.nullish(),
  high_freq_factor: LIMITS.frequencyFactor.nullish(),
  original_max_position_embeddings: LIMITS.contextLimit.nullish(),
});

const Identity = z.looseObject({
  model_type: z.string().nullish(),
  architectures: z.array(z.string()).nullish(),
  quantization_config: z.unknown().optional(),
});

const Config = z.looseObject({
  num_hidden_layers: LIMITS.layers,
  hidden_size: LIMITS.hiddenSize,
  intermediate_size: LIMITS.intermediateSize,
  num_attention_heads: LIMITS.heads,
  num_key_value_heads: LIMITS.kvHeads.nullish(),
  head_dim: LIMITS.headDim.nullish(),
  vocab_size: LIMITS.vocabSize,
  max_position_embeddings: LIMITS.contextLimit.optional(),
  rms_norm_eps: LIMITS.rmsEps.optional(),
  hidden_act: z.string().optional(),
  rope_theta: LIMITS.theta.nullish(),
  rope_scaling: Rope.nullish(),
  rope_parameters: Rope.nullish(),
  partial_rotary_factor: z.number().nullish(),
  tie_word_embeddings: z.boolean().optional(),
  attention_bias: z.boolean().optional(),
  mlp_bias: z.boolean().optional(),
  sliding_window: LIMITS.contextLimit.nullish(),
  use_sliding_window: z.boolean().optional(),
  max_window_layers: z.int().min(0).optional(),
  layer_types: z.array(z.string()).max(1024).nullish(),
  bos_token_id: BosId.nullish(),
  eos_token_id: EosIds.nullish(),
});
type Config = z.infer<typeof Config>;

const GenerationConfig = z.looseObject({ eos_token_id: EosIds.nullish() });

/** Also reads `generation_config.json` beside it, whose end tokens count as well (chat models keep theirs there). */
export function readHfConfig(path: string): ModelSpec {
  // First, so that an unsupported architecture is refused by name and not for a key it does not have.
  const identity = readJsonFile(path, Identity);
  const architecture = architectureOf(identity.model_type ?? undefined, identity.architectures?.[0], path);
  if (identity.quantization_config != null)
    throw unsupportedMaths(path, "quantization_config", "the weights were quantised by another tool");
  const config = readJsonFile(path, Config);
  if ((config.hidden_act ?? "silu") !== "silu")
    throw unsupportedMaths(path, "hidden_act", `is ${JSON.stringify(config.hidden_act)}; only "silu" works`);
  const spec = toSpec(config, architecture, path);
  assertConsistent(spec, path);
  return spec;
}

function toSpec(config: Config, architecture: Architecture, path: string): ModelSpec {
  const defaults = CLASS_DEFAULTS[architecture];
  const heads = config.num_attention_heads;
  const contextLimit = config.max_position_embeddings ?? defaults.contextLimit;
  // `null` always meant "as many as heads"; a missing key means the class's own number.
  const kvHeads =
    config.num_key_value_heads === undefined ? (defaults.kvHeads ?? heads) : (config.num_key_value_heads ?? heads);
  const attentionBias = config.attention_bias === true && (architecture === "llama" || architecture === "qwen3");
  return {
    name: basename(dirname(resolve(path))),
    architecture,
    layers: config.num_hidden_layers,
    hiddenSize: config.hidden_size,
    intermediateSize: config.intermediate_size,
    heads,
    kvHeads,
    headDim: config.head_dim ?? defaults.headDim ?? defaultHeadDim(config.hidden_size, heads, path),
    vocabSize: config.vocab_size,
    contextLimit,
    rmsEps: config.rms_norm_eps ?? DEFAULT_RMS_EPS,
    rope: ropeOf(config, contextLimit, path),
    tiedEmbeddings: config.tie_word_embeddings ?? false,
    qkvBias: architecture === "qwen2" || attentionBias,
    outputBias: attentionBias,
    mlpBias: config.mlp_bias === true && architecture === "llama",
    qkNorm: architecture === "qwen3",
    slidingWindow: slidingWindowOf(config, architecture, path),
    bosTokenId: Array.isArray(config.bos_token_id) ? (config.bos_token_id[0] ?? null) : (config.bos_token_id ?? null),
    eosTokenIds: [...new Set([...idsOf(config.eos_token_id), ...generationEosIds(path)])],
  };
}

const idsOf = (ids: number | number[] | null | undefined): number[] =>
  ids == null ? [] : Array.isArray(ids) ? ids : [ids];

function generationEosIds(configPath: string): number[] {
  const path = join(dirname(configPath), "generation_config.json");
  try {
    return idsOf(readJsonFile(path, GenerationConfig).eos_token_id);
  } catch (cause) {
    if (cause instanceof DraftplanError && cause.code === "FILE_NOT_FOUND") return [];
    throw cause;
  }
}

function architectureOf(modelType: string | undefined, className: string | undefined, path: string): Architecture {
  const found = ARCHITECTURES.find((a) => (modelType === undefined ? CLASS_OF[a] === className : a === modelType));
  if (modelType === undefined && className === undefined)
    throw configInvalid(path, "model_type", "missing; this is not the config.json of a transformers model");
  if (found && (className === undefined || className === CLASS_OF[found])) return found;
  throw architectureUnsupported(
    path,
    found ? `${className} (model_type ${modelType})` : (modelType ?? className ?? ""),
  );
}

export function architectureUnsupported(file: string, name: string): DraftplanError {
  return new DraftplanError({
    code: "ARCHITECTURE_UNSUPPORTED",
    at: file,
    what: `architecture ${JSON.stringify(name.slice(0, 100))} is not supported`,
    remedy: `use a causal language model of one of these architectures: ${ARCHITECTURES.join(", ")}`,
  });
}

/** transformers 5 writes `rope_parameters` with the base in it; 4 writes `rope_theta` and `rope_scaling`. */
function ropeOf(config: Config, contextLimit: number, path: string): ModelSpec["rope"] {
  const given = config.rope_scaling ?? config.rope_parameters;
  const key = config.rope_scaling ? "rope_scaling" : "rope_parameters";
  const partial = given?.partial_rotary_factor ?? config.partial_rotary_factor ?? 1;
  if (partial !== 1)
    throw unsupportedMaths(path, "partial_rotary_factor", `is ${partial}; only whole heads are rotated here`);
  const theta = given?.rope_theta ?? config.rope_theta ?? DEFAULT_THETA;
  if (!given) return { theta, scaling: null };
  if (given.full_attention !== undefined || given.sliding_attention !== undefined)
    throw unsupportedMaths(path, key, "position encoding differs between layers");
  const type = given.rope_type ?? given.type ?? "default";
  if (type === "default") return { theta, scaling: null };
  if (type !== "llama3")
    throw unsupportedMaths(
      path,
      key,
      `type ${JSON.stringify(type.slice(0, 100))} is not supported; null, "default" and "llama3" are`,
    );
  return { theta, scaling: llama3Scaling(given, contextLimit, path, key) };
}

function llama3Scaling(
  given: z.infer<typeof Rope>,
  contextLimit: number,
  path: string,
  key: string,
): Llama3RopeScaling {
  const { factor, low_freq_factor: lowFreqFactor, high_freq_factor: highFreqFactor } = given;
  if (factor == null || lowFreqFactor == null || highFreqFactor == null)
    throw configInvalid(path, key, "llama3 scaling needs factor, low_freq_factor and high_freq_factor");
  return {
    type: "llama3",
    factor,
    lowFreqFactor,
    highFreqFactor,
    originalContext: given.original_max_position_embeddings ?? contextLimit,
  };
}

/** mistral: all layers when set. qwen: only with use_sliding_window, in the layers named or above max_window_layers. */
function slidingWindowOf(config: Config, architecture: Architecture, path: string): number | null {
  if (architecture === "llama") return null;
  const window =
    config.sliding_window === undefined ? CLASS_DEFAULTS[architecture].slidingWindow : config.sliding_window;
  if (architecture === "mistral") return window;
  const active = config.use_sliding_window === true ? window : null;
  const firstWindowed = config.max_window_layers ?? DEFAULT_MAX_WINDOW_LAYERS;
  const types =
    config.layer_types ??
    Array.from({ length: config.num_hidden_layers }, (_, i) =>
      i >= firstWindowed ? "sliding_attention" : "full_attention",
    );
  if (types.length !== config.num_hidden_layers)
    throw configInvalid(path, "layer_types", `has ${types.length} entries for ${config.num_hidden_layers} layers`);
  const windows = types.map((type) => {
    if (type === "full_attention") return null;
    if (type === "sliding_attention") return active;
    throw unsupportedMaths(path, "layer_types", `${JSON.stringify(type.slice(0, 100))} is not supported`);
  });
  return uniformWindow(path, "layer_types", windows);
}
