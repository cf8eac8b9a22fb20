/**
 * A kernel: one way to store a matrix and to multiply with it. Nothing else in draftplan knows how either is done: the
 * weight file, the graph, bytes in memory and the names in documents are asked of the kernel.
 *
 * A draft chooses among kernels block by block; `target` in a draft is no kernel but a role, and stands for the kernel of
 * the precision that the engine's target has (registry.ts).
 */

import type { Moments } from "./moments.js";

/** Numbers of hidden states, norms, biases, keys and values, in bytes. */
export const FLOAT_BYTES = { fp32: 4, fp16: 2 } as const;
export type FloatType = keyof typeof FLOAT_BYTES;

/** What passes compute with besides the weights: it belongs to the execution provider, and to a target in fp16. */
export interface Numbers {
  float: FloatType;
  /**
   * What a quantised product makes of its input: "int8" rounds it to 8 bits (MatMulNBits on the CPU at accuracy_level 4),
   * "float" leaves it as it is (CUDA's MatMulNBits, whatever the level).
   */
  activations: "int8" | "float";
  /** how codes and scales of quantised kernels are found: fitted to the inputs' moments (fit.ts); left out: by rounding */
  scales?: "fitted";
}

/** A matrix of the model that is to be written, as one kernel wants it. */
export interface Matrix {
  /** what its tensors' names begin with, e.g. `3.attn.qkv.int8` */
  label: string;
  out: number;
  inner: number;
  /** [out, inner] fp32, row-major */
  read(): Float32Array;
  /** rows that the checkpoint has in codes of its own; left out: none */
  stored?: (() => readonly StoredRows[]) | undefined;
  /** of its inputs, where codes and scales are fitted to them; left out: every input counts alike */
  moments?: (() => Moments) | undefined;
  /** ascending, that its inputs are rounded to where a simulated kernel rounds them; left out: nobody has learned them */
  inputLevels?: (() => Float64Array) | undefined;
}

/** Scales of values that are stored as symmetric codes, one for each 32 inputs: a value is scale · code. */
export interface OwnScales {
  /** of a code: 8, from -128 to 127; 4, from -8 to 7 */
  bits: 8 | 4;
  /** [rows, inner / 32] */
  scales: Float32Array;
}

/** Rows of a matrix that the checkpoint has as such codes. */
export interface StoredRows extends OwnScales {
  from: number;
  rows: number;
}

export type StoredType = "float32" | "float16" | "uint8";

/** A tensor to be written: its name in the graph, shape, type and how to make it. */
export interface WeightPart {
  name: string;
  dims: number[];
  type: StoredType;
  bytes(): Uint8Array;
}

/** Attributes of a node: a bare number is an integer. */
export type Attributes = Readonly<Record<string, number | { float: number }>>;

/** The part of the graph that a product is written into (graph/branch.ts). Names of outputs are local to it. */
export interface ProductGraph {
  readonly numbers: Numbers;
  /** operator for a product of floats that the provider has */
  readonly floatProduct: "FusedMatMul" | "Gemm";
  /** declares a stored tensor, by the name it was written under; @returns its name in the graph */
  weight(name: string): string;
  /** a small constant of integers [values.length]; @returns its name in the graph */
  integers(local: string, values: readonly number[]): string;
  /** an operator of ONNX's own; @returns the name of its first output in the graph */
  node(operator: string, inputs: string[], output: string | string[], attributes?: Attributes): string;
  /** an operator of com.microsoft */
  contrib(operator: string, inputs: string[], output: string, attributes?: Attributes): string;
}

/** input [1, q, inner] times a matrix [out, inner] transposed, plus the bias [out]. */
export interface Product {
  /** name in the graph */
  input: string;
  /** the matrix's label */
  label: string;
  out: number;
  inner: number;
  /** the stored tensor of the bias, in the target's numbers; null: none */
  bias: string | null;
  /** local name */
  output: string;
}

export interface KernelDefinition<Name extends string = string> {
  /** as drafts, options and documents write it */
  name: Name;
  /** of a stored weight, scales not counted: what a reader of a report sees */
  bits: number;
  /**
   * The tensors that a matrix is stored as, in the order they are written. Each has `out` as its first dimension, and a row
   * of it depends on that row of the matrix alone: large models are stored some rows at a time, in threads
   * (conversion/rows.ts), and test/model/conversion.test.ts holds the two equal for every kernel of the list.
   */
  weights(matrix: Matrix, numbers: Numbers): WeightPart[];
  /** writes the product into the graph; @returns the output's name in the graph */
  emit(graph: ProductGraph, product: Product): string;
  /** what a matrix [out, inner] takes, as `weights` stores it */
  bytes(out: number, inner: number, numbers: Numbers): number;
  /** what it computes with, in words: documents whose words differ are not joined, nor are converted models shared */
  numerics(numbers: Numbers): string;
}

/** A kernel that the target may be computed with. */
export interface TargetDefinition<Name extends string = string> extends KernelDefinition<Name> {
  /**
   * What the target's hidden states, keys and values are in; null: whatever the provider computes with. A kernel that
   * says so stores a matrix as one tensor of these numbers under its label, and the embedding table can be that tensor.
   */
  float: FloatType | null;
  /** how far a token's logit may lie below the maximum and still be a tie: see schema/verification.ts */
  tieMargin: number;
}
