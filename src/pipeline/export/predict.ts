/** What an engine can expect of a draft: the plan's prediction where it holds there too, else none. */
import type { PlannedDraft } from "../../export/exporter.js";
import type { ExportPrediction } from "../../schema/export.js";

/**
 * Engines give a draft a cache of its own, which the draft itself fills; a plan's own blocks read the target's. So what a plan
 * predicts for them does not hold there.
 * @returns null where nothing was measured as engines draft
 */
export function exportPrediction({ segment: { predicted }, drafter }: PlannedDraft): ExportPrediction | null {
  if (predicted === undefined || drafter.kind === "self") return null;
  const { at_context, acceptance, acceptance_curve, accepted_length, speedup, positions, rounds } = predicted;
  return {
    ...{ at_context, draft_cache: "none", acceptance, acceptance_curve, accepted_length, speedup },
    ...(positions === undefined ? {} : { positions }),
    ...(rounds === undefined ? {} : { rounds }),
  };
}
