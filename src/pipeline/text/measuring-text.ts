/** The text of a calibration, continued by the target again: what drafts are measured on once the calibration is made. */
import { type ContextPrompts, samplingAt } from "../../calibrate/calibrate.js";
import { ContinuedPrompts } from "../../calibrate/continuation.js";
import { DraftplanError } from "../../core/errors.js";
import type { Progress } from "../../core/progress.js";
import { systemClock } from "../../runtime/device.js";
import type { LoadedModel } from "../../runtime/load.js";
import type { Calibration } from "../../schema/calibration.js";
import type { Loaded } from "../../schema/document.js";
import { openTokenizer } from "../../tokenizer/open.js";
import type { MeasuringText } from "../measuring/measuring.js";
import { type CalibrationText, contextPrompts, SAMPLE, textCodec } from "./calibration-text.js";

/** @throws DIGEST_MISMATCH where the calibration was made on other text */
export function requireSameText(calibration: Loaded<Calibration>, text: CalibrationText): void {
  const { document } = calibration;
  if (text.sha256 === document.text.sha256) return;
  throw new DraftplanError({
    code: "DIGEST_MISMATCH",
    at: `${calibration.path}: text.sha256`,
    what: `the calibration was made on other text (${document.text.source})`,
    remedy: "Give the same files with --text, or calibrate again.",
  });
}

export async function continueAgain(
  model: Pick<LoadedModel, "engine" | "path">,
  { contexts, text: made }: Calibration,
  text: CalibrationText,
  progress: Progress,
): Promise<MeasuringText> {
  const codec = textCodec(await openTokenizer(model.path));
  const prompts = contextPrompts(
    text,
    codec,
    contexts.map(({ at_context }) => at_context),
    made.prompts_per_context,
  );
  const sampling = samplingAt(made.temperature);
  const texts = new Map<number, ContinuedPrompts>();
  const positions =
    made.prompts_per_context === undefined ? SAMPLE.positions(model.engine.spec) : Number.POSITIVE_INFINITY;
  for (const { atContext, choose, kinds } of prompts) {
    const tokens = made.continuation_tokens;
    const continued = new ContinuedPrompts(model.engine, systemClock, choose, tokens, sampling, kinds?.choose);
    await continued.until(positions, progress);
    texts.set(atContext, continued);
  }
  return measuringText(texts, prompts, made.continuation_tokens);
}

/** What was continued for a calibration, to measure whole drafts on, and more of it as it is needed. */
export function measuringText(
  texts: ReadonlyMap<number, ContinuedPrompts>,
  prompts: readonly ContextPrompts[],
  continuationTokens: number,
): MeasuringText {
  return {
    continuations: new Map([...texts].map(([at, { made }]) => [at, [...made]])),
    more: async (at, progress) => (await texts.get(at)?.next(progress)) ?? null,
    prompts,
    continuationTokens,
  };
}
