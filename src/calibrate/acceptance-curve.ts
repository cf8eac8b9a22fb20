/**
 * The acceptance curve of a draft from hits along a text, with rounds following one another as they do in decoding.
 *
 * Where a round begins is not chance: the next one begins behind the last one's rejection, and rejections come in
 * clusters. Rounds that begin at every so-many-th token see too much of what is easy, and the more so the longer the
 * draft. So for every length k the text is worked through in rounds of k, each from where the one before it ended, which
 * gives the tokens of a round E_k; and a_k = E_k − E_{k−1}, so that 1 + Σ_{i≤k} a_i is E_k for every k.
 */

import { isotonic } from "../stats/isotonic.js";
import { significant } from "../stats/numbers.js";

/** Rounds of one length along one text. */
export interface RoundCount {
  rounds: number;
  /** tokens they yield, the target's own counted */
  tokens: number;
  /** rounds whose last token was looked at: those before it were accepted */
  reachedLast: number;
}

/**
 * @param texts [texts][positions] whether the draft's token is the target's there
 * @param d     longest round
 * @param pooledRounds rounds that the pooled rate counts for at each length: the longest have the fewest
 * @returns [d+1] never rising, a_0 = 1
 */
export function curveOfRounds(texts: readonly (readonly boolean[])[], d: number, pooledRounds: number): number[] {
  const pooled = pooledRate(texts);
  const rises: number[] = [];
  let before = 0;
  for (let k = 1; k <= d; k++) {
    const { rounds, tokens } = countRounds(texts, k);
    const expected = (tokens - rounds + pooledRounds * geometricSum(pooled, k)) / (rounds + pooledRounds);
    rises.push(expected - before);
    before = expected;
  }
  // lengths are measured on different rounds: a later rise may come out above an earlier one by chance
  const falling = isotonic(rises.map((rise) => -rise)).map((value) => Math.min(1, Math.max(0, -value)));
  return [1, ...falling.map((a) => significant(a, 6))];
}

/** @returns [d] rounds that came to position i: of rounds of i tokens, those whose last one was looked at */
export function roundsReaching(texts: readonly (readonly boolean[])[], d: number): number[] {
  const reached = Array.from({ length: d }, (_, i) => countRounds(texts, i + 1).reachedLast);
  // among longer rounds no more than among shorter ones can have reached so far
  reached.forEach((count, i) => {
    if (i > 0) reached[i] = Math.min(reached[i - 1], count);
  });
  return reached;
}

/** Rounds of k tokens from the beginning of each text; one that the text's end would cut short is left out. */
export function countRounds(texts: readonly (readonly boolean[])[], k: number): RoundCount {
  const all: RoundCount = { rounds: 0, tokens: 0, reachedLast: 0 };
  for (const hits of texts) {
    for (let from = 0; from + k <= hits.length; ) {
      let accepted = 0;
      while (accepted < k && hits[from + accepted]) accepted++;
      all.rounds++;
      all.tokens += accepted + 1;
      if (accepted >= k - 1) all.reachedLast++;
      from += accepted + 1;
    }
  }
  return all;
}

/** Share of all positions that are hits. */
function pooledRate(texts: readonly (readonly boolean[])[]): number {
  const hits = texts.flat();
  return hits.length === 0 ? 0 : hits.filter(Boolean).length / hits.length;
}

/** Σ_{i=1..k} α^i */
function geometricSum(alpha: number, k: number): number {
  let [sum, power] = [0, 1];
  for (let i = 1; i <= k; i++) {
    power *= alpha;
    sum += power;
  }
  return sum;
}
