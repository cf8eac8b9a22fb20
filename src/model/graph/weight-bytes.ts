/** Bytes of a block's and the head's matrices under each kernel, as weights.ts writes them. */
import { KERNELS, type Kernel } from "../../schema/choice.js";
import { FLOAT_BYTES, type FloatType } from "../../schema/numerics.js";
import type { WeightBytes } from "../../schema/weight-bytes.js";
import type { ModelSpec } from "../spec.js";
import { storedHeadDim } from "./heads.js";
import { QUANT_BLOCK } from "./weights.js";

/** One matrix [out, inner]: floats, or codes and one scale, a float, for every 32 inputs of a row. */
function matrixBytes(out: number, inner: number, kernel: Kernel, float: FloatType): number {
  const { bits } = KERNELS[kernel];
  if (bits === null) return out * inner * FLOAT_BYTES[float];
  const blocks = Math.ceil(inner / QUANT_BLOCK);
  return out * blocks * ((QUANT_BLOCK * bits) / 8 + FLOAT_BYTES[float]);
}

/** Norms and biases are left out: every kernel uses the target's. */
export function weightBytes(spec: ModelSpec, kernels: readonly Kernel[], float: FloatType = "fp32"): WeightBytes {
  const { hiddenSize, intermediateSize, vocabSize } = spec;
  const stored = storedHeadDim(spec);
  const matrices = {
    attn: [
      [(spec.heads + 2 * spec.kvHeads) * stored, hiddenSize],
      [hiddenSize, spec.heads * stored],
    ],
    mlp: [
      [2 * intermediateSize, hiddenSize],
      [hiddenSize, intermediateSize],
    ],
    head: [[vocabSize, hiddenSize]],
  } as const;
  const of = (part: keyof typeof matrices) =>
    Object.fromEntries(
      kernels.map((kernel) => [
        kernel,
        matrices[part].reduce((sum, [out, inner]) => sum + matrixBytes(out, inner, kernel, float), 0),
      ]),
    );
  return { attn: of("attn"), mlp: of("mlp"), head: of("head") };
}
