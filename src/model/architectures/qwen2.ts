import type { ArchitectureDefinition, ConfigKeys, GgufFacts, Refusal } from "./architecture.js";
import { llama } from "./llama.js";

const DEFAULT_MAX_WINDOW_LAYERS = 28;

/** transformers: `Qwen2Config`. Biases on q, k and v without a key that says so. */
export const qwen2: ArchitectureDefinition<"qwen2"> = {
  ...llama,
  name: "qwen2",
  className: "Qwen2ForCausalLM",
  defaults: { ...llama.defaults, kvHeads: 32, contextLimit: 32768, slidingWindow: 4096 },
  biases: () => ({ qkvBias: true, outputBias: false, mlpBias: false }),
  windows: someLayers,
  gguf: { ...(llama.gguf as GgufFacts), interleavedRotary: false, windowInEveryLayer: false },
};

/** A window holds only with use_sliding_window, in the layers named or from max_window_layers on. */
function someLayers(config: ConfigKeys, window: number | null, refusal: Refusal): (number | null)[] {
  const active = config.use_sliding_window === true ? window : null;
  const firstWindowed = config.max_window_layers ?? DEFAULT_MAX_WINDOW_LAYERS;
  const layers = config.num_hidden_layers;
  const types =
    config.layer_types ??
    Array.from({ length: layers }, (_, i) => (i >= firstWindowed ? "sliding_attention" : "full_attention"));
  if (types.length !== layers) {
    throw refusal.invalid("layer_types", `has ${types.length} entries for ${layers} layers`);
  }
  return types.map((type) => {
    if (type === "full_attention") return null;
    if (type === "sliding_attention") return active;
    throw refusal.unsupported("layer_types", `${JSON.stringify(type.slice(0, 100))} is not supported`);
  });
}
