/** Rotary positions in a `config.json` (transformers, modeling_rope_utils.py). */
import { z } from "zod";
import type { ArchitectureDefinition, RopeType } from "../architectures/architecture.js";
import { configInvalid, unsupportedMaths } from "../failures.js";
import { LIMITS } from "../limits.js";
import { unlessNone } from "../rope.js";
import type { Llama3RopeScaling, LongRopeScaling, Rope, RopeScaling, YarnRopeScaling } from "../spec.js";
import { shortestFloat } from "./numbers.js";

const Factors = z.array(LIMITS.frequencyFactor).max(LIMITS.pairs).nullish();

/** One set of rotary keys, as `rope_scaling` or `rope_parameters` holds it. */
const RopeKeys = z.looseObject({
  rope_type: z.string().nullish(),
  type: z.string().nullish(),
  rope_theta: LIMITS.theta.nullish(),
  partial_rotary_factor: z.number().positive().max(1).nullish(),
  factor: LIMITS.factor.nullish(),
  low_freq_factor: LIMITS.frequencyFactor.nullish(),
  high_freq_factor: LIMITS.frequencyFactor.nullish(),
  original_max_position_embeddings: LIMITS.contextLimit.nullish(),
  attention_factor: LIMITS.frequencyFactor.nullish(),
  beta_fast: LIMITS.frequencyFactor.nullish(),
  beta_slow: LIMITS.frequencyFactor.nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().nullish(),
  short_factor: Factors,
  long_factor: Factors,
});
type RopeKeys = z.infer<typeof RopeKeys>;

/** The keys of a config.json that say where its tokens are. */
export const ROPE_CONFIG = {
  rope_theta: LIMITS.theta.nullish(),
  rope_scaling: RopeKeys.nullish(),
  rope_parameters: RopeKeys.nullish(),
  partial_rotary_factor: z.number().positive().max(1).nullish(),
  original_max_position_embeddings: LIMITS.contextLimit.nullish(),
};
const RopeConfig = z.looseObject(ROPE_CONFIG);
export type RopeConfig = z.infer<typeof RopeConfig>;

/** Positions of a model, and how many tokens they hold for. */
export interface Positions {
  rope: Rope;
  contextLimit: number;
  windowedRope?: Rope;
}

/** What is known of the model by then. */
interface Request {
  path: string;
  /** the key that holds `given` */
  key: string;
  given: RopeKeys;
  headDim: number;
  /** `max_position_embeddings` */
  contextLimit: number;
  original: number;
}

/** transformers 5 writes `rope_parameters` with the base in it; 4 writes `rope_theta` and `rope_scaling`. */
export function positionsOf(
  config: RopeConfig,
  definition: ArchitectureDefinition,
  { headDim, contextLimit }: { headDim: number; contextLimit: number },
  path: string,
): Positions {
  const given = config.rope_scaling ?? config.rope_parameters ?? {};
  const key = config.rope_scaling ? "rope_scaling" : "rope_parameters";
  const kinds = z
    .object({ full_attention: RopeKeys.nullish(), sliding_attention: RopeKeys.nullish() })
    .safeParse(given);
  if (!kinds.success) throw configInvalid(path, key, "has positions of kinds of layers that are no keys and values");
  const { full_attention: full, sliding_attention: sliding } = kinds.data;
  const sizes = { headDim, contextLimit };
  const of = (keys: RopeKeys, theta: number | null | undefined) =>
    positionsOfKeys(config, definition, sizes, { path, key, given: keys, theta: theta ?? definition.defaults.theta });
  const { positionsByKind } = definition;
  if (positionsByKind === undefined) {
    if (full != null || sliding != null) throw unsupportedMaths(path, key, "position encoding differs between layers");
    return of(given, config.rope_theta);
  }
  // transformers' Gemma3TextConfig: rope_scaling and rope_theta are of the layers that see all
  const local = LIMITS.theta.nullish().safeParse(config[positionsByKind.localThetaKey]);
  if (!local.success) throw configInvalid(path, positionsByKind.localThetaKey, "is not the base of positions");
  const whole = of(full ?? (config.rope_scaling ? given : {}), config.rope_theta);
  const windowed = of(sliding ?? {}, local.data ?? positionsByKind.localTheta);
  return { ...whole, windowedRope: windowed.rope };
}

function positionsOfKeys(
  config: RopeConfig,
  definition: ArchitectureDefinition,
  { headDim, contextLimit }: { headDim: number; contextLimit: number },
  { path, key, given, theta: otherwise }: Pick<Request, "path" | "key" | "given"> & { theta: number },
): Positions {
  const theta = given.rope_theta ?? otherwise;
  const rotatedDim = rotatedDimOf(config, given, definition, headDim, path);
  const original = config.original_max_position_embeddings ?? given.original_max_position_embeddings ?? contextLimit;
  const request = { path, key, given, headDim: rotatedDim, contextLimit, original };
  const { scaling, limit } = scalingOf(ropeType(given, definition, path, key), request);
  return {
    rope: { theta, scaling, ...(rotatedDim === headDim ? {} : { rotatedDim }) },
    contextLimit: limit,
  };
}

function rotatedDimOf(
  config: RopeConfig,
  given: RopeKeys,
  definition: ArchitectureDefinition,
  headDim: number,
  path: string,
): number {
  const partial = given.partial_rotary_factor ?? config.partial_rotary_factor ?? 1;
  if (partial === 1) return headDim;
  if (definition.partialRotary !== true)
    throw unsupportedMaths(path, "partial_rotary_factor", `is ${partial}; ${definition.name} turns whole heads`);
  const rotated = Math.trunc(headDim * partial);
  if (rotated > 0 && rotated % 2 === 0) return rotated;
  throw configInvalid(path, "partial_rotary_factor", `${partial} of ${headDim} numbers is no number of pairs`);
}

const KNOWN: Readonly<Record<string, RopeType>> = {
  default: "default",
  linear: "linear",
  dynamic: "dynamic",
  llama3: "llama3",
  yarn: "yarn",
  longrope: "longrope",
};

function ropeType(given: RopeKeys, { ropeTypes = KNOWN }: ArchitectureDefinition, path: string, key: string): RopeType {
  const type = given.rope_type ?? given.type ?? "default";
  if (Object.hasOwn(ropeTypes, type)) return ropeTypes[type];
  const known = Object.keys(ropeTypes).join(", ");
  throw unsupportedMaths(path, key, `type ${JSON.stringify(type.slice(0, 100))} is not supported; ${known} are`);
}

function scalingOf(type: RopeType, request: Request): { scaling: RopeScaling | null; limit: number } {
  const { given, contextLimit, original } = request;
  switch (type) {
    case "default":
    // grows only with texts beyond max_position_embeddings (`dynamic_frequency_update`), and none is longer here
    case "dynamic":
      return { scaling: null, limit: contextLimit };
    case "linear": {
      const { factor } = given;
      if (factor == null) throw configInvalid(request.path, request.key, "linear scaling needs factor");
      return { scaling: unlessNone({ type, factor }), limit: contextLimit };
    }
    case "llama3":
      return { scaling: unlessNone(llama3Scaling(request)), limit: contextLimit };
    case "yarn": {
      const scaling = yarnScaling(request);
      return {
        scaling: unlessNone(scaling),
        // Qwen's models name the context they were trained for, and the factor says how far it reaches
        limit:
          given.original_max_position_embeddings == null
            ? contextLimit
            : Math.max(contextLimit, Math.floor(original * scaling.factor)),
      };
    }
    case "longrope":
      // beyond the original context all keys would have to be made again with other factors (docs/models.md)
      return { scaling: unlessNone(longScaling(request)), limit: Math.min(contextLimit, original) };
  }
}

function llama3Scaling(request: Request): Llama3RopeScaling {
  const { factor, low_freq_factor: lowFreqFactor, high_freq_factor: highFreqFactor } = request.given;
  if (factor == null || lowFreqFactor == null || highFreqFactor == null)
    throw configInvalid(request.path, request.key, "llama3 scaling needs factor, low_freq_factor and high_freq_factor");
  return { type: "llama3", factor, lowFreqFactor, highFreqFactor, originalContext: request.original };
}

const BETA_FAST = 32;
const BETA_SLOW = 1;

/** `_compute_yarn_parameters`, whose attention factor is 0.1 · ln(factor) + 1 where the file has none (the paper's eq. 22). */
function yarnScaling({ path, key, given, contextLimit, original }: Request): YarnRopeScaling {
  const factor = given.factor ?? contextLimit / original;
  if (!(factor >= 1)) throw configInvalid(path, key, `yarn scaling by ${factor}, which is below 1`);
  const { mscale, mscale_all_dim: allDim, attention_factor: attention } = given;
  const magnitude = (times: number) => (factor <= 1 ? 1 : 0.1 * times * Math.log(factor) + 1);
  return {
    type: "yarn",
    factor,
    betaFast: given.beta_fast ?? BETA_FAST,
    betaSlow: given.beta_slow ?? BETA_SLOW,
    originalContext: original,
    attentionFactor: attention ?? (mscale && allDim ? magnitude(mscale) / magnitude(allDim) : magnitude(1)),
    truncate: given.truncate ?? true,
  };
}

/** `_compute_longrope_parameters`: its attention factor is √(1 + ln(factor) / ln(original)) where the file has none. */
function longScaling({ path, key, given, headDim, contextLimit, original }: Request): LongRopeScaling {
  const { short_factor: factors, attention_factor: attention } = given;
  if (factors == null || factors.length !== headDim / 2)
    throw configInvalid(path, key, `short_factor has ${factors?.length ?? 0} numbers for ${headDim / 2} pairs`);
  const factor = given.factor ?? contextLimit / original;
  const derived = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  // fp32, as a GGUF keeps them and transformers computes with them
  return {
    type: "longrope",
    factors: factors.map(shortestFloat),
    attentionFactor: shortestFloat(attention ?? derived),
  };
}
