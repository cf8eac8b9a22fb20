/** A failure as the user reads it: where, what, what to do. */
import { CommanderError } from "commander";
import { DraftplanError, EXIT } from "../core/errors.js";
import { Interruption } from "./interruption.js";

const MAX_LINE = 600;

/** Names and messages come from files that may be hostile: no line breaks, no escape sequences for the terminal. */
const oneLine = (text: string): string => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must go
  const clean = text.replace(/[\s\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").trim();
  return clean.length > MAX_LINE ? `${clean.slice(0, MAX_LINE)}…` : clean;
};

export interface Outcome {
  exitCode: number;
  /** for stderr; "" where nothing is to be said */
  message: string;
}

/** @param verb what the user ran, e.g. `draftplan generate` */
export function explainError(error: unknown, verb: string, debug: boolean): Outcome {
  if (error instanceof Interruption)
    return { exitCode: error.exitCode, message: error.message === "" ? "" : `${error.message}\n` };
  // commander has printed help or the version already; "commander.help": because no verb was given
  if (error instanceof CommanderError && error.exitCode === 0) return { exitCode: EXIT.done, message: "" };
  if (error instanceof CommanderError && error.code === "commander.help") return { exitCode: EXIT.usage, message: "" };
  const failure = asDraftplanError(error, verb);
  const lines = [
    `error [${failure.code}] ${oneLine(failure.at)}`,
    `  what: ${oneLine(failure.what)}`,
    `  try:  ${oneLine(failure.remedy)}`,
  ];
  if (debug) lines.push(stackOf(error));
  return { exitCode: failure.exitCode, message: `${lines.join("\n")}\n` };
}

function asDraftplanError(error: unknown, verb: string): DraftplanError {
  if (error instanceof DraftplanError) return error;
  if (error instanceof CommanderError) return usageError(error, verb);
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (error instanceof RangeError && /allocation failed|invalid (typed )?array (buffer )?length/i.test(error.message)) {
    return new DraftplanError({
      code: "OUT_OF_MEMORY",
      at: verb,
      what: `memory ran out (${error.message})`,
      remedy: "Close other programs, or use a smaller model or a shorter --context.",
      cause: error,
    });
  }
  return new DraftplanError({
    code: "INTERNAL",
    at: verb,
    what: `this is a fault of draftplan's own: ${what}`,
    remedy: "Run the same command with --debug and report what it prints.",
    cause: error,
  });
}

/** `error: unknown command 'x'\n(Did you mean y?)`: the suggestion is what to try */
function usageError(error: CommanderError, verb: string): DraftplanError {
  const [what, suggestion] = error.message.replace(/^error: /, "").split("\n");
  const invalid = error.code === "commander.invalidArgument";
  return new DraftplanError({
    code: invalid ? "OPTION_INVALID" : "USAGE",
    at: verb,
    what,
    remedy: `${suggestion === undefined ? "" : `${suggestion.replace(/^\(|\)$/g, "")} `}See: ${verb} --help`,
    cause: error,
  });
}

function stackOf(error: unknown): string {
  const parts: string[] = [];
  for (let current = error; current instanceof Error; current = current.cause) {
    parts.push(`${parts.length === 0 ? "" : "caused by "}${current.stack ?? current.message}`);
  }
  return parts.join("\n");
}
