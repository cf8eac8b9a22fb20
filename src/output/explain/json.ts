/** The value that `draftplan explain --json` prints. */

import type { Draft } from "../../schema/choice.js";
import { compactDraft } from "../../schema/choice.js";
import type { Segment } from "../../schema/plan.js";
import type {
  BlockReason,
  Contender,
  Explanation,
  MarginalNode,
  PlannedDraft,
  TreeReason,
  WhatIf,
} from "../../solve/index.js";
import { drafterRef, ownBlocks } from "./drafter.js";

/** Every key is always there; null where something is not known or there is no draft. */
export function explanationJson(
  { contextTokens, extrapolated, targetStepUs, draft, best, byDrafter, attentionSlower, twiceTheContext }: Explanation,
  { refuted, draft_tokens_by_batch, predicted, stop }: Segment,
) {
  return {
    at_context: contextTokens,
    extrapolated,
    target_step_us: targetStepUs,
    speculate: draft !== null,
    drafter: draft === null ? null : drafterJson(draft),
    draft: draft === null ? null : compact(draft),
    draft_tokens: draft?.draftTokens ?? null,
    draft_tokens_by_batch: draft_tokens_by_batch ?? null,
    by_batch: predicted?.by_batch ?? null,
    draft_us: draft?.draftUs ?? null,
    prompt_us: predicted?.prompt_us ?? null,
    draft_cache_bytes: predicted?.draft_cache_bytes ?? null,
    acceptance: draft?.acceptance ?? null,
    evidence: draft?.evidence ?? null,
    positions: draft?.positions ?? null,
    rounds: draft?.rounds ?? null,
    accepted_length_error: draft?.lengthError ?? null,
    refuted: refuted ?? [],
    stop: stop ?? null,
    speedup: draft?.speedup ?? 1,
    best_at_context: best === null ? null : contenderJson(best),
    by_drafter: byDrafter.map(contenderJson),
    blocks: draft?.blocks.map(blockJson) ?? [],
    tree: draft === null || draft.tree === null ? null : treeJson(draft.tree),
    attention_slower: whatIfJson(attentionSlower),
    twice_the_context: twiceTheContext === null ? null : whatIfJson(twiceTheContext),
  };
}

const compact = ({ drafter }: PlannedDraft): Draft | null => compacted(ownBlocks(drafter));

const compacted = (set: ReturnType<typeof ownBlocks>): Draft | null => (set === null ? null : compactDraft(set));

const drafterJson = ({ drafter }: PlannedDraft) => drafterRef(drafter);

const contenderJson = (contender: Contender) => ({
  drafter: drafterJson(contender),
  draft: compact(contender),
  draft_tokens: contender.draftTokens,
  speedup: contender.speedup,
});

const treeJson = ({ nodes, headsUs, verifyUs, last, next, depths }: TreeReason) => ({
  nodes,
  heads_us: headsUs,
  verify_us: verifyUs,
  last_node: last === null ? null : marginalJson(last),
  next_node: next === null ? null : marginalJson(next),
  depths,
});

const marginalJson = ({ ranks, chance, costUs, breakEven, speedupWithout, speedupWith }: MarginalNode) => ({
  ...{ ranks, chance, cost_us: costUs, break_even: breakEven },
  ...{ speedup_without: speedupWithout, speedup_with: speedupWith },
});

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
  drafter: outcome.drafter === null ? null : outcome.drafter.kind,
  draft_tokens: outcome.draftTokens,
  changed: outcome.changed,
  speedup_before: outcome.speedupBefore,
  own_speedup: outcome.ownSpeedup,
  speedup: outcome.speedup,
  evidence: outcome.evidence,
});
