/** Verbs that show what is there: documents, this machine, files kept on disk. */
import { Argument, type Command } from "commander";
import { SHELLS, type Shell } from "../output/completion/tree.js";
import { type SharedOptions, withDeviceOptions, withOutputOptions } from "./options.js";
import { examples, type RunVerb, TO_FILE } from "./verb.js";

export function addReport(program: Command, run: RunVerb): void {
  withOutputOptions(program.command("report"))
    .description("one HTML page from any documents; it needs no network and runs no script")
    .argument("<document...>", "profiles, calibrations, plans, verifications and comparisons, in any mixture")
    .requiredOption(TO_FILE, "the page to write, e.g. report.html; - prints it")
    .addHelpText(
      "after",
      examples(
        "draftplan report plans/plan.yaml plans/plan.verification.yaml -o report.html",
        "draftplan report profiles/*.yaml plans/*.yaml -o report.html",
      ),
    )
    .action(async (documents: string[], options: SharedOptions & import("../commands/report.js").ReportOptions) =>
      run(options, async (context) =>
        (await import("../commands/report.js")).reportCommand(documents, options, context),
      ),
    );
}

export function addHistory(program: Command, run: RunVerb): void {
  withOutputOptions(program.command("history"))
    .description("verifications over time, for each model, device and plan, with the changes among them marked")
    .argument("<dir>", "a folder of verifications; folders within it are read as well")
    .option("--model-name <name>", "only models with this in their name")
    .option("--device <name>", "only processors with this in their name")
    .option("--plan <name>", "only plans with this in the name of their file")
    .addHelpText(
      "after",
      `${examples("draftplan history plans", "draftplan history nightly --model-name llama --json")}

To draw it:
  draftplan report nightly/*.yaml -o report.html`,
    )
    .action(async (folder: string, options: SharedOptions & import("../commands/history.js").HistoryOptions) =>
      run(options, async (context) =>
        (await import("../commands/history.js")).historyCommand(folder, options, context),
      ),
    );
}

export function addDoctor(program: Command, run: RunVerb): void {
  withDeviceOptions(program.command("doctor"))
    .description("what this machine can run, how fast its memory is, and what would disturb a measurement")
    .addHelpText(
      "after",
      `${examples("draftplan doctor", "draftplan doctor --provider cuda --ort-library /opt/onnxruntime/lib/libonnxruntime.so")}\n\nExit code 0 when a model can be run with --provider (default: cpu), else 4.`,
    )
    .action(async (options: SharedOptions) =>
      run(options, async (context) => {
        const { processProbes } = await import("./probe-process.js");
        return (await import("../commands/doctor.js")).doctorCommand(context, processProbes(context.ortLibrary));
      }),
    );
}

export function addCache(program: Command, run: RunVerb): void {
  withOutputOptions(program.command("cache"))
    .description("the converted models kept on disk")
    .option(
      "--clear [name]",
      "delete those of this model, or with this key; without one all. They are made again when needed",
    )
    .addHelpText(
      "after",
      examples("draftplan cache", "draftplan cache --clear", "draftplan cache --clear SmolLM2-135M"),
    )
    .action(async (options: SharedOptions & { clear?: true | string }) =>
      run(options, async (context) => (await import("../commands/cache.js")).cacheCommand(options, context)),
    );
}

export function addCompletion(program: Command, run: RunVerb): void {
  withOutputOptions(program.command("completion"))
    .description("completion of verbs, options and their values, for a shell to load")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText(
      "after",
      examples(
        "draftplan completion fish > ~/.config/fish/completions/draftplan.fish     # once",
        "source <(draftplan completion bash)                                       # in ~/.bashrc",
        "source <(draftplan completion zsh)                                        # in ~/.zshrc, behind compinit",
      ),
    )
    .action(async (shell: Shell, options: SharedOptions) =>
      run(options, async (context) => {
        const { completionPlaces } = await import("./completion-places.js");
        const places = completionPlaces(program);
        return (await import("../commands/completion.js")).completionCommand(shell, places, context);
      }),
    );
}
