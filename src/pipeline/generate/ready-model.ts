/** A loaded model with who drafts on it, as one prompt and a conversation alike need it. */
import type { AdaptivePolicy } from "../../decode/adaptive/policy.js";
import type { DraftPolicy } from "../../decode/loop.js";
import type { Checkpoint } from "../../model/spec.js";
import type { Engine } from "../../runtime/engine.js";
import { planLoading } from "../choices.js";
import { contextFor, type PipelineContext } from "../context.js";
import { type Drafting, drafterName, findDrafting, planDrafting, withDrafting } from "../drafting.js";
import { warnOfSeed } from "../plan-policy.js";
import { withModel } from "../with-model.js";
import { adaptiveOf, requireAdaptable } from "./adapting.js";
import type { DraftingRequest } from "./types.js";

export interface ReadyModel {
  engine: Engine;
  /** null: plain decoding */
  policy: DraftPolicy | null;
  /** null where the plan is not adapted */
  adaptive: AdaptivePolicy | null;
  /** as `--drafter` has it */
  drafter: string;
}

/** @throws USAGE and NOT_YET_SUPPORTED for what cannot be adapted, what findDrafting throws */
export async function findDraftingOf(model: string, { plan, drafter, adapt }: DraftingRequest): Promise<Drafting> {
  if (adapt) requireAdaptable(plan, drafter);
  return findDrafting(plan, drafter, model);
}

/**
 * @param sizeOf sees the checkpoint before its weights are loaded: refuses what does not fit, and says how many tokens the cache
 *   is to hold beside the rows of a tree
 * @throws DOCUMENT_MISMATCH, HEADS_MISMATCH, INPUTS_MISSING, what loading the model and opening heads throw
 */
export async function withReadyModel<Size extends { tokens: number }, Result>(
  model: string,
  drafting: Drafting,
  { plan, adapt, sampling }: DraftingRequest,
  sizeOf: (checkpoint: Checkpoint) => Size,
  given: PipelineContext,
  use: (ready: ReadyModel, sized: Size) => Promise<Result>,
): Promise<Result> {
  const context = contextFor(given, plan);
  const loading = planLoading([plan?.document ?? null], adapt ? plan?.document.choices : []);
  return withModel(
    model,
    { ...context, ...loading },
    (checkpoint) => {
      if (adapt && typeof sampling?.seed === "number") warnOfSeed(context.progress);
      const sized = sizeOf(checkpoint);
      const planned = planDrafting(drafting, checkpoint, context);
      // a tree's rows lie behind the text until its path is moved together: the last rounds keep room for all of them
      const capacity = sized.tokens + planned.mostNodes;
      return { sized, planned, capacity, adapted: planned.plan === null || !adapt ? null : adaptiveOf(planned.plan) };
    },
    (loaded, { sized, planned, adapted }) =>
      withDrafting(drafting, planned, loaded, context, async (policy, open) => {
        const drafts = drafting.choice.kind === "none" ? null : policy;
        const adaptive = drafts === null ? null : (adapted?.(drafts, open) ?? null);
        const ready = { policy: adaptive?.policy ?? drafts, adaptive, drafter: drafterName(drafting.choice) };
        return use({ engine: loaded.engine, ...ready }, sized);
      }),
  );
}
