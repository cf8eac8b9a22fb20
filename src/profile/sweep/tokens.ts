/**
 * Where passes have their tokens from.
 *
 * What a pass costs does not depend on its tokens, except where a router sends them to experts: the more of these a pass asks
 * for between its tokens, the more weights it reads. Tokens that follow one another in a text ask for fewer than as many at
 * random, and the same ones again and again for none that are not in a cache by then. So such models are timed on a text.
 */
export interface Tokens {
  /** ids of the next pass, `count` of them */
  next(count: number): number[];
}

/** The same in every pass. */
export const sameTokens = (ids: readonly number[]): Tokens => ({ next: (count) => ids.slice(0, count) });

/** A text in order, each pass from where the one before ended, and from its beginning again behind its end. */
export function textTokens(text: readonly number[], from = 0): Tokens {
  let at = from;
  return {
    next(count) {
      const ids = Array.from({ length: count }, (_, i) => text[(at + i) % text.length]);
      at = (at + count) % text.length;
      return ids;
    },
  };
}
