/**
 * Cheap acceptance (docs/method.md): along an accepted prefix, d draft steps are one pass of d tokens through the draft over
 * the target's cache, because token i attends the target's keys and values before the round and the draft's own since.
 * Rounds are worked through from the end of the text to its beginning, so what a draft wrote never lies before a later
 * round, and the cache need not be restored between drafts.
 */
import type { Engine } from "../runtime/engine.js";
import { argmax } from "../runtime/engine.js";
import type { ChoiceSet } from "../schema/choice.js";
import { confidenceOfLogits } from "../stats/confidence.js";
import { rankOf } from "../stats/likeliest.js";
import type { Continuation, RoundSpan, TargetTrace } from "./continuation.js";
import { overlap } from "./overlap.js";
import { atTemperature } from "./sampling.js";

/** What one round of one draft showed. */
export interface DraftPass {
  /** [count] whether each step's token is the target's */
  hits: boolean[];
  /** [count] overlap of the draft's and the target's distributions, 0 to 1; empty where it was not asked for */
  overlaps: number[];
  /** [count] rank of the target's token among each step's, 0 for a hit; empty where confidence was not asked for */
  ranks: number[];
  /** [count] how sure each step is of its token; empty where it was not asked for */
  confidences: number[];
}

/** The first block whose choice is not the target's; 2L where only the head differs. */
export function firstChange(choices: ChoiceSet): number {
  const index = choices.blocks.findIndex((choice) => choice !== "target");
  return index === -1 ? choices.blocks.length : index;
}

/** The same draft with the blocks that change nothing left out: they are replaced by the target's own states. */
export function startingAt(choices: ChoiceSet, start: number): ChoiceSet {
  return { head: choices.head, blocks: choices.blocks.map((choice, block) => (block < start ? "skip" : choice)) };
}

/**
 * Runs one draft over one round. The cache must hold the target's states of everything before the round.
 * @param trace      the target's states; without it the draft runs from its first block and overlaps are not computed
 * @param confidence whether to look at how sure the draft is
 */
export function draftPass(
  engine: Engine,
  continuation: Continuation,
  span: RoundSpan,
  choices: ChoiceSet,
  trace: TargetTrace | null,
  confidence = false,
): DraftPass {
  const { hiddenSize, vocabSize } = engine.spec;
  const { from, count } = span;
  const start = trace === null ? 0 : firstChange(choices);
  const input =
    start === 0 || trace === null
      ? continuation.ids.slice(from, from + count)
      : { hidden: trace.hidden[start].slice(from * hiddenSize, (from + count) * hiddenSize) };
  const position = continuation.prompt.length + from;
  const { logits } = engine.run({ position, input, choices: startingAt(choices, start), logitRows: count });
  const warmed = trace === null ? logits : atTemperature(logits, continuation.temperature);
  const hits: boolean[] = [];
  const overlaps: number[] = [];
  const confidences: number[] = [];
  const ranks: number[] = [];
  for (let row = 0; row < count; row++) {
    const token = continuation.ids[from + row + 1];
    const hit = argmax(logits, row, vocabSize) === token;
    hits.push(hit);
    if (trace !== null) overlaps.push(overlap(trace.distributions[from + row], warmed, row, vocabSize));
    if (!confidence) continue;
    confidences.push(confidenceOfLogits(logits, row, vocabSize));
    ranks.push(hit ? 0 : rankOf(token, logits, row, vocabSize));
  }
  return { hits, overlaps, confidences, ranks };
}

/** Accepted tokens of a round: the hits before the first miss. */
export const acceptedOf = (hits: readonly boolean[]): number => {
  const miss = hits.indexOf(false);
  return miss === -1 ? hits.length : miss;
};
