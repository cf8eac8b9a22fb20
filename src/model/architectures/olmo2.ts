import type { ArchitectureDefinition, GgufFacts } from "./architecture.js";
import { attentionBiases, LLAMA_GGUF_NAMES, llama } from "./llama.js";

/** transformers: `Olmo2Config`. Norms on what blocks add, not on what they read; q and k are normed over all heads at once. */
export const olmo2: ArchitectureDefinition<"olmo2"> = {
  ...llama,
  name: "olmo2",
  className: "Olmo2ForCausalLM",
  sizes: {
    ...{ vocab_size: 50304, hidden_size: 4096, intermediate_size: 11008 },
    ...{ num_hidden_layers: 32, num_attention_heads: 32 },
  },
  defaults: { ...llama.defaults, rmsEps: 1e-5 },
  qkNorm: true,
  biases: attentionBiases,
  variations: () => PLACES,
  gguf: {
    ...(llama.gguf as GgufFacts),
    names: {
      ...LLAMA_GGUF_NAMES,
      layer: {
        attn_q: "self_attn.q_proj",
        attn_k: "self_attn.k_proj",
        attn_v: "self_attn.v_proj",
        attn_output: "self_attn.o_proj",
        attn_q_norm: "self_attn.q_norm",
        attn_k_norm: "self_attn.k_norm",
        post_attention_norm: "post_attention_layernorm",
        ffn_gate: "mlp.gate_proj",
        ffn_up: "mlp.up_proj",
        ffn_down: "mlp.down_proj",
        post_ffw_norm: "post_feedforward_layernorm",
      },
    },
    interleavedRotary: false,
    windowInEveryLayer: false,
    variations: () => PLACES,
  },
};

const PLACES = { normPlacement: "after", qkNormOver: "projection" } as const;
