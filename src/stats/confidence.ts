/**
 * How sure a distribution is of its likeliest token: the share of it in the two likeliest, p₁ / (p₁ + p₂), 1/2 to 1.
 *
 * A draft misses where another token is nearly as likely, however many others share the rest. So this tells hits from misses
 * better than the probability p₁ itself: over 384 positions the area under the curve of hits by confidence is 1.00, 0.81 and
 * 0.77 against 0.64, 0.60 and 0.67 (embedded model, int8 whole, without 3 and without 6 blocks; docs/measurements.md). It also
 * takes one look at the logits and no exponentials of a whole vocabulary.
 */

/** Of the softmax of logits [row, vocabSize]. */
export function confidenceOfLogits(logits: Float32Array, row: number, vocabSize: number): number {
  let [first, second] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = row * vocabSize; i < (row + 1) * vocabSize; i++) {
    const logit = logits[i];
    if (logit > first) {
      second = first;
      first = logit;
    } else if (logit > second) second = logit;
  }
  return 1 / (1 + Math.exp(second - first));
}

/** The same of weights, not all 0, that need not sum to 1. */
export function confidenceOfWeights(weights: Float64Array): number {
  let [first, second] = [0, 0];
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i];
    if (weight > first) {
      second = first;
      first = weight;
    } else if (weight > second) second = weight;
  }
  return first / (first + second);
}
