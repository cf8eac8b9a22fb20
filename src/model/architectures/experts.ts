/** How configurations say what their MLPs are mixtures of. */
import type { Experts } from "../variations.js";
import type { ConfigKeys, GgufFacts, GgufKeys, Refusal } from "./architecture.js";
import { LLAMA_GGUF_NAMES } from "./llama.js";

/** Keys of a count, the first of them that is there, and what transformers takes where none is. */
export interface CountKeys {
  keys: readonly string[];
  otherwise: number;
}

/** Well above every published model: a corrupt number is refused where it is read. */
const MOST = 1024;
const isCount = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MOST;
const NO_COUNT = `is not a whole number from 1 to ${MOST}`;

function countOf(config: ConfigKeys, { keys, otherwise }: CountKeys, refusal: Refusal): number {
  const key = keys.find((one) => config[one] !== undefined) ?? keys[0];
  const count = config[key] ?? otherwise;
  if (!isCount(count)) throw refusal.invalid(key, NO_COUNT);
  return count;
}

/** @param of how many there are, and how many a token goes through */
export const expertsOf = (
  config: ConfigKeys,
  of: { count: CountKeys; perToken: CountKeys },
  normalised: boolean,
  refusal: Refusal,
): { experts: Experts } => ({
  experts: {
    count: countOf(config, of.count, refusal),
    perToken: countOf(config, of.perToken, refusal),
    normalised,
  },
});

/** llama.cpp makes the shares of those that were chosen sum to 1 (llama.cpp, qwen3moe.cpp: build_moe_ffn). */
function ggufExperts(keys: GgufKeys, _sizes: unknown, refusal: Refusal): { experts: Experts } {
  const count = (key: string) => {
    const found = keys.number(key);
    if (!isCount(found)) throw refusal.invalid(`metadata ${key}`, NO_COUNT);
    return found;
  };
  return { experts: { count: count("expert_count"), perToken: count("expert_used_count"), normalised: true } };
}

/** What mixtures have in GGUF files beside what their relatives without have. */
export const GGUF_MIXTURE = {
  mixture: true,
  names: {
    ...LLAMA_GGUF_NAMES,
    layer: {
      ...LLAMA_GGUF_NAMES.layer,
      ffn_gate_inp: "mlp.gate",
      ffn_gate_exps: "mlp.experts.gate_proj",
      ffn_up_exps: "mlp.experts.up_proj",
      ffn_down_exps: "mlp.experts.down_proj",
    },
  },
  applied: ["expert_count", "expert_used_count"],
  variations: ggufExperts,
} as const satisfies Partial<GgufFacts>;
