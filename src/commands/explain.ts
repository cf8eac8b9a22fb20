/** draftplan explain: why a plan drafts as it does. */
import { DraftplanError } from "../core/errors.js";
import { explanationText } from "../output/explain/text.js";
import { type DraftChoice, parseChoices } from "../pipeline/choices.js";
import { readInputs } from "../pipeline/plan-inputs.js";
import { CHOICES, compactDraft, type Draft, expandDraft } from "../schema/choice.js";
import { type Loaded, readDocumentOf } from "../schema/document.js";
import type { Plan, Segment } from "../schema/plan.js";
import { type BlockReason, type Explanation, explainDraft, type PlannedDraft, type WhatIf } from "../solve/index.js";
import type { CommandContext } from "./context.js";

export interface ExplainOptions {
  /** context to explain at */
  at?: number;
  /** every block, not the telling ones alone */
  all?: boolean;
}

export function explainCommand(path: string, options: ExplainOptions, context: CommandContext): void {
  const plan = readDocumentOf("draftplan/plan", path);
  const { segment, at } = placeOf(plan, options.at);
  const { profile, calibration } = readInputs(plan);
  const explanation = explainDraft(
    {
      ...{ profile, calibration, choices: choicesOf(plan.document), constraints: plan.document.constraints },
      extrapolateTo: plan.document.extrapolated?.to_context_tokens,
    },
    at,
    draftOf(segment, plan),
  );
  context.print(
    context.json
      ? JSON.stringify(toJson(explanation, segment.refuted))
      : explanationText(explanation, plan.document, options.all === true),
  );
}

/** What the solver might choose from. A plan by hand need not say so, and may draft with more than it says. */
function choicesOf({ choices = ["skip", "int8"], segments }: Plan): DraftChoice[] {
  const named = segments.flatMap(({ draft }) =>
    draft === undefined
      ? []
      : [draft.default, draft.head, ...Object.values(draft.choices), ...(draft.skip.length === 0 ? [] : ["skip"])],
  );
  const all = new Set([...parseChoices(choices), ...named]);
  return CHOICES.filter((choice): choice is DraftChoice => choice !== "target" && all.has(choice));
}

/** The segment asked for, or the first that speculates, and the context to look at. */
function placeOf({ document: { segments }, path }: Loaded<Plan>, at: number | undefined) {
  if (at === undefined) {
    const segment = segments.find(({ speculate }) => speculate) ?? segments[0];
    const { from, to } = segment.context_tokens;
    return { segment, at: segment.predicted?.at_context ?? Math.round((from + to) / 2) };
  }
  const last = segments[segments.length - 1];
  const segment = segments.find(({ context_tokens: { to } }) => at < to) ?? last;
  if (at <= last.context_tokens.to) return { segment, at };
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `--at ${at}`,
    what: `${path} says nothing of a context of ${at} tokens; it ends at ${last.context_tokens.to}`,
    remedy: `Choose a context from 0 to ${last.context_tokens.to}: draftplan explain ${path} --at ${last.context_tokens.to}. To plan further: draftplan solve … --extrapolate TOKENS`,
  });
}

const draftOf = ({ draft, draft_tokens: draftTokens }: Segment, plan: Loaded<Plan>): PlannedDraft | null =>
  draft === undefined || draftTokens === undefined
    ? null
    : { set: expandDraft(draft, plan.document.model.layers, plan.path), draftTokens };

/** Every key is always there; null where something is not known or there is no draft. */
function toJson(
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

const turnJson = (to: BlockReason["ifQuicker"]) =>
  to === null ? null : { draft_us: to.draftUs, choice: to.choice, acceptance: to.acceptance };

const blockJson = (reason: BlockReason) => ({
  block: reason.block,
  choice: reason.choice,
  cost_us: reason.costUs,
  target_us: reason.targetUs,
  loss: reason.loss,
  loss_standard_error: reason.lossStandardError,
  if_quicker: turnJson(reason.ifQuicker),
  if_slower: turnJson(reason.ifSlower),
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
