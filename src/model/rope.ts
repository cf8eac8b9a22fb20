/** Rotary positions (RoFormer, arXiv:2104.09864): the tables of the graph, and scalings as files keep them. */

import { rotatedDim, storedHeadDim } from "./graph/heads.js";
import type { Llama3RopeScaling, ModelSpec, Rope, RopeScaling, YarnRopeScaling } from "./spec.js";

/** Angle per token of each pair of dimensions that is turned, scaled as the model asks. [rotated pairs] */
export function inverseFrequencies(spec: ModelSpec, rope: Rope = spec.rope): Float64Array {
  const pairs = rotatedDim({ ...spec, rope }) / 2;
  const plain = Float64Array.from({ length: pairs }, (_, i) => rope.theta ** (-i / pairs));
  const { scaling } = rope;
  switch (scaling?.type) {
    case undefined:
      return plain;
    case "linear":
      return plain.map((frequency) => frequency / scaling.factor);
    case "llama3":
      return plain.map((frequency) => scaleLlama3(frequency, scaling));
    case "yarn":
      return scaleYarn(plain, rope.theta, scaling);
    case "longrope":
      return plain.map((frequency, i) => frequency / scaling.factors[i]);
  }
}

/** Long wavelengths are stretched by `factor`, short ones kept, those between blended (Llama 3.1's model card). */
function scaleLlama3(frequency: number, scaling: Llama3RopeScaling): number {
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
  const turns = (originalContext * frequency) / (2 * Math.PI); // over the original context
  if (turns < lowFreqFactor) return frequency / factor;
  if (turns > highFreqFactor) return frequency;
  const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** Where a span is no wider than nothing, the blend's ends are set this far apart (transformers, llama.cpp alike). */
const LEAST_BLEND = 0.001;

/** YaRN (arXiv:2309.00071, section 3.2), its blend over the pairs' places as transformers and llama.cpp have it. */
function scaleYarn(plain: Float64Array, theta: number, scaling: YarnRopeScaling): Float64Array {
  const { factor, betaFast, betaSlow, originalContext, truncate } = scaling;
  const dim = 2 * plain.length;
  /** the place, in pairs, whose frequency makes that many turns over the original context */
  const placeOf = (turns: number) => (dim * Math.log(originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const ends = [placeOf(betaFast), placeOf(betaSlow)];
  const low = Math.max(truncate ? Math.floor(ends[0]) : ends[0], 0);
  const high = Math.min(truncate ? Math.ceil(ends[1]) : ends[1], dim - 1);
  const width = high === low ? LEAST_BLEND : high - low;
  return plain.map((frequency, i) => {
    const divided = Math.min(Math.max((i - low) / width, 0), 1);
    return (frequency / factor) * divided + frequency * (1 - divided);
  });
}

/** A scaling that changes nothing is none, so that a model is the same one whether its file names it or not. */
export function unlessNone(scaling: RopeScaling): RopeScaling | null {
  const divides = scaling.type === "longrope" ? scaling.factors.some((factor) => factor !== 1) : scaling.factor !== 1;
  return divides || attentionFactor(scaling) !== 1 ? scaling : null;
}

/** Cosines and sines are multiplied by it. */
const attentionFactor = (scaling: RopeScaling | null): number =>
  scaling?.type === "yarn" || scaling?.type === "longrope" ? scaling.attentionFactor : 1;

/** Tables [contextLimit, storedHeadDim / 2] for GroupQueryAttention. */
export function ropeTables(spec: ModelSpec, rope: Rope = spec.rope): { cos: Float32Array; sin: Float32Array } {
  const frequencies = inverseFrequencies(spec, rope);
  const factor = attentionFactor(rope.scaling);
  const stored = storedHeadDim(spec) / 2;
  const still = spec.headDim / 2 - frequencies.length; // pairs that are not turned
  const cos = new Float32Array(spec.contextLimit * stored); // 0 for dimensions that hold 0
  const sin = new Float32Array(spec.contextLimit * stored);
  for (let position = 0; position < spec.contextLimit; position++) {
    for (let i = 0; i < frequencies.length; i++) {
      // transformers computes the angle in fp32; so do we, since far positions differ otherwise
      const angle = Math.fround(position * Math.fround(frequencies[i]));
      cos[position * stored + i] = factor * Math.cos(angle);
      sin[position * stored + i] = factor * Math.sin(angle);
    }
    const behind = position * stored + frequencies.length;
    cos.fill(1, behind, behind + still);
  }
  return { cos, sin };
}

/** Llama 3.1 to 3.3 all use these; only `factor` differs (8 or 32). */
const LOW_FREQ_FACTOR = 1;
const HIGH_FREQ_FACTOR = 4;
const ORIGINAL_CONTEXT = 8192;
/** The converter computes in fp32 with powers and divisions; wrong factors are off by far more. */
const TOLERANCE = 1e-4;

/**
 * GGUF keeps Llama-3 frequency scaling as the divisors themselves, one per pair of a head's numbers.
 * @param factors [headDim / 2] the file's `rope_freqs.weight`
 * @returns the scaling that yields them, null where they scale nothing, undefined where no llama3 scaling fits
 */
export function ropeScalingFromFactors(
  factors: Float32Array,
  theta: number,
  headDim: number,
  originalContext = ORIGINAL_CONTEXT,
): Llama3RopeScaling | null | undefined {
  if (factors.length !== headDim / 2) return undefined;
  if (factors.every((f) => f === 1)) return null;
  // The slowest frequency has the longest wave and takes the whole factor, or none does.
  const factor = factors[factors.length - 1];
  const scaling: Llama3RopeScaling = {
    type: "llama3",
    factor,
    lowFreqFactor: LOW_FREQ_FACTOR,
    highFreqFactor: HIGH_FREQ_FACTOR,
    originalContext,
  };
  const fits =
    factor >= 1 && llama3Factors(scaling, theta, headDim).every((f, i) => Math.abs(f - factors[i]) <= TOLERANCE * f);
  return fits ? scaling : undefined;
}

/**
 * What each rotary frequency is divided by.
 * @returns [headDim / 2] (transformers `_compute_llama3_parameters`; llama.cpp's converter writes the same)
 */
export function llama3Factors(scaling: Llama3RopeScaling, theta: number, headDim: number): number[] {
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const waveLength = 2 * Math.PI * theta ** ((2 * i) / headDim);
    const turns = originalContext / waveLength;
    if (turns > highFreqFactor) return 1;
    if (turns < lowFreqFactor) return factor;
    const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
