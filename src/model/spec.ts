/**
 * What draftplan needs to know of a model's architecture, whatever file it came from.
 * Latencies depend on this alone; the weights' values do not matter to them.
 */

import type { Biases } from "./architectures/architecture.js";
import type { Architecture } from "./architectures/registry.js";
import type { TensorOrigin } from "./conversion/origin.js";
import type { OwnScales } from "./kernels/kernel.js";
import type { Rope, Variations } from "./variations.js";

export { ARCHITECTURES, type Architecture } from "./architectures/registry.js";

export type * from "./variations.js";

export interface ModelSpec extends Biases, Variations {
  name: string;
  architecture: Architecture;
  layers: number;
  hiddenSize: number;
  intermediateSize: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  vocabSize: number;
  /** tokens the position encoding was made for; a longer context is refused */
  contextLimit: number;
  rmsEps: number;
  rope: Rope;
  /** the head uses the embedding table */
  tiedEmbeddings: boolean;
  /** RMS norm over q and k before the rotation: over each head (qwen3), or as qkNormOver says */
  qkNorm: boolean;
  /** tokens a query sees, itself included; null: all of them, or as layerWindows says */
  slidingWindow: number | null;
  bosTokenId: number | null;
  eosTokenIds: number[];
}

/**
 * Canonical tensor names are Hugging Face's, e.g. `model.layers.3.self_attn.q_proj.weight`, `lm_head.weight`.
 * Linear weights are [out, in], row-major; q and k rows are in Hugging Face's half-split rotary order.
 */
export interface Checkpoint {
  /** path as the user gave it, or `embedded` */
  source: string;
  /** the hub's commit, where it lies in a Hugging Face cache */
  revision?: string;
  format: "safetensors" | "gguf";
  spec: ModelSpec;
  /** SHA-256 of the weight files, hex */
  weightsSha256: string;
  /** SHA-256 of the canonical architecture (name and token ids left out), hex */
  architectureSha256: string;
  /** the types the tensors are stored in, with counts: `{ Q4_1: 210, F32: 61 }` */
  storedTypes: Record<string, number>;
  /** how a folder says that its weights are quantised, as JSON: what they are is not in the weight files alone */
  quantisation?: string;
  /** the class of transformers around the text model that this is, and how many tensors of other parts were left out */
  wrapper?: { className: string; leftOut: number };
  /** Reads one tensor, converted to fp32. Throws TENSOR_MISSING, TENSOR_SHAPE or CHECKPOINT_CORRUPT. */
  tensor(name: string, shape: readonly number[]): Float32Array;
  /**
   * Where a matrix [rows, inner] comes from, for other threads to read some of its rows; null where only `tensor` can tell.
   * Left out: nobody but `tensor` can. Throws as `tensor` does.
   */
  origin?(name: string, shape: readonly [rows: number, inner: number]): TensorOrigin | null;
  /**
   * The scales of a matrix [rows, inner] that is stored in symmetric codes with blocks of 32 inputs, [rows, inner / 32] in the
   * order of `tensor`'s rows; null for any other. Left out: none is. Throws as `tensor` does.
   */
  scales?(name: string, shape: readonly [rows: number, inner: number]): OwnScales | null;
  /** Closes the files; reading afterwards throws. */
  close(): void;
}

/** All that writing a model's weights asks for: a checkpoint, or weights that are made up (synthetic.ts). */
export type WeightSource = Pick<Checkpoint, "spec" | "tensor" | "origin" | "scales">;
