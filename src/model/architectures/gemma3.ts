import type { Variations } from "../variations.js";
import type { ArchitectureDefinition, ConfigKeys, Refusal } from "./architecture.js";
import {
  capOf,
  caps,
  GEMMA_GGUF_NAMES,
  gemma2,
  gemmaParts,
  ggufScalar,
  ggufWindows,
  requireCausal,
  scalarOf,
  scoreScale,
} from "./gemma2.js";
import { byLayerType } from "./layer-types.js";

/** Every sixth layer sees all tokens, and its positions are others than those of the layers between. */
const PATTERN = 6;
const LOCAL_THETA = 10000;
/** of Gemma 3 27B, by which llama.cpp knows it */
const LAYERS_27B = 62;

/** transformers: `Gemma3TextConfig`. Gemma 2 without caps, with heads of q and k normed, and positions by kind of layer. */
export const gemma3: ArchitectureDefinition<"gemma3"> = {
  ...gemma2,
  name: "gemma3",
  modelType: "gemma3_text",
  className: "Gemma3ForCausalLM",
  sizes: {
    ...{ vocab_size: 262208, hidden_size: 2304, intermediate_size: 9216 },
    ...{ num_hidden_layers: 26, num_attention_heads: 8 },
  },
  defaults: { ...gemma2.defaults, contextLimit: 131072, theta: 1e6 },
  qkNorm: true,
  positionsByKind: { localThetaKey: "rope_local_base_freq", localTheta: LOCAL_THETA },
  windows: (config, window, refusal) => {
    const every = patternOf(config, refusal);
    // such layers would still have their own positions, and it is by its window that a layer is known
    if (window === null) throw refusal.unsupported("sliding_window", "is null; layers are told apart by their window");
    return byLayerType(config, window, (layer) => (layer + 1) % every !== 0, refusal);
  },
  variations(config, sizes, refusal) {
    requireCausal(config, refusal);
    return {
      ...gemmaParts(sizes),
      ...scoreScale(scalarOf(config, refusal), sizes),
      // the class has the key, and its attention does not read it
      ...caps(null, capOf(config, "final_logit_softcapping", null, refusal)),
    };
  },
  gguf: {
    names: GEMMA_GGUF_NAMES,
    interleavedRotary: false,
    windowInEveryLayer: false,
    applied: ["attention.sliding_window", "final_logit_softcapping"],
    variations(keys, sizes, refusal): Variations {
      const cap = keys.number("final_logit_softcapping") ?? 0;
      const theta = keys.number("rope.freq_base_swa") ?? LOCAL_THETA;
      const windows = ggufWindows(keys, sizes, PATTERN, null, refusal);
      return {
        ...gemmaParts(sizes),
        ...scoreScale(ggufScalar(sizes, LAYERS_27B), sizes),
        ...caps(null, cap === 0 ? null : cap),
        ...windows,
        ...(windows.layerWindows === undefined ? {} : { windowedRope: { theta, scaling: null } }),
      };
    },
  },
};

function patternOf({ sliding_window_pattern: every = PATTERN }: ConfigKeys, refusal: Refusal): number {
  if (typeof every === "number" && Number.isInteger(every) && every > 0) return every;
  throw refusal.invalid("sliding_window_pattern", "is not a whole number above 0");
}
