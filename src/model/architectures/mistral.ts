import type { ArchitectureDefinition } from "./architecture.js";
import { everyLayer, llama } from "./llama.js";

/** transformers: `MistralConfig`. A window holds for all layers. */
export const mistral: ArchitectureDefinition<"mistral"> = {
  ...llama,
  name: "mistral",
  className: "MistralForCausalLM",
  defaults: { ...llama.defaults, kvHeads: 8, contextLimit: 131072, slidingWindow: 4096 },
  biases: () => ({ qkvBias: false, outputBias: false, mlpBias: false }),
  windows: everyLayer,
};
