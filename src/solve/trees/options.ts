/** The trees of heads that may be run at a context, and what each reaches there. */

import type { Known } from "../drafting/known.js";
import { isSupported, knownOf } from "../evidence.js";
import { speedBy } from "../gain.js";
import { type ContextData, contextFor, type Problem } from "../problem.js";
import { type HeadsDrafter, treesOf } from "./heads.js";

/** A tree and what it reaches at one context; an option as any other (solve/options.ts). */
export interface HeadsOption extends Known {
  key: string;
  drafter: HeadsDrafter;
  /** the tree's depth */
  draftTokens: number;
  evidence: "choose";
  tokensPerSecond: number;
}

/** @param contexts those solved at: a tree is an option everywhere where it is one for the text of one of them */
export function headsOptions(problem: Problem, contexts: readonly number[]): (n: number) => HeadsOption[] {
  const { latency } = problem;
  const counted = new Map<ContextData, Map<string, Known | null>>();
  const countsOf = (context: ContextData, drafter: HeadsDrafter): Known | null => {
    const here = counted.get(context) ?? new Map<string, Known | null>();
    counted.set(context, here);
    let counts = here.get(drafter.key);
    if (counts === undefined) {
      const known = knownOf(context, "choose", { drafter, draftTokens: drafter.rows.length });
      counts = known !== null && isSupported(known) ? known : null;
      here.set(drafter.key, counts);
    }
    return counts;
  };
  const optionOf = (n: number, drafter: HeadsDrafter): HeadsOption | null => {
    const counts = countsOf(contextFor(problem, n), drafter);
    if (counts === null) return null;
    return {
      ...{ drafter, key: drafter.key, draftTokens: drafter.rows.length, evidence: "choose" },
      ...counts,
      tokensPerSecond: speedBy(latency, n, drafter, counts),
    };
  };
  const speedOf = (n: number, drafter: HeadsDrafter) => optionOf(n, drafter)?.tokensPerSecond ?? 0;
  const drafters = candidates(problem, contexts, speedOf);
  return (n) => drafters.flatMap((drafter) => optionOf(n, drafter) ?? []);
}

/** Trees by the text of each context. A tree that is nowhere faster than a smaller one of its depth is left out. */
function candidates(
  problem: Problem,
  contexts: readonly number[],
  speedOf: (n: number, drafter: HeadsDrafter) => number,
): HeadsDrafter[] {
  const { heads, latency, maxDraft } = problem;
  const found = new Map<string, HeadsDrafter>();
  for (const one of heads)
    for (const context of new Set(contexts.map((n) => contextFor(problem, n)))) {
      const text = context.heads.get(one.sha256)?.choose;
      if (text === undefined) continue;
      for (const trees of treesOf(one, text.counted, latency.maxTreeNodes, maxDraft)) {
        const best = contexts.map(() => 0);
        for (const drafter of trees) {
          const speeds = contexts.map((n) => speedOf(n, drafter));
          if (!speeds.some((speed, i) => speed > best[i])) continue;
          speeds.forEach((speed, i) => {
            best[i] = Math.max(best[i], speed);
          });
          if (!found.has(drafter.key)) found.set(drafter.key, drafter);
        }
      }
    }
  return [...found.values()];
}
