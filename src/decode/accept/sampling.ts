/**
 * Sampling: the output's distribution is the target's own, whatever was drafted.
 *
 * Siblings are tried in turn. With p what is left of the target's distribution behind their parent, a token x that a
 * drafter chose without drawing it (heads, a lookup, a greedy draft) stands with probability p(x); otherwise x is taken out
 * of p, p is made to sum to 1 again, and the next sibling is tried. A token that was drawn from q stands with probability
 * min(1, p(x) / q(x)), and otherwise p becomes max(0, p − q), made to sum to 1 (Leviathan et al. 2023, arXiv:2211.17192,
 * algorithm 1; Chen et al. 2023, arXiv:2302.01318, theorem 1). The first rule is the second with all of q on x. Where no
 * sibling stands, the next token is drawn from what is left of p. Each trial leaves the token's distribution p, so any
 * number of them does (SpecInfer, arXiv:2305.09781, theorem 4.2).
 */
import type { Random } from "../../stats/random.js";
import type { Proposal } from "../drafters/drafter.js";
import type { Accept } from "./accept.js";
import { atTemperature, type Distribution, draw, totalOf } from "./distribution.js";

export interface SamplingOptions {
  random: Random;
  /** a temperature above 0, or what logits mean: filters of the likeliest tokens, penalties */
  distribution: number | Distribution;
}

/**
 * Draws tokens as the target would, from one random source: equal seeds and equal proposals give equal tokens, and other
 * proposals other tokens of the same distribution.
 * @throws RangeError for a temperature that is not above 0
 */
export function sampling({ random, distribution }: SamplingOptions): Accept {
  const toWeights = typeof distribution === "number" ? atTemperature(distribution) : distribution;
  return {
    lossless: true,
    accept(logits, proposal, vocabSize, text) {
      const path: number[] = [];
      const drafted: number[] = [];
      for (;;) {
        const at: number | null = path.length === 0 ? null : path[path.length - 1];
        const row: number = at === null ? 0 : at + 1;
        const p = toWeights(logits.subarray(row * vocabSize, (row + 1) * vocabSize), text, drafted);
        const { stands, left } = tryChildren(p, proposal, at, random);
        if (stands === null) return { path, next: draw(left, random) };
        path.push(stands);
        drafted.push(proposal.tokens[stands]);
      }
    },
    choose(logits, text, drafted) {
      const distribution = toWeights(logits, text, drafted);
      return { token: draw(distribution, random), distribution };
    },
  };
}

/** The children of a node in turn. @returns the one that stands, or what is left of the distribution where none does */
function tryChildren(
  p: Float64Array,
  { tokens, parents, distributions }: Proposal,
  parent: number | null,
  random: Random,
): { stands: number | null; left: Float64Array } {
  let left = p;
  for (const [node, token] of tokens.entries()) {
    if (parents[node] !== parent) continue;
    const q = distributions?.[node] ?? null;
    const chance = q === null ? left[token] / totalOf(left) : ratio(left, q, token);
    if (random.float() < chance) return { stands: node, left };
    const after = q === null ? without(left, token) : beyond(left, q);
    // nothing beyond q: the two were equal but for rounding
    if (totalOf(after) === 0) return { stands: node, left };
    left = after;
  }
  return { stands: null, left };
}

/** p without a token. */
function without(p: Float64Array, token: number): Float64Array {
  const left = p.slice();
  left[token] = 0;
  return left;
}

/** max(0, p − q) of p made to sum to 1, and q. */
function beyond(p: Float64Array, q: Float64Array): Float64Array {
  const [ofP, ofQ] = [totalOf(p), totalOf(q)];
  const left = new Float64Array(p.length);
  // a drafter's vocabulary may be the smaller one
  for (let i = 0; i < left.length; i++) left[i] = Math.max(0, p[i] / ofP - (i < q.length ? q[i] / ofQ : 0));
  return left;
}

/** p(x) / q(x). @throws Error where q cannot have drawn x */
function ratio(p: Float64Array, q: Float64Array, token: number): number {
  if (!(q[token] > 0)) throw new Error(`token ${token} was drawn from a distribution that does not have it`);
  return p[token] / totalOf(p) / (q[token] / totalOf(q));
}
