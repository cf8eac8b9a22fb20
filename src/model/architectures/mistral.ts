import type { ArchitectureDefinition } from "./architecture.js";
import { everyLayer, llama } from "./llama.js";

/** transformers: `MistralConfig`. A window holds for all layers. */
export const mistral: ArchitectureDefinition<"mistral"> = {
  ...llama,
  name: "mistral",
  className: "MistralForCausalLM",
  sizes: {
    ...{ vocab_size: 32000, hidden_size: 4096, intermediate_size: 14336 },
    ...{ num_hidden_layers: 32, num_attention_heads: 32 },
  },
  defaults: { ...llama.defaults, kvHeads: 8, contextLimit: 131072, slidingWindow: 4096 },
  biases: () => ({ qkvBias: false, outputBias: false, mlpBias: false }),
  windows: everyLayer,
};
