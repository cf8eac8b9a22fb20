/** Rotary position tables [contextLimit, storedHeadDim / 2] for GroupQueryAttention (RoFormer, arXiv:2104.09864). */
import type { ModelSpec } from "../spec.js";
import { storedHeadDim } from "./heads.js";

/** Angle per token of each pair of dimensions, with Llama 3's scaling where the model asks for it. */
export function inverseFrequencies(spec: ModelSpec): Float64Array {
  const half = spec.headDim / 2;
  const { theta, scaling } = spec.rope;
  const frequencies = new Float64Array(half);
  for (let i = 0; i < half; i++) {
    const frequency = theta ** (-i / half);
    frequencies[i] = scaling === null ? frequency : scaleLlama3(frequency, scaling);
  }
  return frequencies;
}

/** Long wavelengths are stretched by `factor`, short ones kept, those between blended (Llama 3.1's model card). */
function scaleLlama3(frequency: number, scaling: NonNullable<ModelSpec["rope"]["scaling"]>): number {
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
  const turns = (originalContext * frequency) / (2 * Math.PI); // over the original context
  if (turns < lowFreqFactor) return frequency / factor;
  if (turns > highFreqFactor) return frequency;
  const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

export function ropeTables(spec: ModelSpec): { cos: Float32Array; sin: Float32Array } {
  const frequencies = inverseFrequencies(spec);
  const stored = storedHeadDim(spec) / 2;
  const cos = new Float32Array(spec.contextLimit * stored); // 0 for dimensions that hold 0
  const sin = new Float32Array(spec.contextLimit * stored);
  for (let position = 0; position < spec.contextLimit; position++) {
    for (let i = 0; i < frequencies.length; i++) {
      // transformers computes the angle in fp32; so do we, since far positions differ otherwise
      const angle = Math.fround(position * Math.fround(frequencies[i]));
      cos[position * stored + i] = Math.cos(angle);
      sin[position * stored + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
