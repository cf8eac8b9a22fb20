/** The model that is exported, as its files have it, and as a Hugging Face folder would: config.json, tensors, tokenizer. */
import type { Checkpoint, ModelSpec } from "../model/spec.js";
import type { ModelRef } from "../schema/common.js";

/** A tensor as it is to be stored, under its canonical name (Hugging Face's), q and k rows in Hugging Face's order. */
export interface ModelTensor {
  dtype: "F32" | "F16" | "BF16";
  /** outermost first */
  shape: readonly number[];
  bytes: number;
  /** its bytes front to back, a part at a time, little-endian */
  chunks(): Iterable<Uint8Array>;
}

/** A file beside the weights, as text or as a file that is there. */
export type ModelFile = { name: string } & ({ text: string } | { path: string });

export interface ExportModel {
  /** as the user named it: for commands to paste */
  source: string;
  /** where its files lie: the folder, or the `.gguf` file */
  path: string;
  format: Checkpoint["format"];
  ref: ModelRef & { weights_sha256: string };
  spec: ModelSpec;
  /** config.json; of a GGUF it is made from the metadata */
  config: Readonly<Record<string, unknown>>;
  /** canonical name -> tensor; of a GGUF dequantised */
  tensors: ReadonlyMap<string, ModelTensor>;
  /** Reads one of them whole, in fp32. Throws what Checkpoint.tensor throws. */
  tensor: Checkpoint["tensor"];
  /** where its matrices come from, for threads, and the scales that codes are stored with, as the checkpoint has them */
  origin?: NonNullable<Checkpoint["origin"]>;
  scales?: NonNullable<Checkpoint["scales"]>;
  /** tokenizer.json and what stands beside it, generation_config.json among them; of a GGUF they are made from the metadata */
  files: readonly ModelFile[];
  /** weight files that hold `tensors` as they lie, for hard links; of a GGUF none */
  weightFiles: readonly { path: string; tensors: readonly string[] }[];
  /** what was made, not taken over: said in README.md */
  notes: readonly string[];
  close(): void;
}
