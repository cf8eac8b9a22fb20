/** The text that mixtures of experts are timed on. */
import { DraftplanError } from "../../core/errors.js";
import type { ModelSpec } from "../../model/spec.js";
import { decidingText } from "../text/fit-text.js";

/**
 * @param model whose tokenizer reads the text
 * @param specs of all models that are timed
 * @returns ids of some 6,000 tokens, all kinds of the bundled text; undefined where none of the models is a mixture, and where the
 *   model has no tokenizer: its profile then warns (ROUTED_AT_RANDOM)
 */
export async function routedText(model: string, specs: readonly ModelSpec[]): Promise<number[] | undefined> {
  if (specs.every(({ experts }) => experts === undefined)) return undefined;
  try {
    return (await decidingText(model).sequences()).flat();
  } catch (error) {
    if (error instanceof DraftplanError && error.code.startsWith("TOKENIZER_")) return undefined;
    throw error;
  }
}
