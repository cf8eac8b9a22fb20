/**
 * Acceptance for sampling at a temperature (Leviathan et al. 2023, arXiv:2211.17192).
 *
 * A token x drawn from the draft's q is accepted with chance min(1, p(x)/q(x)). The chance that a draft of i tokens is
 * drawn and accepted entirely is, summed over all drafts x_1…x_i,
 *
 *     a_i = Σ Π_j q(x_j) · min(1, p(x_j)/q(x_j)) = Σ Π_j min(p, q)(x_j) = E_{x~p} [ Π_{j≤i} min(1, q(x_j)/p(x_j)) ],
 *
 * p and q given the tokens before. So a_i is a mean over text that the *target* sampled, and no draft need be drawn. The
 * last factor is summed over the vocabulary instead of taken at the one token that was drawn (Rao and Blackwell):
 *
 *     a_i = E_{x~p} [ Π_{j<i} min(1, q(x_j)/p(x_j)) · Σ_x min(p, q)(x) ]
 */

import type { Engine } from "../runtime/engine.js";
import { MAX_LOGIT_ROWS } from "../runtime/limits.js";
import { type ChoiceSet, targetChoices } from "../schema/choice.js";
import { confidenceOfLogits } from "../stats/confidence.js";
import { significant, sum } from "../stats/numbers.js";
import type { Continuation, RoundSpan } from "./continuation.js";
import { overlap, probabilityOf, type SparseDistribution, sparseSoftmax } from "./overlap.js";
import { atTemperature } from "./sampling.js";

/** The target's distribution at every position of a sampled continuation, whose prompt the cache must hold. */
export function targetDistributions(engine: Engine, { prompt, ids, temperature }: Continuation): SparseDistribution[] {
  const { layers, vocabSize } = engine.spec;
  const found: SparseDistribution[] = [];
  for (let from = 0; from < ids.length - 1; from += MAX_LOGIT_ROWS) {
    const input = ids.slice(from, Math.min(from + MAX_LOGIT_ROWS, ids.length - 1));
    const pass = { position: prompt.length + from, input, choices: targetChoices(layers), logitRows: input.length };
    const logits = atTemperature(engine.run(pass).logits, temperature);
    for (let row = 0; row < input.length; row++) found.push(sparseSoftmax(logits, row, vocabSize));
  }
  return found;
}

/** One round of one draft along sampled text. */
export interface SampledRound {
  /** [count] Σ_x min(p, q) at each position */
  overlaps: number[];
  /** [count] min(1, q/p) of the token that the target drew there */
  ratios: number[];
  /** [count] how sure the distribution is that the draft would draw from */
  confidences: number[];
}

type Judged = Pick<SampledRound, "overlaps" | "ratios">;

/** @param distributions the target's, at every position of the continuation */
export function sampledRound(
  engine: Engine,
  continuation: Continuation,
  { from, count }: RoundSpan,
  choices: ChoiceSet,
  distributions: readonly SparseDistribution[],
): SampledRound {
  const { vocabSize } = engine.spec;
  const input = continuation.ids.slice(from, from + count);
  const position = continuation.prompt.length + from;
  const pass = engine.run({ position, input, choices, logitRows: count });
  const logits = atTemperature(pass.logits, continuation.temperature);
  const round: SampledRound = { overlaps: [], ratios: [], confidences: [] };
  for (let row = 0; row < count; row++) {
    const p = distributions[from + row];
    const drawn = continuation.ids[from + row + 1];
    const at = p.ids.indexOf(drawn);
    const q = probabilityOf(logits, row, vocabSize, drawn);
    round.overlaps.push(overlap(p, logits, row, vocabSize));
    round.confidences.push(confidenceOfLogits(logits, row, vocabSize));
    round.ratios.push(at === -1 ? 1 : Math.min(1, q / p.probabilities[at]));
  }
  return round;
}

/**
 * Expected acceptance curve of d positions: each conditional rate is Σ W·overlap / Σ W over the rounds, W being the
 * chance that the tokens before were accepted, drawn towards the rate pooled over all positions.
 * @param pooledRounds rounds that the pooled rate counts for at each position
 */
export function sampledCurve(rounds: readonly Judged[], d: number, pooledRounds: number): number[] {
  const tried = new Array<number>(d).fill(0);
  const kept = new Array<number>(d).fill(0);
  for (const { overlaps, ratios } of rounds) {
    let weight = 1;
    for (let i = 0; i < Math.min(d, overlaps.length); i++) {
      tried[i] += weight;
      kept[i] += weight * overlaps[i];
      weight *= ratios[i];
    }
  }
  const pooled = rounds.length === 0 ? 0 : sum(kept) / sum(tried);
  const curve = [1];
  for (let i = 0; i < d; i++) {
    const weight = tried[i] + pooledRounds;
    const rate = weight === 0 ? 0 : (kept[i] + pooledRounds * pooled) / weight;
    curve.push(significant(curve[i] * Math.min(1, rate), 6));
  }
  return curve;
}

/** [d] expected rounds that come to position i, in whole rounds: a round does with the chance that the tokens before it are accepted. */
export function sampledReaching(rounds: readonly Judged[], d: number): number[] {
  const reached = new Array<number>(d).fill(0);
  for (const { ratios } of rounds) {
    let weight = 1;
    for (let i = 0; i < Math.min(d, ratios.length); i++) {
      reached[i] += weight;
      weight *= ratios[i];
    }
  }
  return reached.map((count) => Math.floor(count + 1e-9));
}

/** Rounds of at least k tokens, and the tokens that k drafted ones are expected to yield in them, the target's own counted. */
export function sampledTokens(rounds: readonly Judged[], k: number): { rounds: number; tokens: number } {
  const long = rounds.filter(({ overlaps }) => overlaps.length >= k);
  let tokens = 0;
  for (const { overlaps, ratios } of long) {
    let weight = 1;
    tokens += 1;
    for (let i = 0; i < k; i++) {
      tokens += weight * overlaps[i];
      weight *= ratios[i];
    }
  }
  return { rounds: long.length, tokens };
}
