/** The matrices of a block and of the head as the graph has them, and what they take under each kernel. */
import { type Kernel, kernelOf, type ShortKernel, shortOf } from "../../schema/choice.js";
import { CPU_NUMERICS, type Numerics } from "../../schema/numerics.js";
import type { WeightBytes } from "../../schema/weight-bytes.js";
import { kernelFor } from "../kernels/registry.js";
import type { ModelSpec } from "../spec.js";
import { storedHeadDim } from "./heads.js";

/** [out, inner] */
export type MatrixShape = readonly [out: number, inner: number];

/** Name of the router's matrix [experts, hiddenSize] in the weight file. Whatever the block's kernel, it is in floats. */
export const routerName = (mlp: string): string => `${mlp}.router`;

/** Name of an expert among a block's matrices: `3.mlp.17`. */
export const expertName = (mlp: string, expert: number): string => `${mlp}.${expert}`;

/**
 * Projections that read the same input are laid one under the other and run as one product. Those of `mlp` are there for
 * every expert, where MLPs are mixtures of them.
 */
export function matrixShapes(spec: ModelSpec) {
  const { hiddenSize, intermediateSize, vocabSize } = spec;
  const stored = storedHeadDim(spec);
  return {
    attn: {
      qkv: [(spec.heads + 2 * spec.kvHeads) * stored, hiddenSize],
      out: [hiddenSize, spec.heads * stored],
    },
    mlp: {
      gate_up: [2 * intermediateSize, hiddenSize],
      down: [hiddenSize, intermediateSize],
    },
    head: { head: [vocabSize, hiddenSize] },
  } as const satisfies Record<string, Record<string, MatrixShape>>;
}

/**
 * Bytes as weights.ts writes them, of all experts. Norms, biases and routers are left out: every kernel uses the target's.
 * @param shorts heads over a part of the vocabulary, each a copy of its own (short-head/convert.ts)
 */
export function weightBytes(
  spec: ModelSpec,
  kernels: readonly Kernel[],
  numerics: Numerics = CPU_NUMERICS,
  shorts: readonly ShortKernel[] = [],
): WeightBytes {
  const shapes = matrixShapes(spec);
  const of = (part: keyof typeof shapes) =>
    Object.fromEntries(
      kernels.map((kernel) => {
        const { bytes } = kernelFor(kernel, numerics.targetPrecision);
        const matrices: MatrixShape[] = Object.values(shapes[part]);
        const one = matrices.reduce((sum, [out, inner]) => sum + bytes(out, inner, numerics), 0);
        return [kernel, (part === "mlp" ? (spec.experts?.count ?? 1) : 1) * one];
      }),
    );
  const ofShort = (short: ShortKernel) =>
    kernelFor(kernelOf(short), numerics.targetPrecision).bytes(shortOf(short) as number, spec.hiddenSize, numerics);
  const short = Object.fromEntries(shorts.map((name) => [name, ofShort(name)]));
  return { attn: of("attn"), mlp: of("mlp"), head: { ...of("head"), ...short } };
}
