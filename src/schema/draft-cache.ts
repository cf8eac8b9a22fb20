/**
 * Whose keys and values a draft of the model's own blocks reads: the target's, as the bundled decoder has it unless it is
 * told otherwise, or those that the draft itself wrote, into a cache of its own, as every engine has it that takes a draft
 * for a model. What is measured with one says nothing of the other: with its own cache a draft attends to a whole prompt of
 * its own states, errors and all (llama.cpp #3565: about 1 % acceptance of layers that were chosen over the target's).
 */
import { DraftplanError } from "../core/errors.js";
import type { Calibration, MeasuredDraft } from "./calibration.js";
import { type Choice, choiceKey, type Draft, expandDraft, isSpanned } from "./choice.js";
import type { Plan } from "./plan.js";

/** Curves of drafts with a cache of their own, or of those that read the target's. */
export const isStandalone = ({ draft_cache }: { draft_cache?: "own" | undefined }): boolean => draft_cache === "own";

/**
 * A span is of the target's keys and values. A draft with a cache of its own would have to narrow its own ones at every token,
 * which no engine does.
 * @throws CHOICE_UNAVAILABLE for a span among the choices of such a draft
 */
export function refuseSpans(choices: Iterable<Choice>, at: string): void {
  const span = [...choices].find(isSpanned);
  if (span === undefined) return;
  throw new DraftplanError({
    code: "CHOICE_UNAVAILABLE",
    at,
    what: `${span} is a span of the target's cache, and here the draft has a cache of its own`,
    remedy: "Leave --standalone (draft_cache: own) out, or draft without spans (KERNEL@W).",
  });
}

/** The acceptance of a segment's draft with a cache of its own, and what it rests on. */
export interface StandaloneCurve {
  /** calibrated context it was measured at */
  atContext: number;
  /** [d+1] a_i, d the segment's draft length */
  curve: readonly number[];
  /** text that plans are picked on, or text kept back */
  part: MeasuredDraft["part"];
  /** positions behind it; null: the plan does not say */
  positions: number | null;
  /** rounds that came to its last position; null: they were not counted */
  rounds: number | null;
}

/**
 * The standalone curve of one segment of a plan: of a plan that was solved for a cache of its own what that predicts, of any
 * other what the calibration has measured of the same draft, at the calibrated context nearest to the segment by ratio, on
 * text kept back where there is such.
 * @param segment     its index
 * @param calibration the plan's own; null: there is none
 * @returns null where nothing is known: the segment does not speculate, others than the model's blocks draft, or its draft was
 *   not measured to its length with a cache of its own
 */
export function standaloneCurve(
  { draft_cache, model, segments }: Plan,
  segment: number,
  calibration: Pick<Calibration, "measured" | "model"> | null,
): StandaloneCurve | null {
  const { draft, draft_tokens: d, predicted, context_tokens } = segments[segment];
  if (draft === undefined || d === undefined) return null;
  if (draft_cache === "own" && predicted !== undefined)
    return {
      atContext: predicted.at_context,
      curve: predicted.acceptance_curve,
      part: predicted.evidence === "report" ? "report" : "choose",
      positions: predicted.positions ?? null,
      rounds: predicted.rounds ?? null,
    };
  if (calibration === null || calibration.model.layers !== model.layers) return null;
  const key = keyOf(draft, model.layers, `segments[${segment}].draft`);
  const known = calibration.measured.filter(
    (record, i) =>
      isStandalone(record) &&
      record.curve.length > d &&
      keyOf(record.draft, model.layers, `calibration: measured[${i}].draft`) === key,
  );
  const at = predicted?.at_context ?? middleOf(context_tokens);
  const distance = (n: number) => Math.abs(Math.log((n + 1) / (at + 1)));
  const rank = ({ at_context, part }: MeasuredDraft) => [distance(at_context), part === "report" ? 0 : 1];
  const [best] = known.sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    return x[0] - y[0] || x[1] - y[1];
  });
  if (best === undefined) return null;
  return {
    atContext: best.at_context,
    curve: best.curve.slice(0, d + 1),
    part: best.part,
    positions: best.tokens,
    rounds: best.reached?.[d - 1] ?? null,
  };
}

const keyOf = (draft: Draft, layers: number, at: string): string => choiceKey(expandDraft(draft, layers, at));

/** Geometric, since what changes along contexts changes with their ratio. */
const middleOf = ({ from, to }: { from: number; to: number }): number => Math.sqrt(Math.max(1, from) * to);
