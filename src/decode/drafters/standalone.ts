/**
 * The model drafts for itself, and as a model of its own: the target's blocks, some quantised or left out, over a cache that
 * they filled themselves. That is how engines run a draft (vLLM, SGLang, TensorRT-LLM, llama.cpp, transformers' assistant,
 * onnxruntime-genai). It reads nothing of the target's cache, so it pays for the prompt once more, and it attends to its own
 * states of the prompt instead of the target's.
 */
import { type ChoiceSet, choiceKey } from "../../schema/choice.js";
import type { Drafter } from "./drafter.js";
import type { OwnCache } from "./own-cache.js";

/** A second cache of the target's engine that was opened for drafts. Whoever opened it closes it. */
export interface SecondCache {
  readonly kind: "own cache";
  readonly cache: OwnCache;
  close(): void;
}

const OWN = "own cache";

/** Whether a drafter is one of these: it reads the prompt when it is first asked. */
export const readsPromptLate = ({ key }: Drafter): boolean => key.startsWith(`${OWN} `);

/**
 * The prompt is read in the round that first asks for a draft, or before the first round where a policy names the drafter:
 * all of it, whatever the text before had in common with it, so that its time is what an engine pays.
 * @param cache may be shared by drafts that take turns: each then begins with the whole text
 */
export function standaloneDrafter(choices: ChoiceSet, cache: OwnCache): Drafter {
  return {
    key: `${OWN} ${choiceKey(choices)}`,
    begin(text, progress) {
      cache.clear();
      return cache.begin(text, choices, progress);
    },
    draft: (state, draftTokens) => cache.draft(state, choices, draftTokens),
    // the last token of a draft accepted entirely is run with the bonus token behind it: a pass of two, priced as one of one
    costUs: (prices, contextTokens, draftTokens) => draftTokens * prices.draftUs(choices, contextTokens),
  };
}
