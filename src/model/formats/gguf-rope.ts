/** Rotary positions in GGUF metadata and tensors, as llama.cpp takes them (llama-model.cpp `load_hparams`, llama-context.cpp). */
import type { ArchitectureDefinition } from "../architectures/architecture.js";
import { ggufName } from "../architectures/registry.js";
import { configInvalid, unsupportedMaths } from "../failures.js";
import { LIMITS } from "../limits.js";
import { ropeScalingFromFactors, unlessNone } from "../rope.js";
import type { Rope, RopeScaling, YarnRopeScaling } from "../spec.js";
import type { GgufFile } from "./gguf-file.js";
import { shortestFloat } from "./numbers.js";
import type { StoredTensor } from "./tensors.js";
import { readTensor } from "./tensors.js";

/** Tensors that are read here, and are no weights. */
export const ROPE_TENSORS = {
  llama3: "rope_freqs.weight",
  short: "rope_factors_short.weight",
  long: "rope_factors_long.weight",
} as const;

interface Request {
  theta: number;
  headDim: number;
  /** numbers of a head that are turned */
  rotatedDim: number;
  /** `context_length` */
  contextLimit: number;
}

export interface Positions {
  rope: Rope;
  contextLimit: number;
}

/** @throws ARCHITECTURE_UNSUPPORTED, CONFIG_INVALID, CHECKPOINT_CORRUPT, naming the key or tensor */
export function ggufPositions(file: GgufFile, definition: ArchitectureDefinition, request: Request): Positions {
  const name = ggufName(definition);
  const { theta, headDim, rotatedDim, contextLimit } = request;
  if (rotatedDim % 2 !== 0 || rotatedDim > headDim)
    throw configInvalid(
      file.file.path,
      `metadata ${name}.rope.dimension_count`,
      `${rotatedDim} of the ${headDim} numbers of a head are no pairs of them`,
    );
  const keys = new Scaling(file, name);
  const factors = factorsOf(file, request, keys.original(undefined));
  const typed = typedScaling(keys, contextLimit);
  if (factors !== null && typed !== null)
    throw unsupportedMaths(file.file.path, keys.at("type"), `is ${typed.type}, and the file has factors besides`);
  const rope = { theta, ...(rotatedDim === headDim ? {} : { rotatedDim }) };
  const long = file.tensors.get(ROPE_TENSORS.short);
  if (long === undefined) return { rope: { ...rope, scaling: factors ?? typed }, ...reach(typed, contextLimit) };
  if (factors !== null || typed !== null)
    throw unsupportedMaths(file.file.path, `tensor ${ROPE_TENSORS.short}`, "stands beside another scaling");
  const original = keys.original(contextLimit) as number;
  // beyond the original context all keys would have to be made again with other factors (docs/models.md)
  return {
    rope: { ...rope, scaling: longScaling(file, long, rotatedDim / 2, keys.number("attn_factor", 1)) },
    contextLimit: Math.min(contextLimit, original),
  };
}

/** Of yarn the file names the context it was trained for, and the factor says how far it reaches. */
const reach = (scaling: RopeScaling | null, contextLimit: number) => ({
  contextLimit:
    scaling?.type === "yarn"
      ? Math.max(contextLimit, Math.floor(scaling.originalContext * scaling.factor))
      : contextLimit,
});

/** The keys behind `<architecture>.rope.scaling.`. */
class Scaling {
  constructor(
    readonly file: GgufFile,
    private readonly architecture: string,
  ) {}

  key(suffix: string): string {
    return `${this.architecture}.rope.scaling.${suffix}`;
  }

  at(suffix: string): string {
    return `metadata ${this.key(suffix)}`;
  }

  /** a number above 0 */
  number(suffix: string, fallback: number): number {
    const value = this.file.number(this.key(suffix));
    if (value === undefined) return fallback;
    if (value > 0 && value <= 1e6) return shortestFloat(value);
    throw configInvalid(this.file.file.path, this.at(suffix), `is ${value}; a number above 0 is wanted`);
  }

  original<Absent extends number | undefined>(fallback: Absent): number | Absent {
    const suffix = "original_context_length";
    const value = this.file.number(this.key(suffix));
    if (value === undefined) return fallback;
    if (LIMITS.contextLimit.safeParse(value).success) return value;
    throw configInvalid(this.file.file.path, this.at(suffix), `is ${value}; a number of tokens is wanted`);
  }

  /** `rope.scale_linear` is an older name of `rope.scaling.factor`; 0 is "none" of either. */
  factor(): { named: string; factor: number } {
    const named = this.file.metadata.has(this.key("factor"))
      ? this.key("factor")
      : `${this.architecture}.rope.scale_linear`;
    const factor = this.file.number(named) ?? 1;
    const parsed = LIMITS.factor.safeParse(factor === 0 ? 1 : shortestFloat(factor));
    if (parsed.success) return { named, factor: parsed.data };
    throw configInvalid(this.file.file.path, `metadata ${named}`, `is ${factor}; a factor from 1 on is wanted`);
  }
}

/** A factor without a type scales linearly: that is llama.cpp's default. */
function typedScaling(keys: Scaling, contextLimit: number): RopeScaling | null {
  const { file } = keys;
  const type = file.string(keys.key("type")) ?? "linear";
  switch (type) {
    case "none":
      requireNoYarn(keys);
      return null;
    case "longrope":
      if (file.tensors.has(ROPE_TENSORS.short)) return null; // what it divides by is there
      throw unsupportedMaths(
        file.file.path,
        keys.at("type"),
        `is "longrope", and the file has no ${ROPE_TENSORS.short}`,
      );
    case "linear": {
      const { factor } = keys.factor();
      requireNoAttention(keys);
      requireNoYarn(keys);
      return unlessNone({ type, factor });
    }
    case "yarn":
      return unlessNone(yarnScaling(keys, contextLimit));
    default:
      throw unsupportedMaths(file.file.path, keys.at("type"), `is ${JSON.stringify(type.slice(0, 100))}`);
  }
}

/** Where nothing but the type is said, an attention factor belongs to factors in tensors. */
function requireNoAttention(keys: Scaling): void {
  const factor = keys.number("attn_factor", 1);
  if (factor === 1 || keys.file.tensors.has(ROPE_TENSORS.short)) return;
  throw unsupportedMaths(keys.file.file.path, keys.at("attn_factor"), `is ${factor}, without factors for positions`);
}

/** llama.cpp reads these whatever the type, and mixes frequencies by them: below 0 is "as the type says", which here is none. */
function requireNoYarn(keys: Scaling): void {
  for (const [suffix, neutral] of [
    ["yarn_ext_factor", 0],
    ["yarn_attn_factor", 1],
  ] as const) {
    const value = keys.file.number(keys.key(suffix));
    if (value === undefined || value < 0 || value === neutral) continue;
    throw unsupportedMaths(keys.file.file.path, keys.at(suffix), `is ${value}, and the scaling is not yarn`);
  }
}

const BETA_FAST = 32;
const BETA_SLOW = 1;

/** llama.cpp multiplies by 0.1 · ln(factor) + 1, and by attn_factor besides (llama-context.cpp). */
function yarnScaling(keys: Scaling, contextLimit: number): YarnRopeScaling {
  const { factor } = keys.factor();
  const magnitude = 0.1 * Math.log(factor) + 1;
  // below 0 is "as the type says", and of yarn that is 1; an attention factor of its own llama.cpp overwrites
  const settled: [string, (value: number) => boolean][] = [
    ["yarn_ext_factor", (value) => value < 0 || value === 1],
    ["yarn_attn_factor", (value) => value === 1 || Math.abs(value / magnitude - 1) < 1e-6],
  ];
  for (const [suffix, isSettled] of settled) {
    const value = keys.file.number(keys.key(suffix));
    if (value !== undefined && !isSettled(value))
      throw unsupportedMaths(
        keys.file.file.path,
        keys.at(suffix),
        `is ${value}, which llama.cpp does not compute with`,
      );
  }
  return {
    type: "yarn",
    factor,
    betaFast: keys.number("yarn_beta_fast", BETA_FAST),
    betaSlow: keys.number("yarn_beta_slow", BETA_SLOW),
    originalContext: keys.original(contextLimit),
    attentionFactor: magnitude * keys.number("attn_factor", 1),
    truncate: true,
  };
}

function longScaling(file: GgufFile, tensor: StoredTensor, pairs: number, attentionFactor: number): RopeScaling | null {
  const factors = Array.from(readTensor(tensor), shortestFloat);
  if (factors.length !== pairs || factors.some((factor) => !(factor > 0)))
    throw configInvalid(file.file.path, `tensor ${tensor.storedName}`, `is no divisor for each of ${pairs} pairs`);
  return unlessNone({ type: "longrope", factors, attentionFactor });
}

/** Divisors of frequencies as a tensor: of Llama 3, whose configuration is found again from them. */
function factorsOf(file: GgufFile, { theta, rotatedDim }: Request, original: number | undefined): RopeScaling | null {
  const tensor = file.tensors.get(ROPE_TENSORS.llama3);
  if (!tensor) return null;
  const scaling = ropeScalingFromFactors(readTensor(tensor), theta, rotatedDim, original);
  if (scaling !== undefined) return scaling;
  throw unsupportedMaths(
    file.file.path,
    `tensor ${ROPE_TENSORS.llama3}`,
    "its factors are not those of llama3 frequency scaling (low 1, high 4, original context 8192)",
  );
}
