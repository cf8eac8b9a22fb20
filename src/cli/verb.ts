/** What the declarations of all verbs share. */
import type { CommandContext } from "../commands/context.js";
import type { SharedOptions } from "./options.js";

/** Runs a verb's work; false means that a verification or check failed. */
export type RunVerb = (options: SharedOptions, work: (context: CommandContext) => Promise<unknown>) => Promise<void>;

export const MODEL = "a Hugging Face folder, a .gguf file, hf:OWNER/NAME[@REVISION], or: embedded";
export const TO_FILE = "-o, --output <file>";

/** of `--drafter` */
export const DRAFTER =
  "who drafts: plan, none, self (the plan's own blocks alone), lookup (n-grams of the text so far), model:PATH (a smaller model), heads:PATH, or hybrid (a lookup, else the plan's drafter) (default: plan, without one none)";

/** of `--drafter`, for completion */
export const WHO_DRAFTS = ["plan", "none", "self", "lookup", "hybrid", "model:", "heads:"] as const;

export const STANDALONE =
  "the draft has a KV cache of its own and fills it itself, as in engines that take it for a model";

/** of verbs that go on where they were interrupted */
export const FRESH = "begin anew, also where the same command was interrupted and could be gone on with";

export const examples = (...lines: string[]): string => `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;
