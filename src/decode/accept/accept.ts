/**
 * The seam between a drafter's proposal and the output: which drafted tokens stand, and which token follows them. Greedy
 * decoding takes the target's most likely tokens; sampling draws, and may keep state (a random source) of its own.
 */
import type { Proposal } from "../drafters/drafter.js";

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
   */
  accept(logits: Float32Array, proposal: Proposal, vocabSize: number): Accepted;
}
