/**
 * A KV cache that a drafter fills by itself, along a text that others write: the prompt first, then whatever stood. Nothing
 * is taken back from it: what it holds is compared with the text, and what lies behind the first token that differs is
 * written over, so a rollback after a rejection is only a smaller position. It may lag behind (another drafter had the
 * rounds between): the next draft then begins with one pass over all that it missed.
 */
import type { Progress } from "../../core/progress.js";
import type { Engine } from "../../runtime/engine.js";
import { MAX_PASS_TOKENS } from "../../runtime/limits.js";
import { type ChoiceSet, choiceKey } from "../../schema/choice.js";
import { type Chosen, chosenChain, type DraftState, NOTHING, type Proposal } from "./drafter.js";

export class OwnCache {
  /** tokens whose keys and values it holds, in order */
  private held: number[] = [];
  /** of these, how many are known to be the text's own first ones */
  private followed = 0;
  /** whose keys and values they are: other choices give others */
  private key = "";

  /** @param engine nobody else runs passes on it */
  constructor(readonly engine: Engine) {}

  /** Nothing that it holds counts any more: the next text is run from its beginning. */
  clear(): void {
    [this.held, this.followed] = [[], 0];
  }

  /** Another text begins. What it shares with the one before need not be run again. */
  async begin(text: readonly number[], choices: ChoiceSet, progress: Progress): Promise<void> {
    this.followed = 0;
    if (!this.knows(text) || text.length > this.engine.capacity) return;
    for (let from = this.place(text, choices); from < text.length; from = this.held.length) {
      this.write(text.slice(from, from + MAX_PASS_TOKENS), from, choices, 0);
      await progress.tick();
    }
  }

  /**
   * Drafts what its model makes of the text, token after token.
   * @returns fewer tokens than asked for where its context ends or its model goes on with a token that the target does not
   *   have; none where the text has one that it does not know
   */
  draft(state: DraftState, choices: ChoiceSet, draftTokens: number): Proposal {
    const { text, engine: target } = state;
    // of the drafted tokens the last one need not be in the cache
    const most = Math.min(draftTokens, this.engine.capacity - text.length + 1);
    if (most <= 0 || !this.knows(text)) return NOTHING;
    const drafted: number[] = [];
    const chosen: Chosen[] = [];
    let logits = this.behind(text, choices);
    for (;;) {
      const one = state.choose(logits.subarray(0, target.spec.vocabSize), drafted);
      const { token } = one;
      chosen.push(one);
      drafted.push(token);
      const isLast = drafted.length === most || one.last === true;
      if (isLast || token >= this.engine.spec.vocabSize) return chosenChain(chosen);
      logits = this.write([token], text.length + drafted.length - 1, choices, 1);
    }
  }

  /** [vocabSize] logits behind the text's last token. */
  private behind(text: readonly number[], choices: ChoiceSet): Float32Array {
    const { vocabSize } = this.engine.spec;
    let logits: Float32Array = new Float32Array();
    // the last token is run again where the cache holds all: its logits are not kept
    for (let from = Math.min(this.place(text, choices), text.length - 1); from < text.length; from = this.held.length) {
      const input = text.slice(from, from + MAX_PASS_TOKENS);
      logits = this.write(input, from, choices, 1).subarray(0, vocabSize);
    }
    this.followed = text.length;
    return logits;
  }

  /** How many of the text's first tokens it holds. */
  private place(text: readonly number[], choices: ChoiceSet): number {
    const key = choiceKey(choices);
    if (key !== this.key) [this.held, this.followed, this.key] = [[], 0, key];
    let at = Math.min(this.followed, text.length);
    while (at < this.held.length && at < text.length && this.held[at] === text[at]) at++;
    this.followed = at;
    return at;
  }

  private write(input: readonly number[], position: number, choices: ChoiceSet, logitRows: number): Float32Array {
    const { logits } = this.engine.run({ position, input, choices, logitRows });
    this.held.length = position;
    this.held.push(...input);
    return logits;
  }

  /** Whether its model has every token of a text. */
  private knows(text: readonly number[]): boolean {
    const { vocabSize } = this.engine.spec;
    for (let i = this.followed; i < text.length; i++) if (text[i] >= vocabSize) return false;
    return true;
  }
}
