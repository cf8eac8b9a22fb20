/**
 * Hugging Face `config.json` -> ModelSpec. Keys that do not change the output are ignored (there are many);
 * keys that do are either understood or refused. Defaults of missing keys are those of the transformers config
 * classes (src/transformers/models/<type>/configuration_<type>.py, 5.x).
 */

import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { DraftplanError } from "../../core/errors.js";
import type { ArchitectureDefinition } from "../architectures/architecture.js";
import { type Architecture, findArchitecture } from "../architectures/registry.js";
import { architectureUnsupported, configInvalid, unsupportedMaths } from "../failures.js";
import { assertConsistent, defaultHeadDim, LIMITS, uniformWindow } from "../limits.js";
import type { Llama3RopeScaling, ModelSpec } from "../spec.js";
import { readJsonFile } from "./json-file.js";

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
  const definition = architectureOf(identity.model_type ?? undefined, identity.architectures?.[0], path);
  if (identity.quantization_config != null)
    throw unsupportedMaths(path, "quantization_config", "the weights were quantised by another tool");
  const config = readJsonFile(path, Config);
  if ((config.hidden_act ?? "silu") !== "silu")
    throw unsupportedMaths(path, "hidden_act", `is ${JSON.stringify(config.hidden_act)}; only "silu" works`);
  const spec = toSpec(config, definition, path);
  assertConsistent(spec, path);
  return spec;
}

function toSpec(config: Config, definition: ArchitectureDefinition<Architecture>, path: string): ModelSpec {
  const { defaults } = definition;
  const heads = config.num_attention_heads;
  const contextLimit = config.max_position_embeddings ?? defaults.contextLimit;
  // `null` always meant "as many as heads"; a missing key means the class's own number.
  const kvHeads =
    config.num_key_value_heads === undefined ? (defaults.kvHeads ?? heads) : (config.num_key_value_heads ?? heads);
  return {
    name: basename(dirname(resolve(path))),
    architecture: definition.name,
    layers: config.num_hidden_layers,
    hiddenSize: config.hidden_size,
    intermediateSize: config.intermediate_size,
    heads,
    kvHeads,
    headDim: config.head_dim ?? defaults.headDim ?? defaultHeadDim(config.hidden_size, heads, path),
    vocabSize: config.vocab_size,
    contextLimit,
    rmsEps: config.rms_norm_eps ?? defaults.rmsEps,
    rope: ropeOf(config, defaults.theta, contextLimit, path),
    tiedEmbeddings: config.tie_word_embeddings ?? false,
    ...definition.biases(config),
    qkNorm: definition.qkNorm,
    slidingWindow: slidingWindowOf(config, definition, path),
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

function architectureOf(
  modelType: string | undefined,
  className: string | undefined,
  path: string,
): ArchitectureDefinition<Architecture> {
  if (modelType === undefined && className === undefined)
    throw configInvalid(path, "model_type", "missing; this is not the config.json of a transformers model");
  const found = findArchitecture((known) =>
    modelType === undefined ? known.className === className : known.name === modelType,
  );
  if (found && (className === undefined || className === found.className)) return found;
  throw architectureUnsupported(
    path,
    found ? `${className} (model_type ${modelType})` : (modelType ?? className ?? ""),
  );
}

/** transformers 5 writes `rope_parameters` with the base in it; 4 writes `rope_theta` and `rope_scaling`. */
function ropeOf(config: Config, defaultTheta: number, contextLimit: number, path: string): ModelSpec["rope"] {
  const given = config.rope_scaling ?? config.rope_parameters;
  const key = config.rope_scaling ? "rope_scaling" : "rope_parameters";
  const partial = given?.partial_rotary_factor ?? config.partial_rotary_factor ?? 1;
  if (partial !== 1)
    throw unsupportedMaths(path, "partial_rotary_factor", `is ${partial}; only whole heads are rotated here`);
  const theta = given?.rope_theta ?? config.rope_theta ?? defaultTheta;
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

/** One window for all layers is what a ModelSpec can say. */
function slidingWindowOf(config: Config, definition: ArchitectureDefinition, path: string): number | null {
  const { sliding_window = definition.defaults.slidingWindow } = config;
  const refusal = {
    invalid: (key: string, what: string) => configInvalid(path, key, what),
    unsupported: (key: string, what: string) => unsupportedMaths(path, key, what),
  };
  return uniformWindow(path, "layer_types", definition.windows(config, sliding_window, refusal));
}
