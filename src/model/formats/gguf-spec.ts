/** GGUF metadata -> ModelSpec. Keys are llama.cpp's (gguf-py/gguf/constants.py), `llama.block_count` and so on. */

import { basename } from "node:path";
import { z } from "zod";
import type { ArchitectureDefinition, GgufFacts, GgufKeys } from "../architectures/architecture.js";
import { type Architecture, findArchitecture, ggufName } from "../architectures/registry.js";
import { architectureUnsupported, configInvalid, describeIssues, refusalFor, unsupportedMaths } from "../failures.js";
import { windowKeys } from "../layers.js";
import { assertConsistent, defaultHeadDim, LIMITS } from "../limits.js";
import type { ModelSpec } from "../spec.js";
import type { GgufFile } from "./gguf-file.js";
import { withoutPart } from "./gguf-parts.js";
import { isGgufArray } from "./gguf-reader.js";
import { ggufPositions } from "./gguf-rope.js";
import { shortestFloat } from "./numbers.js";

/** llama.cpp's defaults for what a file leaves out */
const DEFAULT_THETA = 10000;
const MAX_NAME_LENGTH = 200;

const Keys = z.object({
  block_count: LIMITS.layers,
  context_length: LIMITS.contextLimit,
  embedding_length: LIMITS.hiddenSize,
  feed_forward_length: LIMITS.intermediateSize,
  "attention.head_count": LIMITS.heads,
  "attention.head_count_kv": LIMITS.kvHeads.optional(),
  "attention.key_length": LIMITS.headDim.optional(),
  "attention.value_length": LIMITS.headDim.optional(),
  "attention.key_length_swa": LIMITS.headDim.optional(),
  "attention.value_length_swa": LIMITS.headDim.optional(),
  "attention.layer_norm_rms_epsilon": LIMITS.rmsEps,
  "attention.sliding_window": z
    .int()
    .min(0)
    .max(1 << 27)
    .optional(),
  "rope.freq_base": LIMITS.theta.optional(),
  "rope.dimension_count": LIMITS.headDim.optional(),
  "rope.dimension_count_swa": LIMITS.headDim.optional(),
});

/** Keys that change the output, with the one value at which they do not. */
const NEUTRAL: Record<string, number | string | boolean> = {
  expert_count: 0,
  "attention.causal": true,
  "attention.scale": 0,
  "attention.clamp_kqv": 0,
  "attention.max_alibi_bias": 0,
  logit_scale: 0,
  attn_logit_softcapping: 0,
  final_logit_softcapping: 0,
  router_logit_softcapping: 0,
  expert_used_count: 0,
  expert_shared_count: 0,
  expert_group_count: 0,
  expert_weights_scale: 0,
  expert_latent_length: 0,
  leading_dense_block_count: 0,
  nextn_predict_layers: 0,
  use_parallel_residual: false,
  swin_norm: false,
  "attention.temperature_length": 0,
  "attention.temperature_scale": 0,
  "attention.q_lora_rank": 0,
  "attention.kv_lora_rank": 0,
  "attention.value_scale": 0,
  "attention.output_scale": 0,
  "attention.shared_kv_layers": 0,
  "rope.scaling.yarn_log_multiplier": 0,
  residual_scale: 0,
  embedding_scale: 0,
};

export function ggufSpec(file: GgufFile): ModelSpec {
  const path = file.file.path;
  const definition = ggufArchitecture(file);
  const { name: architecture, qkNorm, gguf } = definition;
  const prefix = ggufName(definition);
  assertNeutral(file, prefix, gguf.applied ?? []);
  const keys = readKeys(file, prefix);
  const heads = keys["attention.head_count"];
  const headDim = keys["attention.key_length"] ?? defaultHeadDim(keys.embedding_length, heads, path);
  assertWholeHeads(keys, headDim, definition, path);
  const sizes = { layers: keys.block_count, hiddenSize: keys.embedding_length, heads, headDim };
  const { layerWindows, ...variations } = gguf.variations?.(ggufKeys(file, prefix), sizes, refusalFor(path)) ?? {};
  const has = (name: string): boolean => file.tensors.has(name);
  const spec: ModelSpec = {
    name: nameOf(file),
    architecture,
    ...sizes,
    intermediateSize: mlpSize(file, definition, keys.feed_forward_length),
    kvHeads: keys["attention.head_count_kv"] ?? heads,
    vocabSize: vocabularyOf(file),
    ...ggufPositions(file, definition, {
      theta: shortestFloat(keys["rope.freq_base"] ?? DEFAULT_THETA),
      headDim,
      rotatedDim: keys["rope.dimension_count"] ?? headDim,
      contextLimit: keys.context_length,
    }),
    rmsEps: shortestFloat(keys["attention.layer_norm_rms_epsilon"]),
    tiedEmbeddings: !has("output.weight"),
    qkvBias: has("blk.0.attn_q.bias"),
    outputBias: has("blk.0.attn_output.bias"),
    mlpBias: has("blk.0.ffn_gate.bias"),
    qkNorm,
    ...variations,
    ...windowKeys(layerWindows ?? new Array<number | null>(sizes.layers).fill(windowOf(keys, definition, path))),
    bosTokenId: tokenId(file, "bos_token_id") ?? null,
    eosTokenIds: endTokens(file),
  };
  assertConsistent(spec, path);
  return spec;
}

/**
 * llama.cpp itself ignores the key in most architectures; in mistral models, stored as llama, it is meant, and in those
 * whose `variations` read it.
 */
function windowOf(keys: z.infer<typeof Keys>, definition: GgufArchitecture, path: string): number | null {
  const { gguf } = definition;
  const window = keys["attention.sliding_window"] ?? 0;
  if (window === 0 || window >= keys.context_length || gguf.applied?.includes("attention.sliding_window")) return null;
  if (gguf.windowInEveryLayer) return window;
  throw unsupportedMaths(
    path,
    `metadata ${ggufName(definition)}.attention.sliding_window`,
    `is ${window}; which layers it holds for is not recorded`,
  );
}

type GgufArchitecture = ArchitectureDefinition<Architecture> & { gguf: GgufFacts };

/** An architecture that GGUF files are read of. @throws ARCHITECTURE_UNSUPPORTED, CONFIG_INVALID */
export function ggufArchitecture(file: GgufFile): GgufArchitecture {
  const name = file.string("general.architecture");
  if (name === undefined)
    throw configInvalid(
      file.file.path,
      "metadata general.architecture",
      "missing; this GGUF file does not hold a language model",
    );
  const named = (known: ArchitectureDefinition) => ggufName(known) === name;
  const isMixture = (file.number(`${name}.expert_count`) ?? 0) > 0;
  const found =
    findArchitecture((known) => named(known) && (known.gguf?.mixture === true) === isMixture) ??
    findArchitecture(named);
  if (!found?.gguf) throw architectureUnsupported(file.file.path, name);
  return { ...found, gguf: found.gguf };
}

/** How large an MLP is, or each of its experts. */
function mlpSize(file: GgufFile, definition: GgufArchitecture, otherwise: number): number {
  const { mlpSizeKey } = definition.gguf;
  if (mlpSizeKey === undefined) return otherwise;
  const key = `${ggufName(definition)}.${mlpSizeKey}`;
  const size = LIMITS.intermediateSize.safeParse(file.number(key));
  if (size.success) return size.data;
  throw configInvalid(file.file.path, `metadata ${key}`, describeIssues(size.error).what);
}

function assertNeutral(file: GgufFile, architecture: string, applied: readonly string[]): void {
  for (const [suffix, neutral] of Object.entries(NEUTRAL)) {
    if (applied.includes(suffix)) continue;
    const value = file.metadata.get(`${architecture}.${suffix}`);
    if (value === undefined || value === neutral) continue;
    const shown = isGgufArray(value) ? "an array" : JSON.stringify(value).slice(0, 100);
    throw unsupportedMaths(
      file.file.path,
      `metadata ${architecture}.${suffix}`,
      `is ${shown}; only ${JSON.stringify(neutral)} works`,
    );
  }
}

function readKeys(file: GgufFile, architecture: string): z.infer<typeof Keys> {
  const raw = Object.keys(Keys.shape).map((suffix) => [suffix, uniform(file, `${architecture}.${suffix}`)] as const);
  const parsed = Keys.safeParse(Object.fromEntries(raw.filter(([, value]) => value !== undefined)));
  if (parsed.success) return parsed.data;
  const { key, what } = describeIssues(parsed.error);
  throw configInvalid(file.file.path, `metadata ${architecture}.${key}`, what);
}

/** Some files hold one number per layer; a ModelSpec knows one for all. */
function uniform(file: GgufFile, key: string): unknown {
  const value = file.metadata.get(key);
  if (!isGgufArray(value) || value.count > 1024) return value;
  const distinct = [...new Set(file.numbers(key))];
  if (distinct.length > 1) throw unsupportedMaths(file.file.path, `metadata ${key}`, "differs between layers");
  return distinct[0];
}

function assertWholeHeads(
  keys: z.infer<typeof Keys>,
  headDim: number,
  { partialRotary }: ArchitectureDefinition,
  path: string,
): void {
  const whole = [
    ...(["attention.value_length", "attention.key_length_swa", "attention.value_length_swa"] as const),
    ...(partialRotary ? [] : (["rope.dimension_count", "rope.dimension_count_swa"] as const)),
  ];
  for (const key of whole)
    if ((keys[key] ?? headDim) !== headDim)
      throw unsupportedMaths(
        path,
        `metadata ${key}`,
        `is ${keys[key]}, the head size is ${headDim}; draftplan needs them equal`,
      );
}

/** For `variations`, which know keys by their names behind the architecture's. */
const ggufKeys = (file: GgufFile, architecture: string): GgufKeys => ({
  number(key) {
    const value = file.number(`${architecture}.${key}`);
    return value === undefined ? undefined : shortestFloat(value);
  },
  flag: (key) => file.boolean(`${architecture}.${key}`),
  perLayer(key) {
    const value = file.metadata.get(`${architecture}.${key}`);
    return isGgufArray(value) ? file.numbers(`${architecture}.${key}`) : undefined;
  },
});

/** The embedding table decides: `vocab_size` is missing from many files, and padding is not always counted in it. */
function vocabularyOf(file: GgufFile): number {
  const table = file.tensors.get("token_embd.weight");
  const size = LIMITS.vocabSize.safeParse(table?.shape[0]);
  if (table && size.success) return size.data;
  throw configInvalid(
    file.file.path,
    "tensor token_embd.weight",
    table ? `has shape [${table.shape.join(", ")}]` : "missing; the file holds no model weights",
  );
}

/** End of text, of turn and of message all end a reply; llama.cpp stops at each of them. */
function endTokens(file: GgufFile): number[] {
  const ids = ["eos_token_id", "eot_token_id", "eom_token_id"].map((key) => tokenId(file, key));
  return [...new Set(ids.filter((id) => id !== undefined))];
}

function tokenId(file: GgufFile, key: string): number | undefined {
  const name = `tokenizer.ggml.${key}`;
  const id = LIMITS.tokenId.optional().safeParse(file.number(name));
  if (!id.success) throw configInvalid(file.file.path, `metadata ${name}`, "is not a token id");
  return id.data;
}

function nameOf(file: GgufFile): string {
  const given = file
    .string("general.name")
    ?.replace(/\p{Cc}/gu, " ")
    .trim()
    .slice(0, MAX_NAME_LENGTH);
  return given || withoutPart(basename(file.file.path)).replace(/\.gguf$/i, "");
}
