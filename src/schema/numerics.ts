/**
 * What passes compute with. It belongs to the engine: to its provider (runtime/providers.ts) and to the precision of its
 * target. It decides what a kernel's name means: the same `int8` is another computation on another provider, and
 * documents of different ones are not joined.
 */
import type { Numbers } from "../model/kernels/kernel.js";
import {
  DEFAULT_PRECISION,
  type KernelRole,
  kernelFor,
  TARGET_PRECISIONS,
  type TargetPrecision,
  targetKernel,
} from "../model/kernels/registry.js";

export { FLOAT_BYTES, type FloatType } from "../model/kernels/kernel.js";
export { DEFAULT_PRECISION, TARGET_PRECISIONS, type TargetPrecision };

export interface Numerics extends Numbers {
  /** what `target` in a draft stands for: the precision whose output is reproduced */
  targetPrecision: TargetPrecision;
}

export const CPU_NUMERICS: Numerics = { float: "fp32", activations: "int8", targetPrecision: "fp32" };
/** Of a target in fp16: CUDA's MatMulNBits leaves activations as they are. */
export const FP16_NUMERICS: Numerics = { float: "fp16", activations: "float", targetPrecision: "fp16" };

/** What an engine of these numerics computes with where its target is to have another precision. */
export const withTarget = <N extends Numerics>(numerics: N, targetPrecision: TargetPrecision): N => ({
  ...numerics,
  targetPrecision,
  float: targetKernel(targetPrecision).float ?? numerics.float,
});

/** Whether a target of this precision has its matrices as codes and scales, and not as floats. */
export const isQuantised = (precision: TargetPrecision): boolean => targetKernel(precision).float === null;

/** What a kernel computes with, as documents name it. */
export const numericsName = (kernel: KernelRole, numerics: Numerics): string =>
  kernelFor(kernel, numerics.targetPrecision).numerics(numerics);

/** What a device computes with of which no more is known than its target's precision. */
export const assumedNumerics = (precision: TargetPrecision): Numerics =>
  targetKernel(precision).float === "fp16" ? FP16_NUMERICS : withTarget(CPU_NUMERICS, precision);
