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

/**
 * The fastest of each key, in the order in which keys first came.
 * @param keyOf null: the option is left out
 */
export function fastestByKey(options: readonly Option[], keyOf: (drafter: SolvedDrafter) => string | null): Option[] {
  const best = new Map<string, Option>();
  for (const option of options) {
    const key = keyOf(option.drafter);
    if (key === null) continue;
    const known = best.get(key);
    if (known === undefined || option.tokensPerSecond > known.tokensPerSecond) best.set(key, option);
  }
  return [...best.values()];
}

/** Options by falling speed. */
export const fastestFirst = (options: readonly Option[]): Option[] =>
  options.toSorted((a, b) => b.tokensPerSecond - a.tokensPerSecond);
