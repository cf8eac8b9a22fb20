/** What is known of a plan's drafts with a cache of their own, from the plan and the calibration that it names. */
import { DraftplanError } from "../core/errors.js";
import type { Loaded } from "../schema/document.js";
import { type StandaloneCurve, standaloneCurve } from "../schema/draft-cache.js";
import type { Plan, Segment } from "../schema/plan.js";
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

/**
 * The plan with a cache of its own for its drafts. What was predicted for drafts over the target's is not predicted for these.
 * @throws OPTION_INVALID where no segment has a draft of the model's own blocks
 */
export function standalonePlan(plan: Loaded<Plan>): Loaded<Plan> {
  const { document } = plan;
  if (document.draft_cache === "own") return plan;
  if (!document.segments.some(({ draft }) => draft !== undefined)) throw nothingToStandAlone(plan.path);
  const segments = document.segments.map((segment): Segment => {
    if (segment.draft === undefined) return segment;
    const { predicted: _, refuted: __, ...rest } = segment;
    return rest;
  });
  return { ...plan, document: { ...document, draft_cache: "own", segments } };
}

const nothingToStandAlone = (at: string) =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at: "--standalone",
    what: `${at} has no draft of the model's own blocks, which a cache of its own is for`,
    remedy: "Leave --standalone out, or make a plan with such a draft: draftplan solve --drafters self",
  });

function calibrationOf(plan: Loaded<Plan>) {
  if (plan.document.inputs === undefined) return null;
  try {
    return readInputs(plan).calibration;
  } catch (error) {
    if (error instanceof DraftplanError && ["INPUTS_MISSING", "DIGEST_MISMATCH"].includes(error.code)) return null;
    throw error;
  }
}
