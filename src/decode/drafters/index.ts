/** Every way to draft, by its word in plans and on the command line. A new one is a file beside these and a line here. */
import { type Draft, expandDraft, type Kernel } from "../../schema/choice.js";
import type { Branches, NgramTokens } from "../../schema/drafter.js";
import type { Drafter } from "./drafter.js";
import { type Heads, headsDrafter } from "./heads.js";
import { type HybridOptions, hybridDrafter } from "./hybrid.js";
import { lookupDrafter } from "./lookup.js";
import { type DraftModel, modelDrafter } from "./model.js";
import { noDrafter } from "./none.js";
import type { OwnCache } from "./own-cache.js";
import { selfDrafter, siblingDrafter } from "./self.js";
import { standaloneDrafter } from "./standalone.js";

/** What a segment of a plan says of its drafter. */
export interface DrafterSource {
  /** blocks, where the model drafts for itself */
  draft: Draft;
  /** and the next likeliest tokens of its last step beside its own; undefined: none */
  siblings?: number | undefined;
  /** heads that are open, and the ranks along each node's path, where heads draft */
  heads: { open: Heads; tree: readonly (readonly number[])[] };
  /** lengths of n-grams, where the text so far is looked up */
  ngramTokens: NgramTokens;
  /** and places that are gone on from at once; undefined: one */
  branches?: Branches | undefined;
  /** another model that is open, and the kernel that it drafts in */
  model: { open: DraftModel; kernel: Kernel };
  /** a lookup where it finds a match, and who drafts where it does not */
  hybrid: HybridOptions & { otherwise: Drafter };
  /** where the model's own blocks draft over keys and values of their own */
  ownCache: OwnCache;
  layers: number;
  /** for errors */
  at: string;
}

export const DRAFTERS = {
  none: () => noDrafter,
  self: ({ draft, siblings, layers, at }: Pick<DrafterSource, "draft" | "siblings" | "layers" | "at">) => {
    const choices = expandDraft(draft, layers, at);
    return siblings === undefined ? selfDrafter(choices) : siblingDrafter(choices, siblings);
  },
  standalone: ({ draft, layers, at, ownCache }: Pick<DrafterSource, "draft" | "layers" | "at" | "ownCache">) =>
    standaloneDrafter(expandDraft(draft, layers, at), ownCache),
  lookup: ({ ngramTokens, branches }: Pick<DrafterSource, "ngramTokens" | "branches">) =>
    lookupDrafter(ngramTokens, branches),
  model: ({ model: { open, kernel } }: Pick<DrafterSource, "model">) => modelDrafter(open, kernel),
  heads: ({ heads: { open, tree }, at }: Pick<DrafterSource, "heads" | "at">) => headsDrafter(open, tree, at),
  hybrid: ({
    ngramTokens,
    branches,
    hybrid: { otherwise, ...options },
  }: Pick<DrafterSource, "ngramTokens" | "branches" | "hybrid">) =>
    hybridDrafter(lookupDrafter(ngramTokens, branches), otherwise, options),
} satisfies Record<string, (source: DrafterSource) => Drafter>;
