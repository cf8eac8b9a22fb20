/** What is known of a plan's drafts with a cache of their own, from the plan and the calibration that it names. */
import { DraftplanError } from "../core/errors.js";
import type { Engine } from "../runtime/engine.js";
import type { LoadedModel } from "../runtime/load.js";
import type { Calibration } from "../schema/calibration.js";
import { CHOICES, draftChoices } from "../schema/choice.js";
import type { Loaded } from "../schema/document.js";
import { isStandalone, type StandaloneCurve, standaloneCurve } from "../schema/draft-cache.js";
import type { Plan, Predicted, Segment } from "../schema/plan.js";
import { openProblem, ownCachePrediction } from "../solve/index.js";
import { readInputs } from "./plan-inputs.js";

/**
 * The standalone curve of each segment, null where none is known. A plan whose profile and calibration are not where it says,
 * or have changed, is a plan that nothing more is known of than it says itself.
 * @returns [segments]
 * @throws what reading a document throws that is there and cannot be read
 */
export function standaloneCurves(plan: Loaded<Plan>): (StandaloneCurve | null)[] {
  const calibration = inputsOf(plan)?.calibration ?? null;
  return plan.document.segments.map((_, i) => standaloneCurve(plan.document, i, calibration));
}

/** The same weights over a second cache. @throws Error for an engine that has one cache alone: none that loadModel opens */
export function secondEngine({ engine }: Pick<LoadedModel, "engine">): Engine {
  const second = engine.withOwnCache?.();
  if (second === undefined) throw new Error(`this engine of ${engine.spec.name} has one cache`);
  return second;
}

/**
 * A plan for drafts with a cache of their own rests on curves measured so.
 * @throws DRAFTER_UNAVAILABLE where there are none and no model to measure them on; OPTION_INVALID for a method that proposes
 *   drafts over the target's cache
 */
export function requireStandalone({ calibration, method, measure }: StandaloneRequest): void {
  if (method !== "knapsack" && method !== "none")
    throw new DraftplanError({
      code: "OPTION_INVALID",
      at: `--method ${method} --standalone`,
      what: `${method} looks for drafts over the target's cache`,
      remedy: "Leave one of the two options out.",
    });
  const { measured } = calibration.document;
  if (measure !== undefined || measured.some((record) => isStandalone(record) && record.part === "choose")) return;
  throw new DraftplanError({
    code: "DRAFTER_UNAVAILABLE",
    at: "--standalone",
    what: "the calibration knows no draft with a cache of its own",
    remedy:
      "Measure some: draftplan calibrate MODEL --standalone; or add --model MODEL, and the best are measured now.",
  });
}

interface StandaloneRequest {
  calibration: Loaded<Calibration>;
  method: string;
  measure?: unknown;
}

/**
 * The plan with a cache of its own for its drafts. What was predicted for drafts over the target's is not predicted for these:
 * where the plan's calibration has measured them with a cache of their own, that is, by the plan's profile.
 * @param answerTokens tokens of an answer that the reading of its prompt is shared by; null: nothing is to be predicted
 * @throws OPTION_INVALID where no segment has a draft of the model's own blocks
 */
export function standalonePlan(plan: Loaded<Plan>, answerTokens: number | null): Loaded<Plan> {
  const { document } = plan;
  if (document.draft_cache === "own") return plan;
  if (!document.segments.some(({ draft }) => draft !== undefined)) throw nothingToStandAlone(plan.path);
  const predictions = answerTokens === null ? [] : predictionsOf(plan, answerTokens);
  const segments = document.segments.map((segment, i): Segment => {
    if (segment.draft === undefined) return segment;
    const { predicted: _, refuted: __, ...rest } = segment;
    const predicted = predictions[i] ?? null;
    return predicted === null ? rest : { ...rest, predicted };
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

/** @returns [segments] */
function predictionsOf(plan: Loaded<Plan>, answerTokens: number): (Predicted | null)[] {
  const inputs = inputsOf(plan);
  if (inputs === null) return [];
  const { extrapolated, segments } = plan.document;
  const extrapolateTo = extrapolated?.to_context_tokens;
  // whole drafts alone are looked up here: that single losses were measured for every choice is not asked for
  const problem = openProblem({
    ...{ ...inputs, choices: draftChoices(CHOICES), drafters: ["heads"] },
    ...{ standalone: true, answerTokens, extrapolateTo },
  });
  return segments.map((segment, i) => {
    const known = standaloneCurve(plan.document, i, inputs.calibration);
    return ownCachePrediction(problem, segment, known, `${plan.path}: segments[${i}].draft`);
  });
}

/** A plan whose inputs are not where it says, or have changed, has none. */
function inputsOf(plan: Loaded<Plan>) {
  if (plan.document.inputs === undefined) return null;
  try {
    return readInputs(plan);
  } catch (error) {
    if (error instanceof DraftplanError && ["INPUTS_MISSING", "DIGEST_MISMATCH"].includes(error.code)) return null;
    throw error;
  }
}
