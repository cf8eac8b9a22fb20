/** The best length of one draft at one context. */
import type { ChoiceSet } from "../schema/choice.js";
import { bestDraftLength } from "./objective.js";
import type { Problem } from "./problem.js";

/** Best draft length and its tokens per second, for a curve of any length. */
export function bestLength(
  problem: Problem,
  n: number,
  set: ChoiceSet,
  curve: (d: number) => readonly number[],
  maxDraft: number,
) {
  const { latency } = problem;
  return bestDraftLength({
    draftUs: latency.draftUs(set, n),
    verifyUs: (d) => latency.verifyUs(n, d),
    roundUs: latency.roundUs,
    curve,
    maxDraft,
  });
}
