/** A drafter of the solver's as documents name it, for words and JSON. */
import { describeChoices } from "../../schema/choice.js";
import { branchesKey, type DrafterRef } from "../../schema/drafter.js";
import { drafterText } from "../../schema/plan-text.js";
import type { PlannedDraft, SolvedDrafter } from "../../solve/index.js";

type Otherwise = Extract<DrafterRef, { kind: "hybrid" }>["otherwise"];
type Single = Exclude<SolvedDrafter, { kind: "lookup" | "hybrid" }>;

export function drafterRef(drafter: SolvedDrafter): DrafterRef {
  switch (drafter.kind) {
    case "lookup":
      return { kind: "lookup", ngram_tokens: drafter.ngramTokens, ...branchesKey(drafter.branches) };
    case "hybrid": {
      const { minMatch: min_match, ngramTokens: ngram_tokens, lookupTokens: draft_tokens, otherwise } = drafter;
      const lookup = { min_match, ngram_tokens, draft_tokens, ...branchesKey(drafter.branches) };
      return { kind: "hybrid", lookup, otherwise: singleRef(otherwise) };
    }
    default:
      return singleRef(drafter);
  }
}

function singleRef(drafter: Single): Otherwise {
  switch (drafter.kind) {
    case "self":
      return { kind: "self", ...(drafter.siblings === 0 ? {} : { siblings: drafter.siblings }) };
    case "heads":
      return { kind: "heads", ...drafter.heads, tree: drafter.tree.map((ranks) => [...ranks]) };
    case "model": {
      const { name, weightsSha256: weights_sha256, path, kernel } = drafter;
      return { kind: "model", name, weights_sha256, path, kernel };
    }
  }
}

/** The model's own blocks that draft, alone or beside a lookup; null where others do. */
export function ownBlocks(drafter: SolvedDrafter) {
  const main = drafter.kind === "hybrid" ? drafter.otherwise : drafter;
  return main.kind === "self" ? main.set : null;
}

/** `int8 24, head int8`; `a lookup of 2 to 8 tokens` */
export function describeDrafter({ drafter }: Pick<PlannedDraft, "drafter">): string {
  const own = ownBlocks(drafter);
  return drafterText(drafterRef(drafter), own === null ? undefined : describeChoices(own));
}

/** What kinds of drafters are called. */
export const DRAFTER_WORDS: Readonly<Record<SolvedDrafter["kind"], string>> = {
  self: "the model's own blocks",
  lookup: "a lookup",
  model: "another model",
  heads: "heads",
  hybrid: "a lookup beside another drafter",
};
