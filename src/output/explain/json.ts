/** The value that `draftplan explain --json` prints. */

import type { Draft } from "../../schema/choice.js";
import { compactDraft } from "../../schema/choice.js";
import type { Segment } from "../../schema/plan.js";
import type { BlockReason, Explanation, PlannedDraft, WhatIf } from "../../solve/index.js";

/** Every key is always there; null where something is not known or there is no draft. */
export function explanationJson(
  { contextTokens, extrapolated, targetStepUs, draft, best, attentionSlower, twiceTheContext }: Explanation,
  refuted: Segment["refuted"],
) {
  return {
    at_context: contextTokens,
    extrapolated,
    target_step_us: targetStepUs,
    speculate: draft !== null,
    draft: draft === null ? null : compact(draft),
    draft_tokens: draft?.draftTokens ?? null,
    draft_us: draft?.draftUs ?? null,
    acceptance: draft?.acceptance ?? null,
    evidence: draft?.evidence ?? null,
    positions: draft?.positions ?? null,
    rounds: draft?.rounds ?? null,
    refuted: refuted ?? [],
    speedup: draft?.speedup ?? 1,
    best_at_context:
      best === null ? null : { draft: compact(best), draft_tokens: best.draftTokens, speedup: best.speedup },
    blocks: draft?.blocks.map(blockJson) ?? [],
    attention_slower: whatIfJson(attentionSlower),
    twice_the_context: twiceTheContext === null ? null : whatIfJson(twiceTheContext),
  };
}

const compact = ({ set }: PlannedDraft): Draft => compactDraft(set);

const otherJson = (to: BlockReason["ifQuicker"]) =>
  to === null ? null : { draft_us: to.draftUs, choice: to.choice, acceptance: to.acceptance };

const blockJson = (reason: BlockReason) => ({
  block: reason.block,
  choice: reason.choice,
  cost_us: reason.costUs,
  target_us: reason.targetUs,
  loss: reason.loss,
  loss_standard_error: reason.lossStandardError,
  if_quicker: otherJson(reason.ifQuicker),
  if_slower: otherJson(reason.ifSlower),
  margin:
    reason.margin === null
      ? null
      : { choice: reason.margin.choice, loss: reason.margin.loss, standard_error: reason.margin.standardError },
  sure: reason.sure,
});

const whatIfJson = (outcome: WhatIf) => ({
  at_context: outcome.contextTokens,
  extrapolated: outcome.extrapolated,
  speculate: outcome.speculate,
  draft_tokens: outcome.draftTokens,
  changed: outcome.changed,
  speedup_before: outcome.speedupBefore,
  own_speedup: outcome.ownSpeedup,
  speedup: outcome.speedup,
  evidence: outcome.evidence,
});
