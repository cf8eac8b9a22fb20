/**
 * A matrix of a quantised folder, whatever tool made it: codes, and what makes numbers of them. Every method that is read
 * computes number = (code - zero) · scale + bias, with scale, zero and bias shared by groups of inputs:
 *
 * | method | codes | zero | scale | bias |
 * | --- | --- | --- | --- | --- |
 * | GPTQ | 2, 3, 4 or 8 bits, packed along the inputs | packed along the outputs, 1 less in the first format | each group | – |
 * | AWQ | 4 bits, packed along the outputs in an order of its own | as the codes | each group | – |
 * | compressed-tensors | 1 to 8 bits packed along the inputs; int8; fp8 | signed | tensor, row, group or block | – |
 * | FP8 | fp8 | – | tensor, row or block | – |
 * | MLX | 2 to 8 bits packed along the inputs | – | each group | each group |
 */
import type { ByteFile } from "../byte-file.js";
import type { StoredTensor } from "../stored.js";

/** A stored tensor in words that another thread understands: threads share open files. */
export interface StoredPart extends Pick<StoredTensor, "storedName" | "type" | "shape" | "offset"> {
  /** for messages */
  path: string;
  descriptor: number;
}

/** What it is stored as: a tensor of an open file, or the same for another thread. */
export type Part = StoredTensor | StoredPart;

export type Codes<P> = { part: P } & (
  | {
      /** `rows`: a row's codes lie one behind the other in the bits of its words; `columns`: a column of words is a row's */
      packed: "rows" | "columns";
      bits: number;
      /** what is added to a code: signed ones are stored as what they are above the least */
      plus: number;
    }
  /** 4 bits of eight rows in a word, in AWQ's order: [inner, rows / 8] */
  | { packed: "awq" }
  /** I8, F8_E4M3 or F8_E5M2: [rows, inner] */
  | { packed: "no" }
);

export type Zeros<P> = { part: P } & (
  | {
      /** `across`: a group's are in the bits of a row of words; `down`: in those of a column of words */
      packed: "across" | "down";
      bits: number;
      plus: number;
    }
  /** [groups, rows / 8] */
  | { packed: "awq" }
  /** I8 [rows, groups] */
  | { packed: "no" }
);

export interface QuantisedForm<P extends Part = StoredTensor> {
  rows: number;
  inner: number;
  codes: Codes<P>;
  zeros: Zeros<P> | null;
  /** by blocks of rows and groups of inputs: [row blocks, groups], or [groups, row blocks] */
  scales: { part: P; groupsFirst: boolean; rowBlock: number };
  /** [rows, groups] */
  biases: P | null;
  groups: number;
  /** inputs of a group, the last one's may be fewer */
  groupSize: number;
  /** int32 [inner] the group of each input; null: groups lie one behind the other */
  groupOf: P | null;
}

/** A tensor that has to be made of several. */
export interface QuantisedTensor {
  /** of its codes, in the file */
  storedName: string;
  /** the method and its bits, e.g. `GPTQ 4-bit` */
  type: string;
  /** [rows, inner]: of the form's rows those from `firstRow` on */
  shape: readonly number[];
  /** that holds its codes */
  file: ByteFile;
  form: QuantisedForm;
  firstRow: number;
}

/** The form for a thread. @throws INTERNAL where its files were closed */
export function partsForThreads({ codes, zeros, scales, biases, groupOf, ...rest }: QuantisedForm) {
  return {
    ...rest,
    codes: { ...codes, part: forThread(codes.part) },
    zeros: zeros && { ...zeros, part: forThread(zeros.part) },
    scales: { ...scales, part: forThread(scales.part) },
    biases: biases && forThread(biases),
    groupOf: groupOf && forThread(groupOf),
  } satisfies QuantisedForm<StoredPart>;
}

const forThread = ({ storedName, type, shape, offset, file }: StoredTensor): StoredPart => ({
  ...{ storedName, type, shape, offset },
  ...{ path: file.path, descriptor: file.descriptor },
});
