import type { ArchitectureDefinition, GgufFacts } from "./architecture.js";
import { expertsOf, GGUF_MIXTURE } from "./experts.js";
import { mistral } from "./mistral.js";

/** transformers: `MixtralConfig`. mistral whose MLPs are mixtures of experts, with shares that sum to 1. */
export const mixtral: ArchitectureDefinition<"mixtral"> = {
  ...mistral,
  name: "mixtral",
  className: "MixtralForCausalLM",
  defaults: { ...mistral.defaults, slidingWindow: null, rmsEps: 1e-5, theta: 1e6 },
  variations: (config, _sizes, refusal) =>
    expertsOf(
      config,
      {
        count: { keys: ["num_local_experts", "num_experts"], otherwise: 8 },
        perToken: { keys: ["num_experts_per_tok"], otherwise: 2 },
      },
      true,
      refusal,
    ),
  tensorNames: {
    model: {},
    layers: "model.layers.",
    layer: { "block_sparse_moe.gate": "mlp.gate" },
    experts: {
      before: "block_sparse_moe.experts.",
      names: { w1: "gate_proj", w2: "down_proj", w3: "up_proj" },
    },
  },
  gguf: { ...(mistral.gguf as GgufFacts), ...GGUF_MIXTURE, architecture: "llama" },
};
