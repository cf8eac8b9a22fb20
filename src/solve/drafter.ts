/** What may draft, as the solver weighs it: the model's own blocks, or heads and the tree they fill. */
import { type ChoiceSet, choiceKey, compactDraft, expandDraft } from "../schema/choice.js";
import type { Segment } from "../schema/plan.js";
import type { LatencyModel } from "./latency.js";
import { type HeadsDrafter, headsDrafter } from "./trees/heads.js";

export type SolvedDrafter = SelfDrafter | HeadsDrafter;

export interface SelfDrafter {
  kind: "self";
  set: ChoiceSet;
}

export const self = (set: ChoiceSet): SelfDrafter => ({ kind: "self", set });

/** Equal for drafters that propose the same. */
export const drafterKey = (drafter: SolvedDrafter): string =>
  drafter.kind === "self" ? choiceKey(drafter.set) : drafter.key;

/** Equal for drafters that differ in how far they draft alone: one set of choices; one set of heads, whatever its tree. */
export const familyKey = (drafter: SolvedDrafter): string =>
  drafter.kind === "self" ? choiceKey(drafter.set) : `heads ${drafter.heads.sha256}`;

/** Tokens that one verification holds beside the pending one: what a shorter draft has fewer of. */
export const nodesOf = (drafter: SolvedDrafter, draftTokens: number): number =>
  drafter.kind === "self" ? draftTokens : drafter.tree.length;

/** µs of all the drafting of one round. */
export const draftingUs = (latency: LatencyModel, n: number, drafter: SolvedDrafter, draftTokens: number): number =>
  drafter.kind === "self"
    ? draftTokens * latency.draftUs(drafter.set, n)
    : latency.headsUs(drafter.heads.sha256, drafter.rows);

/** µs of the pass that judges it; a tree that is a chain is run as one. */
export const verifyingUs = (latency: LatencyModel, n: number, drafter: SolvedDrafter, draftTokens: number): number =>
  drafter.kind === "self" || drafter.tree.length === draftTokens
    ? latency.verifyUs(n, draftTokens)
    : latency.verifyTreeUs(n, drafter.tree.length);

/** As a plan writes it. */
export function drafterRecord(drafter: SolvedDrafter): Pick<Segment, "draft" | "drafter"> {
  if (drafter.kind === "self") return { draft: compactDraft(drafter.set) };
  const { path, sha256 } = drafter.heads;
  return { drafter: { kind: "heads", path, sha256, tree: drafter.tree.map((ranks) => [...ranks]) } };
}

/** A drafter and how far it drafts. */
export interface PlannedDraft {
  drafter: SolvedDrafter;
  /** of a tree its depth */
  draftTokens: number;
}

/** As a plan has it; null: plain decoding. @param at names the plan in errors */
export function plannedBy(
  { drafter, draft, draft_tokens: draftTokens }: Segment,
  layers: number,
  at: string,
): PlannedDraft | null {
  if (draftTokens === undefined) return null;
  if (drafter?.kind === "heads") return { drafter: headsDrafter(drafter, drafter.tree), draftTokens };
  return draft === undefined ? null : { drafter: self(expandDraft(draft, layers, at)), draftTokens };
}
