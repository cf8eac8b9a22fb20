/** A lookup where the text repeats itself, which costs nothing, and another drafter where it does not. */
import type { Drafter, DraftState, Proposal } from "./drafter.js";
import type { LookupDrafter } from "./lookup.js";

export interface HybridOptions {
  /** tokens that have to match for the lookup to draft */
  minMatch: number;
  /** tokens that the lookup drafts at most, and those of the other: one of them may be asked for more */
  lookupTokens: number;
  otherwiseTokens: number;
}

/**
 * The lookup's proposal where enough matches, else the other's: both follow the text by themselves, and others may ask them
 * too. A shorter match than asked for is gone on with only where the other drafter has nothing to propose.
 */
export const eitherOf =
  (lookup: LookupDrafter, otherwise: Drafter, { minMatch, lookupTokens, otherwiseTokens }: HybridOptions) =>
  (state: DraftState, draftTokens: number): Proposal => {
    const found = () => lookup.draft(state, Math.min(draftTokens, lookupTokens));
    if (lookup.matched() >= minMatch) return found();
    const proposal = otherwise.draft(state, Math.min(draftTokens, otherwiseTokens));
    return proposal.tokens.length > 0 ? proposal : found();
  };

export function hybridDrafter(lookup: LookupDrafter, otherwise: Drafter, options: HybridOptions): Drafter {
  const { minMatch, lookupTokens, otherwiseTokens } = options;
  const { states } = otherwise;
  return {
    key: `hybrid ${lookup.key} from ${minMatch} (${lookupTokens}), else (${otherwiseTokens}) ${otherwise.key}`,
    async begin(text, progress) {
      await lookup.begin?.(text, progress);
      await otherwise.begin?.(text, progress);
    },
    extend(tokens) {
      lookup.extend?.(tokens);
      otherwise.extend?.(tokens);
    },
    ...(states === undefined ? {} : { states: states.bind(otherwise) }),
    draft: eitherOf(lookup, otherwise, options),
    costUs: (prices, contextTokens, draftTokens) =>
      otherwise.costUs(prices, contextTokens, Math.min(draftTokens, otherwiseTokens)),
    close() {
      lookup.close?.();
      otherwise.close?.();
    },
  };
}
