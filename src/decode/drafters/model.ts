/**
 * Another, smaller model of the same vocabulary drafts (Leviathan et al. 2023, arXiv:2211.17192; Chen et al. 2023,
 * arXiv:2302.01318), with an engine and a cache of its own and all of it in one kernel.
 */
import { type Kernel, uniformChoices } from "../../schema/choice.js";
import type { Drafter } from "./drafter.js";
import type { OwnCache } from "./own-cache.js";

/** Another model that was opened to draft. Whoever opened it closes it. */
export interface DraftModel {
  readonly kind: "model";
  readonly weightsSha256: string;
  readonly cache: OwnCache;
  close(): void;
}

export function modelDrafter({ weightsSha256, cache, close }: DraftModel, kernel: Kernel): Drafter {
  const choices = uniformChoices(cache.engine.spec.layers, kernel);
  return {
    key: `model ${weightsSha256} ${kernel}`,
    begin: (text, progress) => cache.begin(text, choices, progress),
    draft: (state, draftTokens) => cache.draft(state, choices, draftTokens),
    costUs: (prices, contextTokens, draftTokens) =>
      draftTokens * (prices.modelUs?.(weightsSha256, kernel, contextTokens) ?? 0),
    close,
  };
}
