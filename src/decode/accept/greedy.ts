/** A drafted token stands where it is the target's most likely one. */
import { argmax } from "../../runtime/engine.js";
import type { Proposal } from "../drafters/drafter.js";
import type { Accept, Accepted } from "./accept.js";
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
    accept: (logits, proposal, vocabSize, text) =>
      follow(proposal, (row, drafted) => {
        const scores = penalise(logits.subarray(row * vocabSize, (row + 1) * vocabSize), text, drafted);
        return argmax(scores, 0, vocabSize);
      }),
    ...(penalty === 1 ? { acceptLikeliest: (of, proposal) => follow(proposal, (row) => of[row]) } : {}),
    choose(logits, text, drafted) {
      return { token: argmax(penalise(logits, text, drafted), 0, logits.length), distribution: null };
    },
  };
}

/**
 * Down the tree from the pending token, as long as a child is the target's own next token.
 * @param nextOf the target's token in a row, behind the drafted tokens that lead to it
 */
function follow({ tokens, parents }: Proposal, nextOf: (row: number, drafted: readonly number[]) => number): Accepted {
  const path: number[] = [];
  const drafted: number[] = [];
  for (let at: number | null = null; ; ) {
    const next = nextOf(at === null ? 0 : at + 1, drafted);
    const child = tokens.findIndex((token, node) => token === next && parents[node] === at);
    if (child === -1) return { path, next };
    path.push(child);
    drafted.push(next);
    at = child;
  }
}

export const greedy: Accept = greedily();
