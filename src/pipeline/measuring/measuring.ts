/** What measuring candidates needs, and the record it leaves. */
import { type ContextPrompts, ROUND_TOKENS } from "../../calibrate/calibrate.js";
import type { Continuation } from "../../calibrate/continuation.js";
import {
  type MeasuredCurve,
  type MeasuredPositions,
  measureDrafts,
  measureStandalone,
} from "../../calibrate/whole-drafts.js";
import type { Progress } from "../../core/progress.js";
import type { ModelSpec } from "../../model/spec.js";
import { systemClock } from "../../runtime/device.js";
import type { Clock, Engine } from "../../runtime/engine.js";
import type { LoadedModel } from "../../runtime/load.js";
import type { Calibration } from "../../schema/calibration.js";
import { type Choice, type ChoiceSet, compactDraft } from "../../schema/choice.js";
import type { Constraints } from "../../schema/constraints.js";
import type { Profile } from "../../schema/profile.js";
import { openProblem, type Problem } from "../../solve/index.js";
import { isSmall, SAMPLE } from "../text/calibration-text.js";

type DraftChoice = Exclude<Choice, "target">;

/** Text already continued by the target, and prompts for the report, at each calibrated context. */
export interface MeasuringText {
  continuations: ReadonlyMap<number, Continuation[]>;
  /** one more at a context, whose states the cache then holds; null where the text has no more; absent: it never has */
  more?: (at: number, progress: Progress) => Promise<Continuation | null>;
  prompts: readonly ContextPrompts[];
  continuationTokens: number;
}

/** Everything that measuring needs; the same for all its steps. */
export interface Measuring {
  model: Pick<LoadedModel, "engine">;
  profile: Profile;
  /**
   * Sets of choices to plan with. Their drafts are measured together, since filling the cache with a long prompt costs
   * more than a draft's passes over it.
   */
  variants: readonly (readonly DraftChoice[])[];
  /** what every plan's drafts keep to */
  constraints?: Constraints | undefined;
  /** context that costs are drawn on to, beyond the profile */
  extrapolateTo?: number | undefined;
  /** where drafts have a cache of their own: the engine whose cache they fill, and the tokens of an answer; absent: the target's */
  own?: { engine: Engine; answerTokens?: number | undefined } | undefined;
  text: MeasuringText;
  /** how surely the drafts that plans rest on are to be known; absent: as what is there says */
  precision?: Precision;
  progress: Progress;
}

/** Whole drafts are measured on more and more prompts until this holds, or the time is up. */
export interface Precision {
  /** standard error of a draft's tokens a round, as a share of them: with costs given, that of its predicted speedup */
  error: number;
  /** positions that every confirmed draft rests on, even where the time is up before */
  positions: number;
  clock: Clock;
  /** by the clock: measuring what is chosen from ends at the first, confirming it at the second */
  chooseUntilUs: number;
  reportUntilUs: number;
}

/** Below this, what is not known of acceptance no longer matters beside what is not known of time. */
export const TARGET_ERROR = 0.015;

/** Seconds from the beginning of measuring, until what plans are chosen from is no longer made surer, and what confirms them. */
const MEASURING_SECONDS = { small: { choose: 14, report: 20 }, large: { choose: 90, report: 115 } };

/** @param startUs by the system clock; default: now */
export function precisionFor(spec: ModelSpec, startUs = systemClock.nowUs()): Precision {
  const { choose, report } = MEASURING_SECONDS[isSmall(spec) ? "small" : "large"];
  return {
    ...{ error: TARGET_ERROR, positions: SAMPLE.positions(spec), clock: systemClock },
    ...{ chooseUntilUs: startUs + 1e6 * choose, reportUntilUs: startUs + 1e6 * report },
  };
}

/** The problem of a plan of the model's own blocks, with what is known so far. */
export const problemOf = (
  { profile, constraints, extrapolateTo, own }: Measuring,
  calibration: Calibration,
  choices: readonly DraftChoice[],
): Problem =>
  openProblem({
    ...{ profile, calibration, choices, constraints, drafters: ["self"], extrapolateTo },
    ...{ standalone: own !== undefined, answerTokens: own?.answerTokens },
  });

/** Curves of drafts along some texts, over whichever cache they are to have. */
export const measureAlong = (
  { model, own, progress }: Pick<Measuring, "model" | "own" | "progress">,
  texts: readonly Continuation[],
  sets: readonly ChoiceSet[],
  isCached = false,
  d = ROUND_TOKENS,
): Promise<MeasuredPositions[]> =>
  own === undefined
    ? measureDrafts(model.engine, texts, sets, d, progress, isCached)
    : measureStandalone(model.engine, own.engine, texts, sets, d, progress);

/** The record of a draft measured on the text that plans are chosen on. */
export const choosing = (
  at: number,
  set: ChoiceSet,
  { tokens, curve, reached, length_errors, siblings, confidence }: MeasuredCurve,
  isOwn = false,
): Calibration["measured"][number] => ({
  at_context: at,
  part: "choose",
  draft: compactDraft(set),
  ...(isOwn ? { draft_cache: "own" as const } : {}),
  tokens,
  curve,
  reached,
  ...(length_errors === undefined ? {} : { length_errors }),
  ...(siblings === undefined || isOwn ? {} : { siblings }),
  ...(confidence === undefined ? {} : { confidence }),
});
