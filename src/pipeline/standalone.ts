/** What is known of a plan's drafts with a cache of their own, from the plan and the calibration that it names. */
import { DraftplanError } from "../core/errors.js";
import type { Loaded } from "../schema/document.js";
import { type StandaloneCurve, standaloneCurve } from "../schema/draft-cache.js";
import type { Plan } from "../schema/plan.js";
import { readInputs } from "./plan-inputs.js";

/**
 * The standalone curve of each segment, null where none is known. A plan whose profile and calibration are not where it says,
 * or have changed, is a plan that nothing more is known of than it says itself.
 * @returns [segments]
 * @throws what reading a document throws that is there and cannot be read
 */
export function standaloneCurves(plan: Loaded<Plan>): (StandaloneCurve | null)[] {
  const calibration = calibrationOf(plan);
  return plan.document.segments.map((_, i) => standaloneCurve(plan.document, i, calibration));
}

function calibrationOf(plan: Loaded<Plan>) {
  if (plan.document.inputs === undefined) return null;
  try {
    return readInputs(plan).calibration;
  } catch (error) {
    if (error instanceof DraftplanError && ["INPUTS_MISSING", "DIGEST_MISMATCH"].includes(error.code)) return null;
    throw error;
  }
}
