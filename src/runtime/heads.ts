/**
 * What the rest of draftplan sees of heads that run: states in, the likeliest tokens out. `heads-engine.ts` runs them for
 * real; tests have made-up ones.
 */

export interface Heads {
  readonly kind: "medusa" | "hydra";
  /** how many there are: the depth of the deepest tree */
  readonly heads: number;
  /** likeliest tokens that a guess lists */
  readonly ranks: number;
  /** of the file of their weights, hex */
  readonly sha256: string;
  /**
   * What head `depth` (from 0) says of the token behind each path.
   * @param hidden [rows, hiddenSize] the target's residual states where it chose the pending token, before its final norm
   * @param path   [rows, depth + 1] the pending token and those drafted behind it; Medusa's heads do not look at it
   * @returns [rows, ranks] token ids, the likeliest first; a view, valid until the next guess
   */
  guess(hidden: Float32Array, depth: number, path: ArrayLike<number>): Int32Array;
  /**
   * All heads in one pass, where none asks for another's guess: Medusa's.
   * @param hidden [rows, hiddenSize] as above
   * @returns [rows, heads, ranks], valid until the next guess
   */
  guessAll?(hidden: Float32Array): Int32Array;
  /**
   * Heads that look at the states of the whole text (Hydra's prefix layer): tokens came to stand in the target's cache.
   * What was told from `position` on before is forgotten. `guess` then goes on from the last of them.
   * @param position of the first of them, at most the number told so far
   * @param hidden   [rows, hiddenSize] the target's residual states, before the final norm
   */
  states?(position: number, hidden: Float32Array): void;
  /** Releases what they hold; twice is harmless. */
  close(): void;
}
