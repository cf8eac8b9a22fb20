/** A plan as what decoding asks, with what a user should know of it. */
import type { Progress } from "../core/progress.js";
import type { DraftPolicy } from "../decode/loop.js";
import { type Opened, planPolicy, requireSameModel } from "../decode/policy.js";
import type { Checkpoint } from "../model/spec.js";
import type { Loaded } from "../schema/document.js";
import type { TargetPrecision } from "../schema/numerics.js";
import type { Plan } from "../schema/plan.js";
import { type Filters, GREEDY } from "../schema/sampling.js";
import { type PipelineContext, precisionOf } from "./context.js";

/**
 * @param open heads, models and a second cache that are open, for plans in which they draft
 * @throws DOCUMENT_MISMATCH where the plan was made for another model, what planPolicy throws
 */
export function policyOf(
  plan: Loaded<Plan>,
  checkpoint: Pick<Checkpoint, "spec" | "architectureSha256" | "weightsSha256">,
  context: Pick<PipelineContext, "progress" | "provider" | "targetPrecision">,
  open: readonly Opened[] = [],
): DraftPolicy {
  const { progress } = context;
  requireSameModel(plan.document, checkpoint, plan.path);
  warnOfOwnKernel(plan, precisionOf(context), progress);
  const past = (end: number) =>
    progress.warn(
      "PAST_LAST_SEGMENT",
      `${plan.path} covers contexts up to ${end} tokens; nothing is drafted past them`,
    );
  return planPolicy(plan.document, checkpoint.spec.layers, plan.path, past, open);
}

/** A draft that names the target's own kernel saves nothing there. */
function warnOfOwnKernel({ document, path }: Loaded<Plan>, precision: TargetPrecision, progress: Progress): void {
  const named = ({ draft }: Plan["segments"][number]): boolean =>
    draft !== undefined &&
    [draft.default, draft.head, ...Object.values(draft.choices)].some((one) => one === precision);
  if (!document.segments.some(named)) return;
  progress.warn(
    "DRAFT_IS_TARGET",
    `${path} drafts with ${precision}, which the target is computed with here: such blocks are the target's own and save nothing`,
  );
}

/** Where a plan's predictions are held against what is measured, and were made for something else. */
export function warnOfTemperature(
  { document, path }: Loaded<Plan>,
  progress: Progress,
  { temperature }: Filters = GREEDY,
): void {
  const { temperature: calibrated = 0 } = document;
  // a plan by hand predicts nothing
  if (calibrated === temperature || document.inputs === undefined) return;
  const told = (t: number) => (t === 0 ? "greedy decoding" : `sampling at temperature ${t}`);
  progress.warn(
    "PLAN_TEMPERATURE",
    `${path} was calibrated for ${told(calibrated)}, and this is ${told(temperature)}, so its predictions do not hold`,
  );
}

/** How much is drafted decides how many numbers are drawn, and adapting decides that by the time things take. */
export const warnOfSeed = (progress: Progress): void =>
  progress.warn(
    "SEED_NOT_REPEATABLE",
    "with --adapt the same seed may give other tokens of the same distribution another time: what is drafted depends on measured time",
  );
