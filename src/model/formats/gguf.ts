/** A `.gguf` file as a Checkpoint: canonical tensor names, and q and k rows in Hugging Face's order. */

import { makeCheckpoint } from "../checkpoint.js";
import type { Checkpoint } from "../spec.js";
import { separateExperts } from "./expert-tensors.js";
import { openGguf } from "./gguf-parts.js";
import { ROPE_TENSORS } from "./gguf-rope.js";
import { ggufArchitecture, ggufSpec } from "./gguf-spec.js";
import { canonicalTensors, separateTensors } from "./tensor-names.js";

/** Consumed while the ModelSpec was made. */
const NOT_WEIGHTS: ReadonlySet<string> = new Set(Object.values(ROPE_TENSORS));

export async function openGgufCheckpoint(path: string, source: string): Promise<Checkpoint> {
  const gguf = openGguf(path);
  try {
    const spec = ggufSpec(gguf);
    const { fused, gguf: facts } = ggufArchitecture(gguf);
    const { names, interleavedRotary } = facts;
    const weights = new Map([...gguf.tensors].filter(([name]) => !NOT_WEIGHTS.has(name)));
    const tensors = separateExperts(separateTensors(canonicalTensors(weights, names), fused, spec), spec);
    return await makeCheckpoint({
      source,
      format: "gguf",
      spec,
      tensors,
      files: gguf.files,
      ...(interleavedRotary ? { isInterleaved: (name) => /\.self_attn\.[qk]_proj\.(weight|bias)$/.test(name) } : {}),
    });
  } catch (cause) {
    gguf.close();
    throw cause;
  }
}
