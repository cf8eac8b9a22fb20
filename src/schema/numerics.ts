/**
 * What passes compute with. It belongs to the execution provider (runtime/providers.ts) and decides what a kernel's name
 * means: the same `int8` is another computation on another provider, and documents of different ones are not joined.
 */
import { KERNELS, type Kernel } from "./choice.js";

/** A number of weights, activations, keys and values, in bytes. */
export const FLOAT_BYTES = { fp32: 4, fp16: 2 } as const;
export type FloatType = keyof typeof FLOAT_BYTES;

export interface Numerics {
  float: FloatType;
  /**
   * What a quantised product makes of its input: "int8" rounds it to 8 bits (MatMulNBits on the CPU at accuracy_level 4),
   * "float" leaves it as it is (CUDA's MatMulNBits, whatever the level).
   */
  activations: "int8" | "float";
}

export const CPU_NUMERICS: Numerics = { float: "fp32", activations: "int8" };
/** Of a target in fp16: CUDA's MatMulNBits leaves activations as they are. */
export const FP16_NUMERICS: Numerics = { float: "fp16", activations: "float" };

/** What a kernel computes with, as documents name it. */
export function numericsName(kernel: Kernel, { float, activations }: Numerics): string {
  const { bits, numerics } = KERNELS[kernel];
  if (bits === null) return float;
  return activations === "int8"
    ? numerics
    : `MatMulNBits, ${bits} bits, symmetric, block 32, ${float} activations and scales`;
}
