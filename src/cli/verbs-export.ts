/** The verb that hands a plan to an engine. */
import type { Command } from "commander";
import { ENGINE_NAMES } from "../export/engines/list.js";
import { integerFrom, type SharedOptions, withOutputOptions } from "./options.js";
import { examples, MODEL, type RunVerb } from "./verb.js";

export function addExport(program: Command, run: RunVerb): void {
  withOutputOptions(program.command("export"))
    .description("a plan as what an engine takes: a folder with a draft, the command to run, and what to expect")
    .argument("<plan>", "a plan")
    .requiredOption("--to <engine>", `the engine: ${ENGINE_NAMES.join(", ")}`)
    .requiredOption("--model <model>", MODEL)
    .requiredOption("-o, --output <dir>", "the folder to make")
    .option(
      "--context <tokens>",
      "export what the plan drafts at this context (default: where it is predicted to save most)",
      integerFrom(0),
    )
    .option(
      "--weights <type>",
      "what the draft's weights are stored as, in the engine's words (default: as the plan says)",
    )
    .addHelpText(
      "after",
      examples("draftplan export plans/plan.yaml --to transformers --model llama-1b -o exports/llama-1b"),
    )
    .action(async (plan: string, options: SharedOptions & import("../commands/export.js").ExportOptions) =>
      run(options, async (context) => (await import("../commands/export.js")).exportCommand(plan, options, context)),
    );
}
