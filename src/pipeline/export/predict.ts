/** What an engine can expect of a draft: the plan's prediction where it holds there too, else what was measured of it so. */
import type { PlannedDraft } from "../../export/exporter.js";
import type { Loaded } from "../../schema/document.js";
import { mainDrafter } from "../../schema/drafter.js";
import type { ExportPrediction } from "../../schema/export.js";
import { draftSteps, type Plan, type Predicted } from "../../schema/plan.js";
import { significant, sum } from "../../stats/numbers.js";
import { standaloneCurves } from "../standalone.js";

/**
 * Engines give a draft a cache of its own, which the draft itself fills; a plan's own blocks read the target's. So of them
 * only a curve counts that was measured with a cache of their own. Heads and lookups have none, and another model has its own
 * in the bundled decoder as well: of these the plan's prediction holds.
 * @returns null where nothing was measured as engines draft
 */
export function exportPrediction(plan: Loaded<Plan>, draft: PlannedDraft): ExportPrediction | null {
  const { predicted } = draft.segment;
  const { kind } = mainDrafter(draft.drafter);
  if (kind !== "self") return predicted === undefined ? null : taken(predicted, kind === "model" ? "own" : "none");
  if (plan.document.draft_cache === "own") return predicted === undefined ? null : taken(predicted, "own");
  // over a lookup's misses alone the curve is another
  const known = draft.drafter.kind === "self" ? standaloneCurves(plan)[draft.index] : null;
  if (known === null) return null;
  const curve = known.curve.map((a) => significant(a, 6));
  const length = sum(curve);
  return {
    at_context: known.atContext,
    draft_cache: "own",
    acceptance: significant((length - 1) / sum(curve.slice(0, -1)), 6),
    acceptance_curve: curve,
    accepted_length: significant(length, 6),
    speedup: predicted === undefined ? null : speedupWith(length, predicted, draft),
    ...(known.positions === null ? {} : { positions: known.positions }),
    ...(known.rounds === null ? {} : { rounds: known.rounds }),
  };
}

/** With the plan's own times of a round and of a plain step; that the draft also reads the prompt is not in them. */
function speedupWith(length: number, predicted: Predicted, { drafter, draftTokens }: PlannedDraft): number {
  const { draft_us, verify_us, round_us, target_step_us } = predicted;
  const roundUs = draftSteps({ drafter, draft_tokens: draftTokens }) * draft_us + verify_us + round_us;
  return significant((length / roundUs) * target_step_us, 6);
}

function taken(predicted: Predicted, cache: ExportPrediction["draft_cache"]): ExportPrediction {
  const { at_context, acceptance, acceptance_curve, accepted_length, speedup, positions, rounds } = predicted;
  const { match_rate } = predicted;
  return {
    ...{ at_context, draft_cache: cache, acceptance, acceptance_curve, accepted_length, speedup },
    ...(positions === undefined ? {} : { positions }),
    ...(rounds === undefined ? {} : { rounds }),
    ...(match_rate === undefined ? {} : { match_rate }),
  };
}
