/** What a command gets from the command line: what its work needs, and where its results go. */
import type { Printer } from "../output/printer.js";
import type { PipelineContext } from "../pipeline/context.js";

export interface CommandContext extends PipelineContext, Printer {}
