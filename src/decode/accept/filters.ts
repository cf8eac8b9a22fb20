/**
 * What is left of a model's logits behind the filters of sampling, in transformers' order (5.24, `_get_logits_processor`):
 * repetition penalty, temperature, top-k, top-p, min-p. Each looks at what the one before it left.
 *
 * All but the first keep a beginning of the tokens in falling order of their logits, so a filter is a least logit that stays:
 * top-k keeps every token as likely as the k-th (ties too), top-p takes the least likely ones away as long as what was
 * taken sums to no more than 1 − p, min-p keeps those of at least its share of the likeliest one. The likeliest always stays.
 */
import type { Filters } from "../../schema/sampling.js";
import { atTemperature, type Distribution, requireTemperature, totalOf } from "./distribution.js";

/**
 * The distribution that a token is drawn from.
 * @throws RangeError for a temperature that is not above 0, or a filter that keeps nothing
 */
export function filtered(filters: Filters): Distribution {
  const { temperature, top_k, top_p = 1, min_p = 0 } = filters;
  requireTemperature(temperature);
  if (top_k !== undefined && !(Number.isInteger(top_k) && top_k >= 1)) throw new RangeError(`a top-k of ${top_k}`);
  if (!(top_p > 0 && top_p <= 1)) throw new RangeError(`a top-p of ${top_p}`);
  if (!(min_p >= 0 && min_p <= 1)) throw new RangeError(`a min-p of ${min_p}`);
  const penalise = penaliser(filters.repetition_penalty);
  const softmax = atTemperature(temperature);
  return (logits, text, drafted) => {
    const scores = penalise(logits, text, drafted);
    const weights = softmax(scores);
    if (top_k !== undefined && top_k < scores.length) keepFrom(weights, scores, kthLargest(scores, top_k));
    if (top_p < 1) keepMass(weights, top_p);
    if (min_p > 0) keepShare(weights, min_p);
    return weights;
  };
}

type Penaliser = (logits: Float32Array, text: readonly number[], drafted: readonly number[]) => Float32Array;

/**
 * Logits of tokens that the text has already, made smaller: once, however often they are there (Keskar et al. 2019,
 * arXiv:1909.05858, section 4.1, with the sign of the logit seen to as transformers does). In float32, as logits come.
 * @param penalty above 0; 1 or undefined: none
 * @throws RangeError for any other
 */
export function penaliser(penalty = 1): Penaliser {
  if (!(penalty > 0 && Number.isFinite(penalty))) throw new RangeError(`a repetition penalty of ${penalty}`);
  if (penalty === 1) return (logits) => logits;
  return (logits, text, drafted) => {
    const scores = logits.slice();
    for (const tokens of [text, drafted])
      for (const token of tokens) scores[token] = logits[token] < 0 ? logits[token] * penalty : logits[token] / penalty;
    return scores;
  };
}

/** Takes away what scores less than `least`. */
function keepFrom(weights: Float64Array, scores: Float32Array, least: number): void {
  for (let i = 0; i < weights.length; i++) if (scores[i] < least) weights[i] = 0;
}

/**
 * Takes the least likely tokens away, of equally likely ones those of lower ids first, while all that were taken have no
 * more than 1 − p together; the likeliest stays. Sorting a vocabulary takes milliseconds, so tokens are first taken
 * together that are rarer than a threshold, the highest of a few with which they all go, and only the others are sorted.
 */
function keepMass(weights: Float64Array, p: number): void {
  const most = (1 - p) * totalOf(weights);
  let [threshold, gone] = [0, 0];
  for (let trial = most; trial > most * 1e-6; trial /= 8) {
    let below = 0;
    for (let i = 0; i < weights.length; i++) if (weights[i] < trial) below += weights[i];
    if (below > most) continue;
    [threshold, gone] = [trial, below];
    break;
  }
  const others: number[] = [];
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    if (weights[i] < threshold) weights[i] = 0;
    else others.push(i);
  }
  others.sort((a, b) => weights[a] - weights[b] || a - b);
  for (let i = 0; i < others.length - 1; i++) {
    gone += weights[others[i]];
    if (gone > most) return;
    weights[others[i]] = 0;
  }
}

/** Takes away what has less than a share of the greatest weight. */
function keepShare(weights: Float64Array, share: number): void {
  let most = 0;
  for (let i = 0; i < weights.length; i++) if (weights[i] > most) most = weights[i];
  const least = share * most;
  for (let i = 0; i < weights.length; i++) if (weights[i] < least) weights[i] = 0;
}

/** The k-th largest of some numbers, k from 1 on, in time that grows as their number does (Hoare 1961, algorithm 65). */
function kthLargest(values: Float32Array, k: number): number {
  const work = values.slice();
  const at = work.length - k;
  let [low, high] = [0, work.length - 1];
  while (low < high) {
    const pivot = work[(low + high) >> 1];
    let [i, j] = [low, high];
    while (i <= j) {
      while (work[i] < pivot) i++;
      while (work[j] > pivot) j--;
      if (i > j) break;
      [work[i], work[j]] = [work[j], work[i]];
      i++;
      j--;
    }
    if (at <= j) high = j;
    else if (at >= i) low = i;
    else break;
  }
  return work[at];
}
