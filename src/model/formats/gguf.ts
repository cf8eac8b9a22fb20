/** A `.gguf` file as a Checkpoint: canonical tensor names, and q and k rows in Hugging Face's order. */

import { makeCheckpoint } from "../checkpoint.js";
import type { Checkpoint, ModelSpec } from "../spec.js";
import { openGguf } from "./gguf-file.js";
import { ggufArchitecture, ggufSpec } from "./gguf-spec.js";
import { canonicalTensors } from "./tensor-names.js";

/** Consumed while the ModelSpec was made. */
const NOT_WEIGHTS = new Set(["rope_freqs.weight"]);

export async function openGgufCheckpoint(path: string, source: string): Promise<Checkpoint> {
  const gguf = openGguf(path);
  try {
    const spec = ggufSpec(gguf);
    const { names, interleavedRotary } = ggufArchitecture(gguf).gguf;
    const weights = new Map([...gguf.tensors].filter(([name]) => !NOT_WEIGHTS.has(name)));
    const tensors = canonicalTensors(weights, names);
    return await makeCheckpoint({
      source,
      format: "gguf",
      spec,
      tensors,
      files: [gguf.file],
      ...(interleavedRotary ? { reorder: (name, values) => reorder(name, values, spec) } : {}),
    });
  } catch (cause) {
    gguf.close();
    throw cause;
  }
}

function reorder(name: string, values: Float32Array, spec: ModelSpec): Float32Array {
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
