import type { ArchitectureDefinition, Biases, ConfigKeys } from "./architecture.js";

/** The same window in every layer. */
export const everyLayer = ({ num_hidden_layers }: ConfigKeys, window: number | null): (number | null)[] =>
  new Array<number | null>(num_hidden_layers).fill(window);

/** `attention_bias` is of all four projections; the MLP has none. */
export const attentionBiases = ({ attention_bias }: ConfigKeys): Biases => ({
  qkvBias: attention_bias === true,
  outputBias: attention_bias === true,
  mlpBias: false,
});

/** The names of tensors in GGUF files (gguf-py, tensor_mapping.py). */
export const LLAMA_GGUF_NAMES = {
  model: { token_embd: "model.embed_tokens", output_norm: "model.norm", output: "lm_head" },
  layers: "blk.",
  layer: {
    attn_norm: "input_layernorm",
    attn_q: "self_attn.q_proj",
    attn_k: "self_attn.k_proj",
    attn_v: "self_attn.v_proj",
    attn_output: "self_attn.o_proj",
    attn_q_norm: "self_attn.q_norm",
    attn_k_norm: "self_attn.k_norm",
    ffn_norm: "post_attention_layernorm",
    ffn_gate: "mlp.gate_proj",
    ffn_up: "mlp.up_proj",
    ffn_down: "mlp.down_proj",
  },
} as const;

/** transformers: `LlamaConfig`. llama.cpp stores mistral models as llama, and then a window is meant. */
export const llama: ArchitectureDefinition<"llama"> = {
  name: "llama",
  className: "LlamaForCausalLM",
  sizes: {
    ...{ vocab_size: 32000, hidden_size: 4096, intermediate_size: 11008 },
    ...{ num_hidden_layers: 32, num_attention_heads: 32 },
  },
  defaults: {
    kvHeads: null,
    headDim: null,
    contextLimit: 2048,
    slidingWindow: null,
    rmsEps: 1e-6,
    theta: 10000,
  },
  qkNorm: false,
  biases: (config) => ({ ...attentionBiases(config), mlpBias: config.mlp_bias === true }),
  windows: (config) => everyLayer(config, null),
  tensorNames: null,
  gguf: {
    names: LLAMA_GGUF_NAMES,
    interleavedRotary: true,
    windowInEveryLayer: true,
  },
};
