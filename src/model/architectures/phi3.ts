import type { ArchitectureDefinition, GgufFacts } from "./architecture.js";
import { everyLayer, LLAMA_GGUF_NAMES, llama } from "./llama.js";

/**
 * transformers: `Phi3Config`, of Phi-3, 3.5 and 4. llama with projections that are stored as one, and in Phi-4-mini heads
 * that are turned in part. Older files call their longrope `su` or `yarn`.
 */
export const phi3: ArchitectureDefinition<"phi3"> = {
  ...llama,
  name: "phi3",
  className: "Phi3ForCausalLM",
  sizes: {
    ...{ vocab_size: 32064, hidden_size: 3072, intermediate_size: 8192 },
    ...{ num_hidden_layers: 32, num_attention_heads: 32 },
  },
  defaults: { ...llama.defaults, contextLimit: 4096, rmsEps: 1e-5 },
  partialRotary: true,
  ropeTypes: { default: "default", longrope: "longrope", su: "longrope", yarn: "longrope" },
  biases: () => ({ qkvBias: false, outputBias: false, mlpBias: false }),
  windows: everyLayer,
  fused: {
    "self_attn.qkv_proj": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "mlp.gate_up_proj": ["mlp.gate_proj", "mlp.up_proj"],
  },
  gguf: {
    ...(llama.gguf as GgufFacts),
    names: {
      ...LLAMA_GGUF_NAMES,
      layer: {
        attn_norm: "input_layernorm",
        attn_qkv: "self_attn.qkv_proj",
        attn_q: "self_attn.q_proj",
        attn_k: "self_attn.k_proj",
        attn_v: "self_attn.v_proj",
        attn_output: "self_attn.o_proj",
        ffn_norm: "post_attention_layernorm",
        ffn_up: "mlp.gate_up_proj",
        ffn_down: "mlp.down_proj",
      },
    },
    interleavedRotary: false,
    // llama.cpp reads it, warns, and lets every token see all before it; transformers does not (docs/models.md)
    windowInEveryLayer: true,
  },
};
