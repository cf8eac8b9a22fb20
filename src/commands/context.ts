/** What a command gets from the command line: what its work needs, and where its results go. */
import type { Printer } from "../output/printer.js";
import type { PipelineContext } from "../pipeline/context.js";

export interface CommandContext extends PipelineContext, Printer {
  /** null or missing: nobody can be asked, since input or output is no terminal */
  readonly terminal?: Terminal | null;
}

/** A person at a terminal. */
export interface Terminal {
  /** @returns the line that was typed; null where there will be none any more: Ctrl-D, or Ctrl-C twice on an empty line */
  ask(prompt: string): Promise<string | null>;
  /** Runs work that Ctrl-C ends. @returns null where it did; whatever else ends it is thrown on */
  turn<Result>(work: () => Promise<Result>): Promise<Result | null>;
}
