/** Drafts of the model's own blocks with siblings of their last token, where these are worth their rows of the verification. */
import { choiceKey } from "../../schema/choice.js";
import { MAX_SIBLINGS } from "../../schema/drafter.js";
import { self } from "../drafter.js";
import type { Problem } from "../problem.js";
import { type Candidate, opener, optionsOf } from "./candidates.js";
import { fastestByKey, type Option } from "./option.js";

/** With siblings a draft has to be predicted this many times as fast as the best of the same blocks without. */
const LEAST_GAIN = 1.01;

/**
 * @param contexts those solved at
 * @param chains   drafts of own blocks without siblings
 * @returns none where trees, or a look at a step's logits, were not timed; nor for drafts that other methods proposed
 */
export function siblingOptions(
  problem: Problem,
  contexts: readonly number[],
  chains: (n: number) => readonly Option[],
): (n: number) => Option[] {
  const { latency, trees, measuredOnly = false, maxDraft } = problem;
  if (!trees || measuredOnly || latency.confidenceUs === null) return () => [];
  const open = opener(problem);
  const kept = new Map<string, Candidate>();
  for (const n of contexts)
    for (const chain of fastestOfSets(chains(n))) {
      if (chain.drafter.kind !== "self") continue;
      const { set } = chain.drafter;
      let best = chain;
      for (let draftTokens = 1; draftTokens <= maxDraft; draftTokens++)
        for (let siblings = 1; siblings <= MAX_SIBLINGS && draftTokens + siblings <= latency.maxTreeNodes; siblings++) {
          const option = open(n, { drafter: self(set, siblings), draftTokens });
          if (option !== null && option.tokensPerSecond > best.tokensPerSecond) best = option;
        }
      if (best !== chain && best.tokensPerSecond >= LEAST_GAIN * chain.tokensPerSecond) kept.set(best.key, best);
    }
  return optionsOf(problem, [...kept.values()], open);
}

/** Of each set of choices the fastest of its lengths. */
const fastestOfSets = (options: readonly Option[]): Option[] =>
  fastestByKey(options, (drafter) => (drafter.kind === "self" ? choiceKey(drafter.set) : null));
