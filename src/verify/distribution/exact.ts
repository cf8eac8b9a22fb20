/**
 * The distribution that a token is to be drawn from, by definition: logits sorted, every filter a count of the likeliest
 * tokens that stay. Nothing here comes from `src/decode`, whose filters are judged by it.
 */
import type { Filters } from "../../schema/sampling.js";

export interface ExactDistribution {
  probability(token: number): number;
  /** whether a token may be drawn at all, by somebody whose logits differ by the slack */
  possible(token: number): boolean;
  /** false where logits that differ by the slack would leave other tokens: which of them stay is then a tie */
  sure: boolean;
  /** tokens whose probability is at least so much */
  atLeast(probability: number): number[];
}

/**
 * @param text  the prompt and all behind it, for the repetition penalty
 * @param slack how far two passes' logits may be apart: the tie margin
 */
export function exactDistribution(
  logits: Float32Array,
  filters: Filters,
  text: readonly number[],
  slack: number,
): ExactDistribution {
  const { temperature } = filters;
  const scores = Float64Array.from(penalised(logits, text, filters.repetition_penalty), (x) => x / temperature);
  const sorted = scores.slice().sort().reverse();
  const weights = sorted.map((score) => Math.exp(score - sorted[0]));
  const margin = slack / temperature;
  const kept = keptOf(sorted, weights, filters, 0);
  const [fewest, most] = [keptOf(sorted, weights, filters, -margin), keptOf(sorted, weights, filters, margin)];
  const least = sorted[kept - 1];
  const total = weights.subarray(0, kept).reduce((sum, weight) => sum + weight, 0);
  const probability = (token: number) => (scores[token] >= least ? Math.exp(scores[token] - sorted[0]) / total : 0);
  return {
    probability,
    possible: (token) => scores[token] >= sorted[most - 1] - margin,
    sure: fewest === most && (kept === sorted.length || sorted[kept] < least - margin),
    atLeast: (share) => {
      const found: number[] = [];
      for (let token = 0; token < scores.length; token++) if (probability(token) >= share) found.push(token);
      return found;
    },
  };
}

/** Logits with those of tokens that the text has divided by the penalty above 0, multiplied below. */
export function penalised(logits: Float32Array, text: readonly number[], penalty = 1): Float32Array {
  if (penalty === 1) return logits;
  const seen = new Set(text);
  return logits.map((logit, token) => (!seen.has(token) ? logit : logit < 0 ? logit * penalty : logit / penalty));
}

/** How many of the likeliest tokens stay, every border moved by a margin. */
function keptOf(
  sorted: Float64Array,
  weights: Float64Array,
  { top_k, top_p = 1, min_p = 0 }: Filters,
  margin: number,
): number {
  let kept = sorted.length;
  if (top_k !== undefined && top_k < kept) kept = keptAround(sorted, sorted[top_k - 1], margin);
  if (top_p < 1) {
    let left = weights.subarray(0, kept).reduce((sum, weight) => sum + weight, 0);
    const most = left * Math.max(0, 1 - top_p - margin);
    let tail = 0;
    for (left = kept; left > 1 && tail + weights[left - 1] <= most; left--) tail += weights[left - 1];
    kept = left;
  }
  if (min_p > 0) kept = Math.min(kept, countFrom(weights, min_p * (1 - margin)));
  return Math.max(1, kept);
}

/** How many lie above a border that is one of them: where the next one is too close to it, either may be counted. */
function keptAround(falling: Float64Array, border: number, margin: number): number {
  const [least, most] = [countFrom(falling, border), countFrom(falling, border - Math.abs(margin))];
  if (margin >= 0) return margin === 0 ? least : most;
  return least === most ? least : countFrom(falling, border + Math.abs(margin));
}

/** How many of numbers in falling order are at least as great. */
function countFrom(falling: Float64Array, least: number): number {
  let [low, high] = [0, falling.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (falling[middle] >= least) low = middle + 1;
    else high = middle;
  }
  return low;
}
