/** What may be run, as the adaptation weighs it. */
import type { Drafter, DraftRequest, PassPrices } from "../drafters/drafter.js";
import type { Curve } from "./belief.js";
import type { LookupPrior } from "./lookup-belief.js";

/** Expected latencies, at any context of any range; drafters are priced by them. */
export interface AdaptiveLatency extends PassPrices {
  verifyUs(contextTokens: number, draftTokens: number): number;
  /** of a tree of so many nodes, some of which share a parent; left out where none is drafted */
  verifyTreeUs?(contextTokens: number, nodes: number): number;
  /** a plain step, the loop's own time included */
  stepUs(contextTokens: number): number;
  /** what the loop adds to a round */
  roundUs: number;
}

/** A lookup that drafts by itself, or in front of another drafter. */
export interface AdaptiveLookup extends LookupPrior {
  /** tokens that have to match */
  minMatch: number;
  /** of the longest n-gram that is looked up */
  maxNgram: number;
  /** nothing drafts where it finds no match, and the draft's length is its own */
  alone: boolean;
  /** drafted behind a match, where another drafter is beside it */
  draftTokens: number;
}

/**
 * A drafter that may be run, with its acceptance on the calibration text: of a lookup alone that behind a match. Its key is
 * equal at every context.
 */
export interface AdaptiveDraft extends Curve {
  /** what proposes, and its price: of a hybrid the drafter beside the lookup, which has the price */
  drafter: Drafter;
  /** for people; left out: the key */
  told?: string;
  /** what is asked for at a length; left out: the drafter itself */
  request?: (draftTokens: number) => DraftRequest;
  /** what has to follow the text for it; left out: the drafter itself */
  holders?: readonly Drafter[];
  /** µs of the pass that judges it; left out: that of a chain */
  verifyUs?: (latency: AdaptiveLatency, contextTokens: number, draftTokens: number) => number;
  /** nodes of a tree cut off at a depth; left out: a chain */
  nodes?: (draftTokens: number) => number;
  lookup?: AdaptiveLookup;
  /** acceptance of the drafter beside a lookup, whose key other arms may share; left out: the draft's own */
  curve?: Curve;
}

/** Which of a range's drafts, at which length; null where an arm is asked for: a plain step. */
export interface Arm {
  draft: AdaptiveDraft;
  draftTokens: number;
}

/** A range of contexts within which the drafts and the plan's own choice are the same. */
export interface AdaptiveRange {
  /** contexts from the range before up to this, exclusive */
  to: number;
  drafts: readonly AdaptiveDraft[];
  /** what the plan does here; its draft is one of `drafts` */
  planned: Arm | null;
}

export const curveOf = (draft: AdaptiveDraft): Curve => draft.curve ?? draft;

export const requestOf = ({ draft, draftTokens }: Arm): DraftRequest =>
  draft.request?.(draftTokens) ?? { drafter: draft.drafter, draftTokens };

export const sameArm = (a: Arm | null, b: Arm | null): boolean =>
  a === null || b === null ? a === b : a.draft.key === b.draft.key && a.draftTokens === b.draftTokens;
