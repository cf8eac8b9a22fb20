/** Verbs that hand a plan to an engine, and take back what the engine says of it. */
import type { Command } from "commander";
import { ENGINE_NAMES } from "../export/engines/list.js";
import { asTyped, integerFrom, named, type SharedOptions, withOutputOptions } from "./options.js";
import { examples, MODEL, type RunVerb } from "./verb.js";

export function addExport(program: Command, run: RunVerb): void {
  withOutputOptions(program.command("export"))
    .description("a plan as what an engine takes: a folder with a draft, the command to run, and what to expect")
    .argument("<plan>", "a plan")
    .addOption(
      named("--to <engine>", `the engine: ${ENGINE_NAMES.join(", ")}`, ENGINE_NAMES, asTyped).makeOptionMandatory(),
    )
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

export function addImportMetrics(program: Command, run: RunVerb): void {
  withOutputOptions(program.command("import-metrics"))
    .description("what an engine counted of a draft, beside what was predicted for it; for CI where the plan is served")
    .argument("<file>", "the engine's figures: /metrics of vLLM or SGLang, JSON of the others; docs/engines.md")
    .option("--export <file>", "export.yaml of the folder that the engine runs")
    .option("--plan <file>", "a plan, in place of an export")
    .option(
      "--context <tokens>",
      "which of the plan's ranges (default: where it is predicted to save most)",
      integerFrom(0),
    )
    .option("--tolerance <percent>", "fewer tokens a round by no more than this are as predicted (default: 5%)")
    .option("--calibration <file>", "a calibration that the acceptance is added to, for solve --standalone; with -o")
    .option("-o, --output <file>", "where to write that calibration")
    .option("--fail-inconclusive", "fail where the figures could not tell")
    .option("--junit <file>", "write JUnit XML")
    .option("--github", "annotate a GitHub job, and write its summary and outputs")
    .option("--markdown <file>", "write a Markdown summary")
    .addHelpText(
      "after",
      examples(
        "curl -s localhost:8000/metrics > metrics.txt && draftplan import-metrics metrics.txt --export my-export/export.yaml",
        "draftplan import-metrics answers.jsonl --plan plan.yaml --context 2000 --tolerance 3%",
      ),
    )
    .action(
      async (file: string, options: SharedOptions & import("../commands/import-metrics.js").ImportMetricsOptions) =>
        run(options, async (context) =>
          (await import("../commands/import-metrics.js")).importMetricsCommand(file, options, context),
        ),
    );
}
