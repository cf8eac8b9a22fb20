import type { ArchitectureDefinition } from "./architecture.js";
import { attentionBiases } from "./llama.js";
import { qwen2 } from "./qwen2.js";

/** transformers: `Qwen3Config`. Heads of q and k are normed, and biases are as attention_bias says. */
export const qwen3: ArchitectureDefinition<"qwen3"> = {
  ...qwen2,
  name: "qwen3",
  className: "Qwen3ForCausalLM",
  defaults: { ...qwen2.defaults, headDim: 128 },
  qkNorm: true,
  biases: attentionBiases,
};
