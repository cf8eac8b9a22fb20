/** Every way to draft, by its word in plans and on the command line. A new one is a file beside these and a line here. */
import { type Draft, expandDraft } from "../../schema/choice.js";
import type { NgramTokens } from "../../schema/drafter.js";
import type { Drafter } from "./drafter.js";
import { type Heads, headsDrafter } from "./heads.js";
import { lookupDrafter } from "./lookup.js";
import { noDrafter } from "./none.js";
import { selfDrafter } from "./self.js";

/** What a segment of a plan says of its drafter. */
export interface DrafterSource {
  /** blocks, where the model drafts for itself */
  draft: Draft;
  /** heads that are open, and the ranks along each node's path, where heads draft */
  heads: { open: Heads; tree: readonly (readonly number[])[] };
  /** lengths of n-grams, where the text so far is looked up */
  ngramTokens: NgramTokens;
  layers: number;
  /** for errors */
  at: string;
}

export const DRAFTERS = {
  none: () => noDrafter,
  self: ({ draft, layers, at }: Pick<DrafterSource, "draft" | "layers" | "at">) =>
    selfDrafter(expandDraft(draft, layers, at)),
  lookup: ({ ngramTokens }: Pick<DrafterSource, "ngramTokens">) => lookupDrafter(ngramTokens),
  heads: ({ heads: { open, tree }, at }: Pick<DrafterSource, "heads" | "at">) => headsDrafter(open, tree, at),
} satisfies Record<string, (source: DrafterSource) => Drafter>;
