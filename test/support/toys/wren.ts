import type { ArchitectureDefinition } from "../../../src/model/architectures/architecture.js";
import { llama } from "../../../src/model/architectures/llama.js";

/** Computes what llama does, without biases, and calls its tensors otherwise. */
export const wren: ArchitectureDefinition<"wren"> = {
  ...llama,
  name: "wren",
  className: "WrenForCausalLM",
  defaults: { ...llama.defaults, contextLimit: 4096 },
  biases: () => ({ qkvBias: false, outputBias: false, mlpBias: false }),
  tensorNames: {
    model: { "transformer.wte": "model.embed_tokens", "transformer.ln_f": "model.norm", output: "lm_head" },
    layers: "transformer.h.",
    layer: {
      ln_1: "input_layernorm",
      "attn.wq": "self_attn.q_proj",
      "attn.wk": "self_attn.k_proj",
      "attn.wv": "self_attn.v_proj",
      "attn.wo": "self_attn.o_proj",
      ln_2: "post_attention_layernorm",
      "ffn.w1": "mlp.gate_proj",
      "ffn.w2": "mlp.down_proj",
      "ffn.w3": "mlp.up_proj",
    },
  },
  gguf: null,
};
