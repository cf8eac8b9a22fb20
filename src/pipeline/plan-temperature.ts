/** Plans calibrated for sampling, in verbs that decode greedily. */
import type { Progress } from "../core/progress.js";
import type { Loaded } from "../schema/document.js";
import type { Plan } from "../schema/plan.js";

/** The output is the target's own all the same; only the prediction was made for something else. */
export function warnOfTemperature({ document, path }: Loaded<Plan>, progress: Progress): void {
  if (document.temperature === undefined) return;
  progress.warn(
    "PLAN_TEMPERATURE",
    `${path} was calibrated for sampling at temperature ${document.temperature}; decoding is greedy here, so its predictions do not hold`,
  );
}
