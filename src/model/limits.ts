/**
 * What a believable model looks like. The maxima lie well above every published model of these families;
 * they exist so that a corrupt number is refused where it is read, not where it becomes an allocation.
 */

import { z } from "zod";
import { configInvalid } from "./failures.js";
import type { ModelSpec } from "./spec.js";

const count = (max: number) => z.int().min(1).max(max);

export const LIMITS = {
  layers: count(1024),
  hiddenSize: count(1 << 16),
  intermediateSize: count(1 << 20),
  heads: count(1024),
  kvHeads: count(1024),
  headDim: count(1024),
  /** of a head's numbers */
  pairs: 512,
  vocabSize: count(1 << 22),
  contextLimit: count(1 << 27),
  rmsEps: z.number().positive().max(1),
  theta: z.number().gt(1).max(1e12),
  factor: z.number().min(1).max(1e6),
  frequencyFactor: z.number().positive().max(1e6),
  tokenId: z
    .int()
    .min(0)
    .max(1 << 22),
};

/** Conditions between the numbers; each number by itself was checked where it was read. */
export function assertConsistent(spec: ModelSpec, file: string): void {
  const { heads, kvHeads, headDim, rope, experts } = spec;
  if (heads % kvHeads !== 0)
    throw configInvalid(file, "key/value heads", `${kvHeads} key/value heads do not divide ${heads} heads`);
  if (headDim % 2 !== 0)
    throw configInvalid(file, "head size", `${headDim} is odd; rotary encoding turns pairs of numbers`);
  if (experts !== undefined && experts.perToken > experts.count)
    throw configInvalid(file, "experts", `${experts.perToken} of ${experts.count} experts are asked for each token`);
  if (rope.scaling?.type === "llama3" && rope.scaling.highFreqFactor <= rope.scaling.lowFreqFactor)
    throw configInvalid(
      file,
      "rope scaling",
      `high_freq_factor ${rope.scaling.highFreqFactor} must exceed low_freq_factor ${rope.scaling.lowFreqFactor}`,
    );
}

/** @returns the head size where the file leaves it out */
export function defaultHeadDim(hiddenSize: number, heads: number, file: string): number {
  if (hiddenSize % heads !== 0)
    throw configInvalid(file, "head size", `not given, and ${heads} heads do not divide hidden size ${hiddenSize}`);
  return hiddenSize / heads;
}
