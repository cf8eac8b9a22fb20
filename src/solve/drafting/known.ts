/** What is known of how much a drafter has accepted. */

import type { ConfidenceTable } from "../../schema/stop/confidence.js";

/** Rounds whose draft has so many nodes, and whether some of them share a parent. */
export interface TreeShare {
  nodes: number;
  isTree: boolean;
  /** of the rounds in which a lookup drafts */
  share: number;
}

/** A curve and what it rests on. */
export interface Known {
  /** [d + 1] or longer */
  curve: readonly number[];
  /** positions behind it */
  tokens: number;
  /** [d] rounds that came to each position; undefined: not counted */
  reached?: readonly number[] | undefined;
  /** standard error of the tokens of a round of this draft, as a share of them; undefined: not counted */
  lengthError?: number | undefined;
  /** where a lookup drafts, alone or beside another: share of all rounds in which it does, and the curve is over all rounds */
  match?: number | undefined;
  /** and what those rounds verify, where a lookup goes on from several places at once; undefined: a chain of its length */
  trees?: readonly TreeShare[] | undefined;
  /** and the rate of acceptance over the rounds that draft, which such a curve does not say */
  acceptance?: number | undefined;
  /** acceptance by the drafter's confidence; undefined: not looked at */
  confidence?: ConfidenceTable | undefined;
}
