/** What may draft, as the solver weighs it: lookups, other models, and a lookup beside another drafter are made here. */
import type { ChoiceSet, Kernel } from "../../schema/choice.js";
import type { Branches, NgramTokens } from "../../schema/drafter.js";
import type { HeadsDrafter } from "../trees/heads.js";

export interface SelfDrafter {
  kind: "self";
  set: ChoiceSet;
  /** next likeliest tokens of the last step that stand beside its own */
  siblings: number;
}

export type SingleDrafter = SelfDrafter | HeadsDrafter | ModelDrafter;
export type SolvedDrafter = SingleDrafter | LookupDrafter | HybridDrafter;

/** The drafter itself, or the one beside its lookup. */
export const mainOf = (drafter: SolvedDrafter): SingleDrafter | LookupDrafter =>
  drafter.kind === "hybrid" ? drafter.otherwise : drafter;

export interface LookupDrafter {
  kind: "lookup";
  ngramTokens: NgramTokens;
  /** places that are gone on from at once; undefined: one */
  branches: Branches | undefined;
  key: string;
}

export interface ModelDrafter {
  kind: "model";
  name: string;
  weightsSha256: string;
  /** as seen from where the plan will lie */
  path: string;
  kernel: Kernel;
  key: string;
}

export interface HybridDrafter {
  kind: "hybrid";
  minMatch: number;
  ngramTokens: NgramTokens;
  /** drafted behind a match, and places that are gone on from at once; undefined: one */
  lookupTokens: number;
  branches: Branches | undefined;
  otherwise: SingleDrafter;
  /** drafted by the other: of a tree its depth */
  otherwiseTokens: number;
  key: string;
}

const branchesKey = (branches: Branches | undefined): string =>
  branches === undefined ? "" : ` ${branches.count} by ${branches.draft_tokens}`;

export const lookupOf = (ngramTokens: NgramTokens, branches?: Branches): LookupDrafter => ({
  ...{ kind: "lookup", ngramTokens, branches },
  key: `lookup ${ngramTokens.min} ${ngramTokens.max}${branchesKey(branches)}`,
});

export const modelOf = (model: Omit<ModelDrafter, "kind" | "key">): ModelDrafter => ({
  ...{ name: model.name, weightsSha256: model.weightsSha256, path: model.path, kernel: model.kernel },
  ...{ kind: "model", key: `model ${model.weightsSha256} ${model.kernel}` },
});

/** @param otherwiseKey of the other drafter */
export const hybridOf = (hybrid: Omit<HybridDrafter, "kind" | "key">, otherwiseKey: string): HybridDrafter => {
  const { minMatch, ngramTokens, lookupTokens, branches, otherwise, otherwiseTokens } = hybrid;
  const lookup = `${minMatch} ${ngramTokens.min} ${ngramTokens.max} ${lookupTokens}${branchesKey(branches)}`;
  return {
    ...{ kind: "hybrid", minMatch, ngramTokens, lookupTokens, branches, otherwise, otherwiseTokens },
    key: `hybrid ${lookup} ${otherwiseTokens} ${otherwiseKey}`,
  };
};
