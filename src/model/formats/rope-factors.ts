import type { Llama3RopeScaling } from "../spec.js";

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
