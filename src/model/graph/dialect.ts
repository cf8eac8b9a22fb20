/**
 * How the graph is written for an execution provider, and in which numbers. Which provider gets which is in
 * runtime/providers.ts; the target's precision there is the provider's own, and another is put in by `withTarget`
 * (schema/numerics.ts).
 */
import { CPU_NUMERICS, FP16_NUMERICS, type Numerics } from "../../schema/numerics.js";

export interface GraphDialect extends Numerics {
  /**
   * Operator of the target's products, with weights [out, in]: com.microsoft.FusedMatMul, or ONNX's own Gemm, which takes
   * two dimensions and has a Reshape on each side.
   */
  product: "FusedMatMul" | "Gemm";
  /**
   * Of ONNX's own operators. A kernel registered for "19 and on" does not take an operator of version 21
   * (kernel_registry.cc: an open range stands for its first version alone), and CUDA's If and Identity are such
   * (OperatorKernels.md, 1.24): at version 21 every If would go to the CPU, and all hidden states with it.
   */
  opset: 19 | 21 | 23;
  /**
   * Whether inputs that are wanted on the CPU inside branches alone are also named on the outside (host-inputs.ts).
   * Without it a session on a GPU takes them to the device first, and every branch fetches them back and waits.
   */
  hostInputs: boolean;
  /** Whether its passes may be over trees (blocks.ts): an `If` more in every attention. */
  trees: boolean;
  /**
   * Whether attention may read a cache of another length than the pass's context, each layer its own (blocks.ts): lengths
   * are then inputs by layer, and the positions of rows are inputs too.
   */
  spans: boolean;
  /**
   * Whether the target's attention may run query heads that share keys and values as rows of one head (folded.ts): an `If`
   * more beside that of trees, whose inputs it takes.
   */
  folds: boolean;
}

export const CPU_DIALECT: GraphDialect = {
  ...CPU_NUMERICS,
  product: "FusedMatMul",
  opset: 21,
  hostInputs: false,
  trees: true,
  spans: true,
  folds: true,
};

/** CUDA's GroupQueryAttention takes fp16 and bf16 alone, its MatMulNBits leaves activations as they are. */
export const CUDA_DIALECT: GraphDialect = {
  ...FP16_NUMERICS,
  product: "FusedMatMul",
  opset: 19,
  hostInputs: true,
  trees: false,
  spans: false,
  folds: false,
};

/** Of a provider that nothing is known of. */
export const UNKNOWN_DIALECT: GraphDialect = { ...CPU_DIALECT, trees: false, spans: false, folds: false };

/** WebGPU lacks FusedMatMul. fp32, because not every adapter has fp16 (the optional feature `shader-f16`). */
export const WEBGPU_DIALECT: GraphDialect = {
  float: "fp32",
  activations: "float",
  targetPrecision: "fp32",
  product: "Gemm",
  opset: 19,
  hostInputs: true,
  trees: false,
  spans: false,
  folds: false,
};
