/** The text that codes and scales are fitted to: the bundled one's deciding half, all kinds of it by turns. */

import { makePrompts } from "../../calibrate/windows.js";
import type { FitText } from "../../runtime/engine.js";
import { openTokenizer } from "../../tokenizer/open.js";
import type { PipelineContext } from "../context.js";
import { readCalibrationText, textCodec } from "./calibration-text.js";

/** Together some 6,000 tokens; half as many left acceptance where it was (docs/measurements.md). */
const SEQUENCES = 12;
const TOKENS = 512;

/** @returns undefined where nothing is fitted */
export const fitText = (model: string, { scales }: Pick<PipelineContext, "scales">): FitText | undefined =>
  scales === "fitted" ? decidingText(model) : undefined;

/** What a model reads where something is learned of it before it is converted. */
export function decidingText(model: string): FitText {
  const text = readCalibrationText(undefined);
  return {
    sha256: `${text.sha256} ${SEQUENCES} ${TOKENS}`,
    async sequences() {
      const codec = { ...textCodec(await openTokenizer(model)), chat: null };
      return makePrompts(text.choose, codec, TOKENS, SEQUENCES);
    },
  };
}
