/** A plan as what decoding asks, with what a user should know of it. */
import type { Progress } from "../core/progress.js";
import type { DraftPolicy } from "../decode/loop.js";
import { planPolicy, requireSameModel } from "../decode/policy.js";
import type { Checkpoint } from "../model/spec.js";
import type { Loaded } from "../schema/document.js";
import type { Plan } from "../schema/plan.js";
import type { PipelineContext } from "./context.js";

/** @throws DOCUMENT_MISMATCH where the plan was made for another model */
export function policyOf(
  plan: Loaded<Plan>,
  checkpoint: Checkpoint,
  { progress }: Pick<PipelineContext, "progress">,
): DraftPolicy {
  requireSameModel(plan.document, checkpoint, plan.path);
  warnOfTemperature(plan, progress);
  return planPolicy(plan.document, checkpoint.spec.layers, plan.path, (end) =>
    progress.warn(
      "PAST_LAST_SEGMENT",
      `${plan.path} covers contexts up to ${end} tokens; nothing is drafted past them`,
    ),
  );
}

/** The output is the target's own all the same; only the prediction was made for something else. */
export function warnOfTemperature({ document, path }: Loaded<Plan>, progress: Progress): void {
  if (document.temperature === undefined) return;
  progress.warn(
    "PLAN_TEMPERATURE",
    `${path} was calibrated for sampling at temperature ${document.temperature}; decoding is greedy here, so its predictions do not hold`,
  );
}
