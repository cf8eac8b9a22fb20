/** A drafted token stands where it is the target's most likely one. */
import { argmax } from "../../runtime/engine.js";
import type { Accept } from "./accept.js";
import { penaliser } from "./filters.js";

/**
 * The likeliest token behind a repetition penalty.
 * @param penalty above 0; 1: none
 * @throws RangeError for any other
 */
export function greedily(penalty = 1): Accept {
  const penalise = penaliser(penalty);
  return {
    lossless: true,
    accept(logits, { tokens, parents }, vocabSize, text) {
      const path: number[] = [];
      const drafted: number[] = [];
      for (let at: number | null = null; ; ) {
        const row = at === null ? 0 : at + 1;
        const scores = penalise(logits.subarray(row * vocabSize, (row + 1) * vocabSize), text, drafted);
        const next = argmax(scores, 0, vocabSize);
        const child = tokens.findIndex((token, node) => token === next && parents[node] === at);
        if (child === -1) return { path, next };
        path.push(child);
        drafted.push(next);
        at = child;
      }
    },
    choose(logits, text, drafted) {
      return { token: argmax(penalise(logits, text, drafted), 0, logits.length), distribution: null };
    },
  };
}

export const greedy: Accept = greedily();
