/** Drafters that may be run, with what is known of each at a context. */
import { drafterKey, type SolvedDrafter } from "../drafter.js";
import { isSupported, knownOf } from "../evidence.js";
import { speedBy } from "../gain.js";
import { type ContextData, contextFor, type Problem } from "../problem.js";
import type { Known } from "./known.js";
import type { Option } from "./option.js";

export interface Candidate {
  drafter: SolvedDrafter;
  draftTokens: number;
}

/** A candidate at a context; null where too few rounds show it. What is counted of a text is counted once. */
export function opener(problem: Problem): (n: number, candidate: Candidate) => Option | null {
  const counted = new Map<ContextData, Map<string, Known | null>>();
  return (n, { drafter, draftTokens }) => {
    const context = contextFor(problem, n);
    const here = counted.get(context) ?? new Map<string, Known | null>();
    counted.set(context, here);
    const key = `${draftTokens}|${drafterKey(drafter)}`;
    let known = here.get(key);
    if (known === undefined) {
      const found = knownOf(context, "choose", { drafter, draftTokens });
      known = found === null || !isSupported(found) ? null : found;
      here.set(key, known);
    }
    if (known === null) return null;
    const tokensPerSecond = speedBy(problem.latency, n, drafter, known);
    return { key, drafter, draftTokens, ...known, evidence: "choose", tokensPerSecond };
  };
}

/** Candidates at a context; those that too few rounds show are none. */
export function optionsOf(
  problem: Problem,
  candidates: readonly Candidate[],
  open = opener(problem),
): (n: number) => Option[] {
  return (n) => candidates.flatMap((candidate) => open(n, candidate) ?? []);
}
