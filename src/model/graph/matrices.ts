/** The matrices of a block and of the head as the graph has them, and what they take under each kernel. */
import { type Kernel, kernelOf, type ShortKernel, shortOf } from "../../schema/choice.js";
import { CPU_NUMERICS, type Numerics } from "../../schema/numerics.js";
import type { WeightBytes } from "../../schema/weight-bytes.js";
import { kernelFor } from "../kernels/registry.js";
import type { ModelSpec } from "../spec.js";
import { storedHeadDim } from "./heads.js";

/** [out, inner] */
export type MatrixShape = readonly [out: number, inner: number];

/** Projections that read the same input are laid one under the other and run as one product. */
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
 * Bytes as weights.ts writes them. Norms and biases are left out: every kernel uses the target's.
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
        return [kernel, matrices.reduce((sum, [out, inner]) => sum + bytes(out, inner, numerics), 0)];
      }),
    );
  const ofShort = (short: ShortKernel) =>
    kernelFor(kernelOf(short), numerics.targetPrecision).bytes(shortOf(short) as number, spec.hiddenSize, numerics);
  const short = Object.fromEntries(shorts.map((name) => [name, ofShort(name)]));
  return { attn: of("attn"), mlp: of("mlp"), head: { ...of("head"), ...short } };
}
