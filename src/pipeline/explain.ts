/** Why a plan drafts as it does, from its own profile and calibration. */

import { DraftplanError } from "../core/errors.js";
import { draftChoices } from "../schema/choice.js";
import type { Loaded } from "../schema/document.js";
import type { Plan, Segment } from "../schema/plan.js";
import { type Explanation, explainDraft, plannedBy } from "../solve/index.js";
import type { DraftChoice } from "./choices.js";
import { parseChoices } from "./choices.js";
import { draftersOf } from "./drafters.js";
import { readInputs } from "./plan-inputs.js";

export interface ExplainedPlan {
  plan: Plan;
  segment: Segment;
  explanation: Explanation;
}

/**
 * @param at a context in tokens; undefined: where the first draft is predicted
 * @throws INPUTS_MISSING, DIGEST_MISMATCH, OPTION_INVALID for a context that the plan says nothing of
 */
export function explainPlan(plan: Loaded<Plan>, at: number | undefined): ExplainedPlan {
  const place = placeOf(plan, at);
  const { profile, calibration } = readInputs(plan);
  const explanation = explainDraft(
    {
      ...{ profile, calibration, choices: choicesOf(plan.document), constraints: plan.document.constraints },
      drafters: draftersOf(plan.document),
      extrapolateTo: plan.document.extrapolated?.to_context_tokens,
      standalone: plan.document.draft_cache === "own",
      answerTokens: plan.document.answer_tokens,
    },
    place.at,
    plannedBy(place.segment, plan.document.model.layers, plan.path),
  );
  return { plan: plan.document, segment: place.segment, explanation };
}

/** What the solver might choose from. A plan by hand need not say so, and may draft with more than it says. */
function choicesOf({ choices = ["skip", "int8"], segments }: Plan): DraftChoice[] {
  const named = segments.flatMap(({ draft }) =>
    draft === undefined
      ? []
      : [draft.default, draft.head, ...Object.values(draft.choices), ...(draft.skip.length === 0 ? [] : ["skip"])],
  );
  const all = new Set([...parseChoices(choices), ...named]);
  return draftChoices(all);
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
