/** What the target would draw its next token from, and drawing from it. */
import type { Random } from "../../stats/random.js";

/**
 * Logits [vocabSize] to weights [vocabSize], not all 0, of which each token is drawn with its share.
 * @param text    the prompt and all that was emitted
 * @param drafted tokens behind it that lead to where these logits are
 */
export type Distribution = (logits: Float32Array, text: readonly number[], drafted: readonly number[]) => Float64Array;

/**
 * The softmax of logits / temperature.
 * @param temperature above 0
 * @throws RangeError for any other: greedy decoding has an acceptance of its own
 */
export function atTemperature(temperature: number): (logits: Float32Array | Float64Array) => Float64Array {
  requireTemperature(temperature);
  return (logits) => {
    const weights = new Float64Array(logits.length);
    let most = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < logits.length; i++) if (logits[i] > most) most = logits[i];
    let total = 0;
    for (let i = 0; i < weights.length; i++) {
      weights[i] = Math.exp((logits[i] - most) / temperature);
      total += weights[i];
    }
    for (let i = 0; i < weights.length; i++) weights[i] /= total;
    return weights;
  };
}

/** @throws RangeError for one that is not above 0 */
export function requireTemperature(temperature: number): void {
  if (!(temperature > 0 && Number.isFinite(temperature))) throw new RangeError(`a temperature of ${temperature}`);
}

export function totalOf(weights: Float64Array): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i];
  return total;
}

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
