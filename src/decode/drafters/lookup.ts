/**
 * The text so far drafts (prompt lookup, Saxena 2023; "n-gram" in vLLM and llama.cpp): where the last tokens stood before,
 * what followed them there is proposed again. It costs nothing but the rows of the verification, and is right where a text
 * repeats itself: edits, summaries, code, lists. Proposals are no draws: of each all of the chance is on its token.
 */

import { type Branch, NgramIndex } from "../../core/ngram-index.js";
import { type Branches, MAX_DRAFT_TOKENS, type NgramTokens } from "../../schema/drafter.js";
import { chain, type Drafter, NOTHING, type Proposal } from "./drafter.js";

export interface LookupDrafter extends Drafter {
  /** Tokens of the longest n-gram at the text's end that stood before; 0 where none of the asked lengths did. */
  matched(): number;
}

/**
 * Drafts what followed the longest n-gram of these lengths where it last stood; no match, no proposal.
 * @param branches places that are gone on from at once, as a tree; left out: only that one, as a chain
 */
export function lookupDrafter({ min, max }: NgramTokens, branches?: Branches): LookupDrafter {
  let index = new NgramIndex(max);
  const matched = () => {
    const { tokens } = index.match();
    return tokens >= min ? tokens : 0;
  };
  return {
    key: `lookup ${min} ${max}${branches === undefined ? "" : ` ${branches.count} by ${branches.draft_tokens}`}`,
    begin(text) {
      index = new NgramIndex(max);
      index.extend(text);
    },
    extend: (tokens) => index.extend(tokens),
    matched,
    draft({ mostNodes }, draftTokens) {
      if (matched() === 0) return NOTHING;
      if (branches === undefined) return chain(index.continuation(draftTokens));
      // told apart by as many tokens as calibration does, so that plans count the same places
      const found = index.branches(branches.count, MAX_DRAFT_TOKENS, min);
      return merged(found, [draftTokens, Math.min(draftTokens, branches.draft_tokens)], mostNodes);
    },
    costUs: () => 0,
    close() {
      index = new NgramIndex(max);
    },
  };
}

/**
 * Continuations as one tree, in which those that begin alike share their first nodes.
 * @param lengths   tokens of the first, and of each other
 * @param mostNodes the last ones are left out
 */
function merged(branches: readonly Branch[], [first, other]: readonly [number, number], mostNodes: number): Proposal {
  const tokens: number[] = [];
  const parents: (number | null)[] = [];
  for (const [i, { continuation }] of branches.entries()) {
    let at: number | null = null;
    for (const token of continuation.slice(0, i === 0 ? first : other)) {
      let node = tokens.findIndex((known, child) => known === token && parents[child] === at);
      if (node === -1) {
        if (tokens.length === mostNodes) return { tokens, parents };
        node = tokens.push(token) - 1;
        parents.push(at);
      }
      at = node;
    }
  }
  return { tokens, parents };
}
