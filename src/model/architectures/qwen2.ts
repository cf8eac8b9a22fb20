import type { ArchitectureDefinition, ConfigKeys, GgufFacts, Refusal } from "./architecture.js";
import { byLayerType } from "./layer-types.js";
import { llama } from "./llama.js";

const DEFAULT_MAX_WINDOW_LAYERS = 28;

/** transformers: `Qwen2Config`. Biases on q, k and v without a key that says so. */
export const qwen2: ArchitectureDefinition<"qwen2"> = {
  ...llama,
  name: "qwen2",
  className: "Qwen2ForCausalLM",
  sizes: {
    ...{ vocab_size: 151936, hidden_size: 4096, intermediate_size: 22016 },
    ...{ num_hidden_layers: 32, num_attention_heads: 32 },
  },
  defaults: { ...llama.defaults, kvHeads: 32, contextLimit: 32768, slidingWindow: 4096 },
  biases: () => ({ qkvBias: true, outputBias: false, mlpBias: false }),
  windows: someLayers,
  gguf: { ...(llama.gguf as GgufFacts), interleavedRotary: false, windowInEveryLayer: false },
};

/** A window holds only with use_sliding_window, in the layers named or from max_window_layers on. */
function someLayers(config: ConfigKeys, window: number | null, refusal: Refusal): (number | null)[] {
  const active = config.use_sliding_window === true ? window : null;
  const firstWindowed = config.max_window_layers ?? DEFAULT_MAX_WINDOW_LAYERS;
  return byLayerType(config, active, (layer) => layer >= firstWindowed, refusal);
}
