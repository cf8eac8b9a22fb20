/** A `.gguf` file as a Checkpoint: canonical tensor names, and q and k rows in Hugging Face's order. */

import { makeCheckpoint } from "../checkpoint.js";
import type { Architecture, Checkpoint, ModelSpec } from "../spec.js";
import { openGguf } from "./gguf-file.js";
import { ggufSpec } from "./gguf-spec.js";
import type { StoredTensor } from "./tensors.js";

const MODEL_NAMES: Record<string, string> = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
};

const LAYER_NAMES: Record<string, string> = {
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
};

/** Consumed while the ModelSpec was made. */
const NOT_WEIGHTS = new Set(["rope_freqs.weight"]);

/**
 * llama.cpp rotates neighbouring numbers in `llama` models and the two halves of a head in `qwen2` and `qwen3`
 * (`llama_model_rope_type`); its converter permutes q and k of the former to match (`LlamaModel.permute`).
 */
const INTERLEAVED: Record<Architecture, boolean> = { llama: true, mistral: true, qwen2: false, qwen3: false };

export async function openGgufCheckpoint(path: string, source: string): Promise<Checkpoint> {
  const gguf = openGguf(path);
  try {
    const spec = ggufSpec(gguf);
    const tensors = canonicalTensors(gguf.tensors);
    return await makeCheckpoint({
      source,
      format: "gguf",
      spec,
      tensors,
      files: [gguf.file],
      reorder: (name, values) => reorder(name, values, spec),
    });
  } catch (cause) {
    gguf.close();
    throw cause;
  }
}

/** A name without a translation stays as it is, and is refused as one the architecture does not use. */
function canonicalTensors(stored: ReadonlyMap<string, StoredTensor>): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of stored) if (!NOT_WEIGHTS.has(name)) tensors.set(canonicalName(name), tensor);
  return tensors;
}

function canonicalName(name: string): string {
  const [, layer, part, kind] = /^(?:blk\.(0|[1-9]\d*)\.)?(\w+)\.(weight|bias)$/.exec(name) ?? [];
  const names = layer === undefined ? MODEL_NAMES : LAYER_NAMES;
  if (part === undefined || !Object.hasOwn(names, part)) return name;
  return layer === undefined ? `${names[part]}.${kind}` : `model.layers.${layer}.${names[part]}.${kind}`;
}

function reorder(name: string, values: Float32Array, spec: ModelSpec): Float32Array {
  if (!INTERLEAVED[spec.architecture]) return values;
  if (/\.self_attn\.q_proj\.(weight|bias)$/.test(name)) return halfSplitRows(values, spec.heads, spec.headDim);
  if (/\.self_attn\.k_proj\.(weight|bias)$/.test(name)) return halfSplitRows(values, spec.kvHeads, spec.headDim);
  return values;
}

/**
 * Within each head, row 2i + j moves to row j · headDim/2 + i.
 * @param values [heads · headDim, columns], rows in interleaved rotary order; a bias has one column
 */
export function halfSplitRows(values: Float32Array, heads: number, headDim: number): Float32Array {
  const columns = values.length / (heads * headDim);
  const half = headDim / 2;
  const out = new Float32Array(values.length);
  for (let row = 0; row < heads * headDim; row++) {
    const inHead = row % headDim;
    const target = row - inHead + (inHead % 2) * half + (inHead >> 1);
    out.set(values.subarray(row * columns, (row + 1) * columns), target * columns);
  }
  return out;
}
