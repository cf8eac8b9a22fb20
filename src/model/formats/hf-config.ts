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
import { architectureUnsupported, configInvalid, describeIssues, refusalFor, unsupportedMaths } from "../failures.js";
import { snapshotOf } from "../hub/reference.js";
import { windowKeys } from "../layers.js";
import { assertConsistent, defaultHeadDim, LIMITS } from "../limits.js";
import type { ModelSpec } from "../spec.js";
import { positionsOf, ROPE_CONFIG } from "./hf-rope.js";
import { checkedJson, readJsonFile } from "./json-file.js";
import { readQuantisation } from "./quantised/config.js";
import { readTextConfig } from "./wrappers.js";

const EosIds = z.union([LIMITS.tokenId, z.array(LIMITS.tokenId).max(256)]);
const BosId = z.union([LIMITS.tokenId, z.array(LIMITS.tokenId).max(1)]);

const Identity = z.looseObject({
  model_type: z.string().nullish(),
  architectures: z.array(z.string()).nullish(),
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
  ...ROPE_CONFIG,
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
  const text = readTextConfig(path);
  const identity = checkedJson(text.config, Identity, path);
  const definition = architectureOf(identity.model_type ?? undefined, identity.architectures?.[0], path);
  readQuantisation(path); // refused here, before anything is downloaded or opened
  const config = checkedJson(text.config, Config, path);
  requireActivation(config, definition, path);
  const spec = toSpec(config, definition, path);
  assertConsistent(spec, path);
  return spec;
}

function toSpec(config: Config, definition: ArchitectureDefinition<Architecture>, path: string): ModelSpec {
  const { defaults } = definition;
  const refusal = refusalFor(path);
  const heads = config.num_attention_heads;
  // `null` always meant "as many as heads"; a missing key means the class's own number.
  const kvHeads =
    config.num_key_value_heads === undefined ? (defaults.kvHeads ?? heads) : (config.num_key_value_heads ?? heads);
  const headDim = config.head_dim ?? defaults.headDim ?? defaultHeadDim(config.hidden_size, heads, path);
  const positions = positionsOf(
    config,
    definition,
    { headDim, contextLimit: config.max_position_embeddings ?? defaults.contextLimit },
    path,
  );
  const sizes = { layers: config.num_hidden_layers, hiddenSize: config.hidden_size, heads, headDim };
  const { sliding_window = defaults.slidingWindow } = config;
  return {
    name: snapshotOf(dirname(path))?.repository ?? basename(dirname(resolve(path))),
    architecture: definition.name,
    ...sizes,
    intermediateSize: mlpSize(config, definition, path),
    kvHeads,
    vocabSize: config.vocab_size,
    ...positions,
    rmsEps: config.rms_norm_eps ?? defaults.rmsEps,
    tiedEmbeddings: config.tie_word_embeddings ?? defaults.tied ?? false,
    ...definition.biases(config),
    qkNorm: definition.qkNorm,
    ...windowKeys(definition.windows(config, sliding_window, refusal)),
    ...definition.variations?.(config, sizes, refusal),
    bosTokenId: Array.isArray(config.bos_token_id) ? (config.bos_token_id[0] ?? null) : (config.bos_token_id ?? null),
    eosTokenIds: [...new Set([...idsOf(config.eos_token_id), ...generationEosIds(path)])],
  };
}

function mlpSize(config: Config, { mlpSize: at }: ArchitectureDefinition, path: string): number {
  if (at === undefined) return config.intermediate_size;
  const size = LIMITS.intermediateSize.safeParse(config[at.key] ?? at.size);
  if (size.success) return size.data;
  throw configInvalid(path, at.key, describeIssues(size.error).what);
}

/** Another activation is another model; a class reads one key and ignores others that older files have beside it. */
function requireActivation(config: Config, { activation }: ArchitectureDefinition, path: string): void {
  const { key, value } = activation ?? { key: "hidden_act", value: "silu" };
  const given = config[key] ?? value;
  if (given !== value)
    throw unsupportedMaths(
      path,
      key,
      `is ${JSON.stringify(given)?.slice(0, 100)}; only ${JSON.stringify(value)} works`,
    );
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
    modelType === undefined ? known.className === className : (known.modelType ?? known.name) === modelType,
  );
  if (found && (className === undefined || className === found.className)) return found;
  throw architectureUnsupported(
    path,
    found ? `${className} (model_type ${modelType})` : (modelType ?? className ?? ""),
  );
}
