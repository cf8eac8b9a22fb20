/** What the target would draw its next token from, and drawing from it. */
import type { Random } from "../../stats/random.js";

/** Logits [vocabSize] to weights [vocabSize], not all 0, of which each token is drawn with its share. */
export type Distribution = (logits: Float32Array) => Float64Array;

/**
 * The softmax of logits / temperature.
 * @param temperature above 0
 * @throws RangeError for any other: greedy decoding has an acceptance of its own
 */
export function atTemperature(temperature: number): Distribution {
  if (!(temperature > 0 && Number.isFinite(temperature))) throw new RangeError(`a temperature of ${temperature}`);
  return (logits) => {
    const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const weights = Float64Array.from(logits, (logit) => Math.exp((logit - most) / temperature));
    const total = totalOf(weights);
    return weights.map((weight) => weight / total);
  };
}

export const totalOf = (weights: Float64Array): number => weights.reduce((sum, weight) => sum + weight, 0);

/** Index of a weight, drawn with its share of their total. */
export function draw(weights: Float64Array, random: Random): number {
  let left = random.float() * totalOf(weights);
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    if (left < weights[i]) return i;
    left -= weights[i];
    last = i; // rounding may leave a little behind the last of them
  }
  return last;
}
