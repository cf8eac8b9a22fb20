import type { Variations } from "../variations.js";
import type { ArchitectureDefinition, ConfigKeys, GgufKeys, Refusal, Sizes } from "./architecture.js";
import { byLayerType } from "./layer-types.js";
import { attentionBiases, LLAMA_GGUF_NAMES, llama } from "./llama.js";

const DEFAULT_WINDOW = 4096;
const DEFAULT_CAPS = { scores: 50, logits: 30 };
const DEFAULT_SCALAR = 256;

/** What Gemma 2 and 3 have in common: four norms a layer, GELU, and embeddings that are multiplied by √hiddenSize. */
export const gemmaParts = ({ hiddenSize }: Pick<Sizes, "hiddenSize">): Variations => ({
  normPlacement: "around",
  activation: "gelu_tanh",
  embeddingScale: Math.sqrt(hiddenSize),
});

/** llama's, where the norms between are four. */
export const GEMMA_GGUF_NAMES = {
  ...LLAMA_GGUF_NAMES,
  layer: {
    ...LLAMA_GGUF_NAMES.layer,
    post_attention_norm: "post_attention_layernorm",
    ffn_norm: "pre_feedforward_layernorm",
    post_ffw_norm: "post_feedforward_layernorm",
  },
} as const;

/** transformers: `Gemma2Config`. Scores and logits are held below caps; every second layer sees all tokens. */
export const gemma2: ArchitectureDefinition<"gemma2"> = {
  ...llama,
  name: "gemma2",
  className: "Gemma2ForCausalLM",
  sizes: {
    ...{ vocab_size: 256000, hidden_size: 2304, intermediate_size: 9216 },
    ...{ num_hidden_layers: 26, num_attention_heads: 8 },
  },
  defaults: {
    ...{ kvHeads: 4, headDim: 256, contextLimit: 8192, slidingWindow: DEFAULT_WINDOW },
    ...{ rmsEps: 1e-6, theta: 10000, tied: true },
  },
  activation: { key: "hidden_activation", value: "gelu_pytorch_tanh" },
  biases: attentionBiases,
  windows: (config, window, refusal) => byLayerType(config, window, (layer) => layer % 2 === 0, refusal),
  normsLessOne: true,
  variations(config, sizes, refusal) {
    requireCausal(config, refusal);
    return {
      ...gemmaParts(sizes),
      ...scoreScale(scalarOf(config, refusal), sizes),
      ...caps(
        capOf(config, "attn_logit_softcapping", DEFAULT_CAPS.scores, refusal),
        capOf(config, "final_logit_softcapping", DEFAULT_CAPS.logits, refusal),
      ),
    };
  },
  gguf: {
    names: GEMMA_GGUF_NAMES,
    interleavedRotary: false,
    windowInEveryLayer: false,
    applied: ["attention.sliding_window", "attn_logit_softcapping", "final_logit_softcapping"],
    variations(keys, sizes, refusal) {
      const base = keys.number("rope.freq_base_swa");
      if (base !== undefined && base !== (keys.number("rope.freq_base") ?? 10000))
        throw refusal.unsupported("rope.freq_base_swa", `is ${base}, another one than rope.freq_base`);
      return {
        ...gemmaParts(sizes),
        ...scoreScale(ggufScalar(sizes, LAYERS_27B), sizes),
        ...caps(
          ggufCap(keys, "attn_logit_softcapping", DEFAULT_CAPS.scores, refusal),
          ggufCap(keys, "final_logit_softcapping", DEFAULT_CAPS.logits, refusal),
        ),
        ...ggufWindows(keys, sizes, 2, DEFAULT_WINDOW, refusal),
      };
    },
  },
};

/** of Gemma 2 27B, by which llama.cpp knows it */
const LAYERS_27B = 46;

/** The number whose square root scores are divided by, which GGUF files do not have (llama.cpp, models/gemma2.cpp, gemma3.cpp). */
export const ggufScalar = ({ layers, hiddenSize, heads, headDim }: Sizes, layersOf27B: number): number =>
  layers === layersOf27B ? Math.floor(hiddenSize / heads) : headDim;

/** Llama's scale is the one of a scalar of headDim. */
export const scoreScale = (scalar: number, { headDim }: Pick<Sizes, "headDim">): Variations =>
  scalar === headDim ? {} : { attentionScale: 1 / Math.sqrt(scalar) };

export const caps = (scores: number | null, logits: number | null): Variations => ({
  ...(scores === null ? {} : { attentionSoftCap: scores }),
  ...(logits === null ? {} : { logitSoftCap: logits }),
});

/** @throws what `refusal` makes of a model that sees what comes behind a token */
export function requireCausal({ use_bidirectional_attention: both }: ConfigKeys, refusal: Refusal): void {
  if (both === undefined || both === null || both === false) return;
  throw refusal.unsupported("use_bidirectional_attention", "is true; a decoder sees what is before a token");
}

export function scalarOf({ query_pre_attn_scalar: scalar = DEFAULT_SCALAR }: ConfigKeys, refusal: Refusal): number {
  if (typeof scalar === "number" && scalar > 0 && scalar < 1e6) return scalar;
  throw refusal.invalid("query_pre_attn_scalar", "is not a number above 0");
}

/** null in the file: no cap */
export function capOf(config: ConfigKeys, key: string, byDefault: number | null, refusal: Refusal): number | null {
  const cap = config[key] === undefined ? byDefault : config[key];
  if (cap === null || (typeof cap === "number" && cap > 0 && cap < 1e6)) return cap;
  throw refusal.invalid(key, "is not a number above 0, nor null");
}

function ggufCap(keys: GgufKeys, key: string, byDefault: number, refusal: Refusal): number {
  const cap = keys.number(key) ?? byDefault;
  if (cap > 0) return cap;
  throw refusal.invalid(key, `is ${cap}; a number above 0 is wanted`);
}

/**
 * Windows of the layers, as llama.cpp has them: all but every n-th, unless the file has a pattern of its own.
 * @param byDefault the window where the file says none; null: then no layer has one
 */
export function ggufWindows(
  keys: GgufKeys,
  { layers }: Pick<Sizes, "layers">,
  every: number,
  byDefault: number | null,
  refusal: Refusal,
): Pick<Variations, "layerWindows"> {
  const window = keys.number("attention.sliding_window") ?? byDefault ?? 0;
  if (window === 0) return {};
  const key = "attention.sliding_window_pattern";
  const listed = keys.perLayer(key);
  if (listed !== undefined && listed.length < layers)
    throw refusal.invalid(key, `has ${listed.length} entries for ${layers} layers`);
  const n = listed === undefined ? (keys.number(key) ?? every) : 0;
  const slides = (layer: number) => (listed === undefined ? n === 0 || layer % n < n - 1 : listed[layer] !== 0);
  return { layerWindows: Array.from({ length: layers }, (_, layer) => (slides(layer) ? window : null)) };
}
