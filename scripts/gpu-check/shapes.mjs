/** The shapes that are measured, and how fast the memory of a GPU can be read. */

const LLAMA = {
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  rms_norm_eps: 1e-5,
  rope_theta: 500000,
  bos_token_id: 1,
  eos_token_id: 2,
};

const SHAPES = {
  "1b": {
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 16,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 64,
    vocab_size: 128256,
    tie_word_embeddings: true,
  },
  "8b": {
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 128,
    vocab_size: 128256,
    tie_word_embeddings: false,
  },
  small: {
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: 8,
    num_attention_heads: 16,
    num_key_value_heads: 4,
    head_dim: 64,
    vocab_size: 32000,
    tie_word_embeddings: true,
  },
  tiny: {
    hidden_size: 128,
    intermediate_size: 256,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 64,
    vocab_size: 512,
    tie_word_embeddings: true,
  },
};

/** @param {string} shape of Llama-3.2-1B (`1b`), of Llama-3.1-8B (`8b`), or `small` and `tiny`, to try a program */
export function configOf(shape) {
  if (SHAPES[shape] === undefined) throw new Error(`${shape} is no shape: there are ${Object.keys(SHAPES).join(", ")}`);
  return { ...LLAMA, ...SHAPES[shape], max_position_embeddings: 131072 };
}

/** @returns {number[]} the tokens of context that a shape is measured at */
export const contextsOf = (shape) => (shape === "tiny" ? [16, 64] : [64, 1024, 8192, 32768]);

/** GB/s that a large read reaches, 86 % of the data sheet's (an H200: 4.1 TB/s of 4.8). */
const REACHED = 0.86;
const DATA_SHEETS = [
  [/H200/, 4800],
  [/H100.*(PCIe|NVL)/, 2000],
  [/H100/, 3350],
];

/** @returns {number | null} null: a GPU whose memory nobody wrote down here */
export function floorGbPerSecond(name) {
  const found = DATA_SHEETS.find(([pattern]) => pattern.test(name));
  return found === undefined ? null : REACHED * found[1];
}
