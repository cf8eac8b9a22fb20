/** What a model takes: on disk, in the memory of the host, and in the device's. Known from its shapes, before anything is written. */
import type { Kernel } from "../schema/choice.js";
import { FLOAT_BYTES, type Numerics } from "../schema/numerics.js";
import { storedHeadDim } from "./graph/heads.js";
import { weightBytes } from "./graph/matrices.js";
import { weightParts } from "./graph/weights.js";
import type { ModelSpec } from "./spec.js";
import { fileBytes } from "./weight-file.js";

/** Whether the weights and the cache lie in memory of the device's own; else in the host's. */
export type ComputesOn = "host" | "device";

/** The process itself, activations and logits; on a device its context and workspaces. */
const BASE_BYTES = 512 << 20;

export interface ModelNeeds {
  /** of the converted model, pages filled up */
  diskBytes: number;
  /** of the matrices of all blocks and the head, for each kernel; `other`: the embedding table, norms, rotary tables */
  weightBytes: Partial<Record<Kernel, number>> & { other: number };
  /** keys and values of one token in all layers */
  cacheBytesPerToken: number;
}

/** @param kernels those that are loaded, target first */
export function modelNeeds(spec: ModelSpec, kernels: readonly Kernel[], numerics: Numerics): ModelNeeds {
  const unread = () => {
    throw new Error("sizes are asked for, not values");
  };
  const diskBytes = fileBytes(weightParts({ spec, tensor: unread }, kernels, numerics));
  const ofMatrices = kernels.map((kernel) => matrixBytes(spec, kernel, numerics));
  const byKernel = Object.fromEntries(kernels.map((kernel, i) => [kernel, ofMatrices[i]]));
  const matrices = ofMatrices.reduce((sum, bytes) => sum + bytes, 0);
  return {
    diskBytes,
    weightBytes: { ...byKernel, other: Math.max(0, diskBytes - matrices) },
    cacheBytesPerToken: cacheBytesPerToken(spec, numerics),
  };
}

/** Of the matrices of all blocks and the head, everything in one kernel. */
export function matrixBytes(spec: ModelSpec, kernel: Kernel, numerics: Numerics): number {
  const { attn, mlp, head } = weightBytes(spec, [kernel], numerics);
  return spec.layers * ((attn[kernel] as number) + (mlp[kernel] as number)) + (head[kernel] as number);
}

/** Keys and values of one token in all layers. */
export const cacheBytesPerToken = (spec: ModelSpec, { float }: Numerics): number =>
  2 * spec.layers * spec.kvHeads * storedHeadDim(spec) * FLOAT_BYTES[float];

/** Memory at a capacity: of the host, and of the device where it computes. */
export interface MemoryNeeds {
  weightBytes: number;
  cacheBytes: number;
  hostBytes: number;
  /** null: all is in the host's memory */
  deviceBytes: number | null;
}

/**
 * @param capacity tokens that the KV cache holds
 * @param on where weights and cache lie: on the host weights are mapped, and packed once more beside that; the mapping can
 *   be given up at any time, so the packed form alone is counted
 */
export function memoryNeeds(needs: ModelNeeds, capacity: number, on: ComputesOn): MemoryNeeds {
  const weights = Object.values(needs.weightBytes).reduce((sum, bytes) => sum + bytes, 0);
  const cacheBytes = capacity * needs.cacheBytesPerToken;
  const held = weights + cacheBytes + BASE_BYTES;
  return {
    weightBytes: weights,
    cacheBytes,
    hostBytes: on === "host" ? held : BASE_BYTES,
    deviceBytes: on === "host" ? null : held,
  };
}
