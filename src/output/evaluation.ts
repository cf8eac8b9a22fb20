/** How often a draft's next token was the target's: lines for people, one value for programs. */
import type { EvaluatedDraft } from "../pipeline/evaluate.js";
import { formatPercent } from "./format.js";

export const evaluationJson = ({
  positions,
  acceptance,
  meanCosine,
  targetTop1,
  draftTop1,
  standalone,
}: EvaluatedDraft) => ({
  positions,
  acceptance,
  mean_cosine: meanCosine,
  target_top1: targetTop1,
  draft_top1: draftTop1,
  ...(standalone ? { draft_cache: "own" } : {}),
});

export function evaluationLines({
  positions,
  acceptance,
  meanCosine,
  source,
  first,
  standalone,
}: EvaluatedDraft): string[] {
  const error = Math.sqrt((acceptance * (1 - acceptance)) / positions);
  return [
    `positions    ${positions} (${source}, each after at least ${first} tokens of context)`,
    `acceptance   ${formatPercent(acceptance)} ± ${formatPercent(error)}: the draft's most likely token is the target's`,
    ...(standalone ? ["cache        the draft's own, filled by the draft over the whole text"] : []),
    `mean cosine  ${meanCosine.toFixed(4)} between the last residual states of draft and target`,
  ];
}
