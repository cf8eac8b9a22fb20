import type { ArchitectureDefinition, ConfigKeys, GgufFacts, Refusal } from "./architecture.js";
import { expertsOf, GGUF_MIXTURE } from "./experts.js";
import { qwen3 } from "./qwen3.js";

/** transformers: `Qwen3MoeConfig`. qwen3 whose MLPs are mixtures of experts; shares sum to 1 where `norm_topk_prob` says so. */
export const qwen3moe: ArchitectureDefinition<"qwen3moe"> = {
  ...qwen3,
  name: "qwen3moe",
  modelType: "qwen3_moe",
  className: "Qwen3MoeForCausalLM",
  sizes: {
    ...{ vocab_size: 151936, hidden_size: 2048, intermediate_size: 6144 },
    ...{ num_hidden_layers: 24, num_attention_heads: 32 },
  },
  defaults: { ...qwen3.defaults, kvHeads: 4, headDim: null },
  mlpSize: { key: "moe_intermediate_size", size: 768 },
  variations(config, _sizes, refusal) {
    requireMixtures(config, refusal);
    return expertsOf(
      config,
      {
        count: { keys: ["num_experts", "num_local_experts"], otherwise: 128 },
        perToken: { keys: ["num_experts_per_tok"], otherwise: 8 },
      },
      config.norm_topk_prob === true,
      refusal,
    );
  },
  gguf: { ...(qwen3.gguf as GgufFacts), ...GGUF_MIXTURE, mlpSizeKey: "expert_feed_forward_length" },
};

/** Some of its layers may have a single MLP of another size: no published model has such layers. */
function requireMixtures(config: ConfigKeys, refusal: Refusal): void {
  const { decoder_sparse_step: step = 1, mlp_only_layers: single = [] } = config;
  if (step !== 1)
    throw refusal.unsupported("decoder_sparse_step", "is not 1, so that some layers are no mixtures of experts");
  if (single !== null && !(Array.isArray(single) && single.length === 0))
    throw refusal.unsupported("mlp_only_layers", "names layers, whose MLPs are then no mixtures of experts");
}
