/**
 * The text so far drafts (prompt lookup, Saxena 2023; "n-gram" in vLLM and llama.cpp): where the last tokens stood before,
 * what followed them there is proposed again. It costs nothing but the rows of the verification, and is right where a text
 * repeats itself: edits, summaries, code, lists. Proposals are no draws: of each all of the chance is on its token.
 */

import { NgramIndex } from "../../core/ngram-index.js";
import type { NgramTokens } from "../../schema/drafter.js";
import { chain, type Drafter, NOTHING } from "./drafter.js";

export interface LookupDrafter extends Drafter {
  /** Tokens of the longest n-gram at the text's end that stood before; 0 where none of the asked lengths did. */
  matched(): number;
}

/** Drafts what followed the longest n-gram of these lengths where it last stood; no match, no proposal. */
export function lookupDrafter({ min, max }: NgramTokens): LookupDrafter {
  let index = new NgramIndex(max);
  const matched = () => {
    const { tokens } = index.match();
    return tokens >= min ? tokens : 0;
  };
  return {
    key: `lookup ${min} ${max}`,
    begin(text) {
      index = new NgramIndex(max);
      index.extend(text);
    },
    extend: (tokens) => index.extend(tokens),
    matched,
    draft: (_state, draftTokens) => (matched() === 0 ? NOTHING : chain(index.continuation(draftTokens))),
    costUs: () => 0,
    close() {
      index = new NgramIndex(max);
    },
  };
}
