/** A plan as what decoding asks, with what a user should know of it. */
import type { Progress } from "../core/progress.js";
import type { DraftPolicy } from "../decode/loop.js";
import { type Opened, planPolicy, requireSameModel } from "../decode/policy.js";
import type { Checkpoint } from "../model/spec.js";
import type { Loaded } from "../schema/document.js";
import type { Plan } from "../schema/plan.js";
import type { PipelineContext } from "./context.js";

/**
 * @param open heads and models that are open, for plans in which they draft
 * @throws DOCUMENT_MISMATCH where the plan was made for another model, what planPolicy throws
 */
export function policyOf(
  plan: Loaded<Plan>,
  checkpoint: Pick<Checkpoint, "spec" | "architectureSha256" | "weightsSha256">,
  { progress }: Pick<PipelineContext, "progress">,
  open: readonly Opened[] = [],
): DraftPolicy {
  requireSameModel(plan.document, checkpoint, plan.path);
  const past = (end: number) =>
    progress.warn(
      "PAST_LAST_SEGMENT",
      `${plan.path} covers contexts up to ${end} tokens; nothing is drafted past them`,
    );
  return planPolicy(plan.document, checkpoint.spec.layers, plan.path, past, open);
}

/** The output is the target's own all the same; only the prediction was made for something else. */
export function warnOfTemperature({ document, path }: Loaded<Plan>, progress: Progress): void {
  if (document.temperature === undefined) return;
  progress.warn(
    "PLAN_TEMPERATURE",
    `${path} was calibrated for sampling at temperature ${document.temperature}; decoding is greedy here, so its predictions do not hold`,
  );
}
