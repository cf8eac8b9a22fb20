/** What may draft, as the solver weighs it: the model's own blocks, heads and the tree they fill, a lookup, another model. */
import { type ChoiceSet, choiceKey, compactDraft, expandDraft } from "../schema/choice.js";
import { branchesKey, type DrafterRef, lookupNodes } from "../schema/drafter.js";
import type { Segment } from "../schema/plan.js";
import {
  hybridOf,
  lookupOf,
  modelOf,
  type SelfDrafter,
  type SingleDrafter,
  type SolvedDrafter,
} from "./drafting/drafters.js";
import type { Known } from "./drafting/known.js";
import type { LatencyModel } from "./latency.js";
import { headsDrafter } from "./trees/heads.js";

export type { SelfDrafter, SingleDrafter, SolvedDrafter };

export const self = (set: ChoiceSet, siblings = 0): SelfDrafter => ({ kind: "self", set, siblings });

/** Equal for drafters that propose the same. */
export const drafterKey = (drafter: SolvedDrafter): string =>
  drafter.kind !== "self"
    ? drafter.key
    : drafter.siblings === 0
      ? choiceKey(drafter.set)
      : `${choiceKey(drafter.set)} and ${drafter.siblings}`;

/** Equal for drafters that differ in how much they draft alone: one set of choices; one set of heads, whatever its tree; one lookup. */
export function familyKey(drafter: SolvedDrafter): string {
  switch (drafter.kind) {
    case "self":
      return choiceKey(drafter.set);
    case "heads":
      return `heads ${drafter.heads.sha256}`;
    case "lookup":
      return lookupOf(drafter.ngramTokens).key;
    case "model":
      return drafter.key;
    case "hybrid":
      return `hybrid ${familyKey(drafter.otherwise)}`;
  }
}

/** Tokens that one verification holds beside the pending one: what a shorter draft has fewer of. */
export function nodesOf(drafter: SolvedDrafter, draftTokens: number): number {
  switch (drafter.kind) {
    case "self":
      return draftTokens + drafter.siblings;
    case "heads":
      return drafter.tree.length;
    case "lookup":
      return lookupNodes(draftTokens, drafter.branches);
    case "hybrid": {
      const { otherwise, otherwiseTokens, lookupTokens, branches } = drafter;
      return nodesOf(otherwise, otherwiseTokens) + lookupNodes(lookupTokens, branches);
    }
    default:
      return draftTokens;
  }
}

/** Longest draft that a round may have: of a hybrid that of either. */
export const longestDraft = (drafter: SolvedDrafter, draftTokens: number): number =>
  drafter.kind === "hybrid" ? Math.max(drafter.lookupTokens, drafter.otherwiseTokens) : draftTokens;

/**
 * µs of all the drafting of one round.
 * @param match share of rounds in which a lookup drafts
 */
export function draftingUs(
  latency: LatencyModel,
  n: number,
  drafter: SolvedDrafter,
  draftTokens: number,
  match = 1,
): number {
  switch (drafter.kind) {
    case "self":
      // siblings are found by one look at the last step's logits, as reading its confidence is
      return draftTokens * latency.draftUs(drafter.set, n) + (drafter.siblings > 0 ? (latency.confidenceUs ?? 0) : 0);
    case "heads":
      return latency.headsUs(drafter.heads.sha256, drafter.rows);
    case "lookup":
      return 0;
    case "model":
      return draftTokens * latency.modelUs(drafter.weightsSha256, drafter.kernel, n);
    case "hybrid":
      return (1 - match) * draftingUs(latency, n, drafter.otherwise, drafter.otherwiseTokens);
  }
}

/** Of a lookup what is known of its rounds: how many draft, and what those that do verify. */
export type LookupRounds = Pick<Known, "match" | "trees">;

/** µs of the passes that judge what a lookup drafts, in the mean over the rounds in which it does. */
const lookedUpUs = (latency: LatencyModel, n: number, draftTokens: number, { trees }: LookupRounds): number =>
  trees === undefined
    ? latency.verifyUs(n, draftTokens)
    : trees.reduce(
        (sum, { nodes, isTree, share }) =>
          sum + share * (isTree ? latency.verifyTreeUs(n, nodes) : latency.verifyUs(n, nodes)),
        0,
      );

/**
 * µs of the pass that judges it, in the mean over rounds; a tree that is a chain is run as one. A round in which a lookup
 * alone finds nothing is a plain step.
 */
export function verifyingUs(
  latency: LatencyModel,
  n: number,
  drafter: SolvedDrafter,
  draftTokens: number,
  rounds: LookupRounds = {},
): number {
  const { match = 1 } = rounds;
  switch (drafter.kind) {
    case "self":
      return drafter.siblings === 0
        ? latency.verifyUs(n, draftTokens)
        : latency.verifyTreeUs(n, draftTokens + drafter.siblings);
    case "model":
      return latency.verifyUs(n, draftTokens);
    case "heads":
      return drafter.tree.length === draftTokens
        ? latency.verifyUs(n, draftTokens)
        : latency.verifyTreeUs(n, drafter.tree.length);
    case "lookup":
      return match * lookedUpUs(latency, n, draftTokens, rounds) + (1 - match) * latency.verifyUs(n, 0);
    case "hybrid": {
      const otherwise = verifyingUs(latency, n, drafter.otherwise, drafter.otherwiseTokens);
      return match * lookedUpUs(latency, n, drafter.lookupTokens, rounds) + (1 - match) * otherwise;
    }
  }
}

/** µs that a round takes beside its passes, in the mean. */
export function loopUs(latency: LatencyModel, n: number, drafter: SolvedDrafter, match = 1): number {
  switch (drafter.kind) {
    case "lookup":
      return match * latency.roundUs + (1 - match) * (latency.stepUs(n) - latency.verifyUs(n, 0));
    case "self":
      return latency.roundUs + latency.refreshUs(drafter.set, n);
    case "hybrid":
      return match * latency.roundUs + (1 - match) * loopUs(latency, n, drafter.otherwise);
    default:
      return latency.roundUs;
  }
}

/** As a plan writes it. */
export function drafterRecord(drafter: SolvedDrafter): Pick<Segment, "draft" | "drafter"> {
  switch (drafter.kind) {
    case "self":
      return { ...(drafter.siblings === 0 ? {} : { drafter: singleRef(drafter) }), draft: compactDraft(drafter.set) };
    case "hybrid": {
      const { minMatch: min_match, ngramTokens: ngram_tokens, lookupTokens, otherwise, otherwiseTokens } = drafter;
      const length = lookupTokens === otherwiseTokens ? {} : { draft_tokens: lookupTokens };
      const lookup = { min_match, ngram_tokens, ...length, ...branchesKey(drafter.branches) };
      const own = otherwise.kind === "self" ? { draft: compactDraft(otherwise.set) } : {};
      return { drafter: { kind: "hybrid", lookup, otherwise: singleRef(otherwise) }, ...own };
    }
    case "lookup":
      return {
        drafter: { kind: "lookup", ngram_tokens: drafter.ngramTokens, ...branchesKey(drafter.branches) },
      };
    default:
      return { drafter: singleRef(drafter) };
  }
}

type OtherwiseRef = Extract<DrafterRef, { kind: "hybrid" }>["otherwise"];

function singleRef(drafter: SingleDrafter): OtherwiseRef {
  switch (drafter.kind) {
    case "self":
      return { kind: "self", ...(drafter.siblings === 0 ? {} : { siblings: drafter.siblings }) };
    case "heads": {
      const { path, sha256 } = drafter.heads;
      return { kind: "heads", path, sha256, tree: drafter.tree.map((ranks) => [...ranks]) };
    }
    case "model": {
      const { name, weightsSha256: weights_sha256, path, kernel } = drafter;
      return { kind: "model", name, weights_sha256, path, kernel };
    }
  }
}

/** A drafter and how far it drafts. */
export interface PlannedDraft {
  drafter: SolvedDrafter;
  /** of a tree its depth; of a hybrid that of the drafter beside the lookup */
  draftTokens: number;
}

/** As a plan has it; null: plain decoding. @param at names the plan in errors */
export function plannedBy(segment: Segment, layers: number, at: string): PlannedDraft | null {
  const { drafter, draft_tokens: draftTokens } = segment;
  if (draftTokens === undefined) return null;
  if (drafter?.kind === "lookup") return { drafter: lookupOf(drafter.ngram_tokens, drafter.branches), draftTokens };
  if (drafter?.kind !== "hybrid") {
    const single = singleBy(drafter, segment, layers, at);
    return single === null ? null : { drafter: single, draftTokens };
  }
  const otherwise = singleBy(drafter.otherwise, segment, layers, at);
  if (otherwise === null) return null;
  const { min_match: minMatch, ngram_tokens: ngramTokens, branches } = drafter.lookup;
  const { draft_tokens: lookupTokens = draftTokens } = drafter.lookup;
  const hybrid = { minMatch, ngramTokens, lookupTokens, branches, otherwise, otherwiseTokens: draftTokens };
  return { drafter: hybridOf(hybrid, drafterKey(otherwise)), draftTokens };
}

function singleBy(
  drafter: OtherwiseRef | undefined,
  { draft }: Segment,
  layers: number,
  at: string,
): SingleDrafter | null {
  switch (drafter?.kind) {
    case "heads":
      return headsDrafter(drafter, drafter.tree);
    case "model":
      return modelOf({ ...drafter, weightsSha256: drafter.weights_sha256 });
    default:
      return draft === undefined ? null : self(expandDraft(draft, layers, at), drafter?.siblings);
  }
}
