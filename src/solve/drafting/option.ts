/** Something that may be run at a context. */
import type { SolvedDrafter } from "./drafters.js";
import type { TreeShare } from "./known.js";

/** A drafter with its length, and what it reaches at one context. */
export interface Option {
  key: string;
  drafter: SolvedDrafter;
  /** of a tree its depth */
  draftTokens: number;
  /** [d+1] the curve it was chosen by */
  curve: readonly number[];
  /** positions behind the curve; null: it was not measured */
  tokens: number | null;
  /** rounds that came to each position of the measured curve; undefined: not counted */
  reached?: readonly number[] | undefined;
  /** where a lookup drafts: share of rounds in which it does, and the acceptance over those that draft */
  match?: number | undefined;
  /** and what those verify, where they go on from several places at once */
  trees?: readonly TreeShare[] | undefined;
  acceptance?: number | undefined;
  evidence: "choose" | "surrogate";
  tokensPerSecond: number;
}
