/** What plans are run on: prompts of each context that no draft was chosen on. */
import { median } from "simple-statistics";
import { makePrompts } from "../../calibrate/windows.js";
import { DraftplanError } from "../../core/errors.js";
import type { Tokenizer } from "../../tokenizer/types.js";
import type { VerifyPrompt } from "../../verify/index.js";
import type { MeasuringText } from "../measuring/measuring.js";
import { type CalibrationText, textCodec } from "../text/calibration-text.js";

export interface PromptsAt {
  contextTokens: number;
  prompts: VerifyPrompt[];
}

/** Intervals are over prompts, and a few prompts make a wide one. */
const PROMPTS = 6;
const NAME_CHARS = 60;

/**
 * Windows of the part of the text that drafts were not chosen on.
 * @param count at each context; fewer where the text has fewer places
 * @throws TEXT_TOO_SHORT where it does not fill one
 */
export function heldBackPrompts(
  text: CalibrationText,
  tokenizer: Tokenizer,
  contexts: readonly number[],
  measured: Pick<MeasuringText, "prompts">,
  count: number = PROMPTS,
): PromptsAt[] {
  const codec = textCodec(tokenizer);
  const chosenOn = new Set(measured.prompts.flatMap(({ choose }) => choose.map(String)));
  return contexts.map((contextTokens) => {
    const windows = makePrompts(text.report, codec, contextTokens, count).filter((ids) => !chosenOn.has(String(ids)));
    if (windows.length > 0)
      return {
        contextTokens,
        prompts: windows.map((ids, i) => ({ name: nameOf(tokenizer, ids, contextTokens, i), ids })),
      };
    throw new DraftplanError({
      code: "TEXT_TOO_SHORT",
      at: text.source,
      what: `the half of the text that plans are measured on does not fill a prompt of ${contextTokens} tokens`,
      remedy: "Give more text with --text FILE..., or shorter contexts with --context.",
    });
  });
}

/** Its end, which is what is gone on with. */
function nameOf(tokenizer: Tokenizer, ids: readonly number[], contextTokens: number, index: number): string {
  const end = tokenizer
    .decode(ids.slice(-24))
    .replace(/[\p{C}\s]+/gu, " ")
    .trim();
  const characters = [...end];
  return `${contextTokens}.${index + 1}: …${characters.slice(-NAME_CHARS).join("")}`;
}

/**
 * Prompts of a file, each with those of the context that is nearest to its length on a logarithmic scale. A group's context
 * is its median prompt's.
 */
export function promptsByContext(prompts: readonly VerifyPrompt[], contexts: readonly number[]): PromptsAt[] {
  const distance = (n: number, { ids }: VerifyPrompt) => Math.abs(Math.log(n / ids.length));
  const nearest = (prompt: VerifyPrompt) =>
    contexts.reduce((best, n) => (distance(n, prompt) < distance(best, prompt) ? n : best));
  return contexts.flatMap((contextTokens) => {
    const own = prompts.filter((prompt) => nearest(prompt) === contextTokens);
    const lengths = own.map(({ ids }) => ids.length);
    return own.length === 0 ? [] : [{ contextTokens: Math.round(median(lengths)), prompts: own }];
  });
}
