/**
 * The seam between a drafter's proposal and the output: which drafted tokens stand, and which token follows them. Greedy
 * decoding takes the target's most likely tokens; sampling draws, and may keep state (a random source) of its own.
 */
import type { Chosen, Proposal } from "../drafters/drafter.js";

/** What stands of a proposal. */
export interface Accepted {
  /** nodes of the proposal, each behind the one before it */
  readonly path: readonly number[];
  /** the token that the target itself puts behind them: the bonus token, or the correction */
  readonly next: number;
}

export interface Accept {
  /** whether the output is what the target alone would give: its own tokens, or tokens of its own distribution */
  readonly lossless: boolean;
  /**
   * @param logits   [nodes + 1, vocabSize] of the target: row 0 behind the pending token, row i + 1 behind node i
   * @param proposal without nodes in a plain step and right behind the prompt
   * @param text     the prompt and all that was emitted, the pending token last: what a penalty looks at. The text in front
   *                 of a drafted token is longer by those that lead to it
   */
  accept(logits: Float32Array, proposal: Proposal, vocabSize: number, text: readonly number[]): Accepted;
  /**
   * The same where no more is known of the target than its likeliest token in every row, the first on a tie. Left out where
   * logits are needed
   * @param likeliest [nodes + 1] rows as in `accept`
   */
  acceptLikeliest?(likeliest: readonly number[], proposal: Proposal): Accepted;
  /**
   * The token that a drafter puts behind `text` and `drafted`, chosen as the target's would be: the likeliest, or one drawn
   * behind the same filters from the same random source.
   * @param logits [vocabSize] of the drafter
   */
  choose(logits: Float32Array, text: readonly number[], drafted: readonly number[]): Chosen;
}
