/** Which texts an output can be told to stop at. */
import { DraftplanError } from "../../core/errors.js";
import type { PromptSource } from "./types.js";

/** @throws OPTION_INVALID for a text without characters, USAGE where there is no text to stop at */
export function requireStops(stops: readonly string[], kind: PromptSource["kind"]): void {
  if (stops.includes("")) throw emptyStop();
  if (stops.length > 0 && kind === "ids") throw stopWithoutText();
}

const emptyStop = () =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at: "--stop",
    what: "it is empty, and every text has that at its beginning",
    remedy: "Give a text, or leave --stop out.",
  });

const stopWithoutText = () =>
  new DraftplanError({
    code: "USAGE",
    at: "--stop --prompt-ids",
    what: "a prompt of token ids is gone on with in token ids, without a tokenizer to make text of them",
    remedy: "Give the prompt as text: --prompt TEXT or --chat TEXT.",
  });
