/**
 * The verbs of the contract: names, flags, help. Each loads its command only when it runs, so that help
 * is quick and nothing native is loaded for it.
 */
import { type Command, Option } from "commander";
import type { CommandContext } from "../commands/context.js";
import { SOLVE_METHODS } from "../methods/names.js";
import {
  commaList,
  integerFrom,
  numberFrom,
  positive,
  type SharedOptions,
  withDeviceOptions,
  withOutputOptions,
} from "./options.js";

/** Runs a verb's work; false means that a verification or check failed. */
export type RunVerb = (options: SharedOptions, work: (context: CommandContext) => Promise<unknown>) => Promise<void>;

const MODEL = "a Hugging Face folder, a .gguf file, or: embedded";
const TO_FILE = "-o, --output <file>";

const examples = (...lines: string[]): string => `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;

export function addVerbs(program: Command, run: RunVerb): void {
  addRun(program, run);
  addInspect(program, run);
  addGenerate(program, run);
  addEvaluate(program, run);
  addProfile(program, run);
  addCalibrate(program, run);
  addSolve(program, run);
  addExplain(program, run);
  addPlan(program, run);
  addVerify(program, run);
  addCompare(program, run);
  addCheck(program, run);
  addReport(program, run);
  addHistory(program, run);
  addDoctor(program, run);
  addCache(program, run);
}

function addRun(program: Command, run: RunVerb): void {
  withDeviceOptions(program.command("run"))
    .description("all stages: profile, calibrate, solve, verify")
    .argument("[model]", `${MODEL} (default: embedded)`)
    .option("--out <dir>", "folder for all documents (default: profiles/ and plans/)")
    .addHelpText("after", examples("draftplan run", "draftplan run model.gguf --out my-plan"))
    .action(async (model: string | undefined, options: SharedOptions & { out?: string }) =>
      run(options, async (context) => (await import("../commands/run.js")).runCommand(model, options, context)),
    );
}

function addInspect(program: Command, run: RunVerb): void {
  withOutputOptions(program.command("inspect"))
    .description("what a model or a document is, and whether it is valid")
    .argument("<model|document>", `${MODEL}, a config.json; or a document of draftplan's`)
    .addHelpText("after", examples("draftplan inspect embedded", "draftplan inspect plans/plan.yaml --json"))
    .action(async (path: string, options: SharedOptions) =>
      run(options, async (context) => (await import("../commands/inspect.js")).inspectCommand(path, context)),
    );
}

function addGenerate(program: Command, run: RunVerb): void {
  const prompts = ["prompt", "chat", "promptIds"];
  const prompt = (flags: string, description: string, name: string) =>
    new Option(flags, description).conflicts(prompts.filter((other) => other !== name));
  withDeviceOptions(program.command("generate"))
    .description("continue a prompt greedily, with or without a plan; the output is the same")
    .argument("<model>", MODEL)
    .addOption(prompt("--prompt <text>", "text to continue", "prompt"))
    .addOption(prompt("--chat <text>", "what a user says, put into the model's chat template", "chat"))
    .addOption(prompt("--prompt-ids <file>", "a JSON array of token ids; no tokenizer is needed", "promptIds"))
    .option("--plan <plan>", "draft as this plan says")
    .option("--adapt", "begin with the plan, and change draft and length as the text turns out harder or easier")
    .option("--max-tokens <n>", "new tokens at most (default: 256, or what the context has room for)", integerFrom(1))
    .option("--temperature <t>", "only 0, greedy, until sampling exists", numberFrom(0))
    .option("--seed <n>", "for sampling, once it exists; greedy decoding uses no chance", integerFrom(0))
    .addHelpText(
      "after",
      examples(
        'draftplan generate embedded --prompt "My fellow citizens" --max-tokens 40',
        'draftplan generate model.gguf --plan plans/plan.yaml --chat "Why is the sky blue?"',
        'draftplan generate model.gguf --plan plans/plan.yaml --adapt --prompt "def fibonacci(n):"',
        "draftplan generate model.gguf --prompt-ids ids.json --json",
      ),
    )
    .action(async (model: string, options: SharedOptions & import("../commands/generate.js").GenerateOptions) =>
      run(options, async (context) =>
        (await import("../commands/generate.js")).generateCommand(model, options, context),
      ),
    );
}

function addEvaluate(program: Command, run: RunVerb): void {
  withDeviceOptions(program.command("evaluate"))
    .description("how often a draft's next token is the target's, on a given text")
    .argument("<model>", MODEL)
    .addOption(
      new Option("--skip <blocks>", "a draft that leaves out these blocks, e.g. 5.attn,3.mlp")
        .argParser(commaList)
        .conflicts("plan"),
    )
    .option("--plan <plan>", "the drafts of this plan, each at its contexts")
    .option(
      "--ids <file>",
      'a JSON array of token ids, or {"ids": [...], "first": k}: positions before k are context only',
    )
    .addHelpText(
      "after",
      examples(
        "draftplan evaluate embedded --skip 5.attn,3.mlp",
        "draftplan evaluate model.gguf --plan plans/plan.yaml --json",
      ),
    )
    .action(async (model: string, options: SharedOptions & import("../commands/evaluate.js").EvaluateOptions) =>
      run(options, async (context) =>
        (await import("../commands/evaluate.js")).evaluateCommand(model, options, context),
      ),
    );
}

function addProfile(program: Command, run: RunVerb): void {
  const profile = withDeviceOptions(program.command("profile"))
    .description("measure what every block costs on this device, over context and query length")
    .argument("<model|config.json>", `${MODEL}; a config.json alone will do`)
    .option(TO_FILE, "where to write the profile; - prints it (default: into profiles/)")
    .option("--context <tokens>", "contexts: 64..4096, or exactly 64,512,4096")
    .option("--query <tokens>", "tokens in a pass: 1..17, or exactly 1,5,9")
    .option("--budget <time>", "for all measuring: 60s, 2m, 90 (default: 55 s after the cache is filled)")
    .option("--precision <percent>", "stop once the target's medians are known so well: 1%")
    .option("--samples <file>", "keep every timing as JSON lines; the same command goes on from there")
    .option("--choices <list>", "kernels to measure beside the target: int8,int4 (default: int8)", commaList)
    .option(
      "--memory <gib>",
      "of a config.json: measure what fits into so much memory (default: what is free)",
      positive,
    )
    .addHelpText(
      "after",
      examples(
        "draftplan profile embedded",
        "draftplan profile model.gguf --context 64..2048 -o profiles/mine.yaml",
        "draftplan profile llama-8b/config.json",
      ),
    )
    .action(async (model: string, options: SharedOptions & import("../commands/profile.js").ProfileOptions) =>
      run(options, async (context) => (await import("../commands/profile.js")).profileCommand(model, options, context)),
    );
  addProfileImport(program, profile, run);
}

function addProfileImport(program: Command, profile: Command, run: RunVerb): void {
  // Both have -o and --json, and each is to get what follows it. A model called "import" is ./import.
  for (const command of [program, profile]) command.enablePositionalOptions();
  profile.helpCommand(false);
  withOutputOptions(profile.command("import"))
    .description("make a profile of latencies that another engine measured")
    .argument(
      "<table.csv>",
      "component, choice, context_tokens, query_tokens, us and perhaps layer (docs/profile-import.md)",
    )
    .requiredOption("--model-config <model|config.json>", `what was measured: a config.json; or ${MODEL}`)
    .requiredOption(
      "--device <key=value...>",
      "what it was measured on: processor, provider, threads, runtime and platform, each as key=value",
    )
    .option(TO_FILE, "where to write the profile; - prints it (default: into profiles/)")
    .addHelpText(
      "after",
      examples(
        'draftplan profile import measured.csv --model-config llama-8b/config.json --device processor="Example GPU" provider=cuda threads=1 runtime="an engine 1.0" platform="linux x64" -o profiles/mine.yaml',
      ),
    )
    .hook("preAction", () => {
      const misplaced = profile.options.find(
        (option) => profile.getOptionValueSource(option.attributeName()) === "cli",
      );
      if (misplaced !== undefined) profile.error(`error: give ${misplaced.flags} after import, not before it`);
    })
    .action(async (table: string, options: SharedOptions & import("../commands/profile-import.js").ImportOptions) =>
      run(options, async (context) =>
        (await import("../commands/profile-import.js")).profileImportCommand(table, options, context),
      ),
    );
}

function addCalibrate(program: Command, run: RunVerb): void {
  withDeviceOptions(program.command("calibrate"))
    .description("measure what leaving out or quantising each block costs in acceptance")
    .argument("<model>", MODEL)
    .option("--text <file...>", "text to calibrate on (default: a short one that travels with draftplan)")
    .option(
      "--context <tokens>",
      "contexts to measure at: 64..1024, or exactly 64,512 (default: as the model's size allows)",
    )
    .option("--choices <list>", "kernels to measure beside skipping: int8,int4 (default: int8)", commaList)
    .option(
      "--temperature <t>",
      "measure acceptance for sampling at this temperature (default: greedy decoding)",
      numberFrom(0.01),
    )
    .option(
      "--prompts-per-context <count>",
      "prompts of each part of the text at each context: more make acceptance surer (default: 4, from 512 tokens on 2)",
      integerFrom(1, 1000),
    )
    .option(TO_FILE, "where to write the calibration; - prints it (default: into profiles/)")
    .addHelpText(
      "after",
      examples(
        "draftplan calibrate embedded",
        "draftplan calibrate model.gguf --text mine.txt -o profiles/mine.calibration.yaml",
      ),
    )
    .action(async (model: string, options: SharedOptions & import("../commands/calibrate.js").CalibrateOptions) =>
      run(options, async (context) =>
        (await import("../commands/calibrate.js")).calibrateCommand(model, options, context),
      ),
    );
}

function addSolve(program: Command, run: RunVerb): void {
  withDeviceOptions(program.command("solve"))
    .description("derive the fastest plan from a profile and a calibration")
    .requiredOption("--profile <file>", "what blocks cost in time")
    .requiredOption("--calibration <file>", "what choices cost in acceptance")
    .option("--model <model>", "measure the best candidates on this model, not only estimate them")
    .option("--text <file...>", "text to measure on with --model; give what the calibration was given")
    .option("--choices <list>", "what a draft may do with a block besides running it: skip,int8,int4", commaList, [
      "skip",
      "int8",
    ])
    .option("--refine <seconds>", "with --model: time to improve the best draft by exchanges", numberFrom(0), 20)
    .option("--whole-layers", "a layer's attention and MLP always have the same choice")
    .option("--keep <list>", "layers and blocks that are never skipped: 0,29 or 5.attn", commaList)
    .option("--keep-first-attention", "0.attn is never skipped")
    .option("--max-skip <blocks>", "skip so many blocks at most; a whole layer is two", integerFrom(0, 2048))
    .option("--draft-memory <MiB>", "room for the draft's quantised copies of weights", numberFrom(0, 2 ** 30))
    .option(
      "--extrapolate [tokens]",
      "plan beyond the profile's last context too, by its curves drawn on (default: to the model's own limit)",
      integerFrom(1, 1 << 24),
    )
    .option("--method <name>", `how blocks are chosen: ${SOLVE_METHODS.join(", ")}`, "knapsack")
    .option(TO_FILE, "where to write the plan; - prints it (default: into plans/)")
    .addHelpText(
      "after",
      examples(
        "draftplan solve --profile profiles/profile.yaml --calibration profiles/calibration.yaml -o plans/plan.yaml",
      ),
    )
    .action(async (options: SharedOptions & import("../commands/solve.js").SolveCommandOptions) =>
      run(options, async (context) => (await import("../commands/solve.js")).solveCommand(options, context)),
    );
}

function addExplain(program: Command, run: RunVerb): void {
  withOutputOptions(program.command("explain"))
    .description("why a plan drafts as it does: what each block costs and loses, and what would change it")
    .argument("<plan>", "a plan whose profile and calibration are where it says")
    .option("--at <tokens>", "context to explain at (default: where the first draft is predicted)", integerFrom(0))
    .option("--all", "every block, not the telling ones alone")
    .addHelpText(
      "after",
      examples("draftplan explain plans/plan.yaml", "draftplan explain plans/plan.yaml --at 1000 --all"),
    )
    .action(async (plan: string, options: SharedOptions & import("../commands/explain.js").ExplainOptions) =>
      run(options, async (context) => (await import("../commands/explain.js")).explainCommand(plan, options, context)),
    );
}

function addPlan(program: Command, run: RunVerb): void {
  const plan = program.command("plan").description("look at plans: plan diff A B");
  withOutputOptions(plan.command("diff"))
    .description("what changed from one plan to another, in blocks and in predicted speed")
    .argument("<before>", "a plan")
    .argument("<after>", "a plan of the same model")
    .addHelpText("after", examples("draftplan plan diff old.plan.yaml plans/new.plan.yaml"))
    .action(async (before: string, after: string, options: SharedOptions) =>
      run(options, async (context) =>
        (await import("../commands/plan-diff.js")).planDiffCommand(before, after, context),
      ),
    );
}

/** `10` or `10%` */
const percent = (text: string): number => numberFrom(0)(text.replace(/%$/, ""));

function addVerify(program: Command, run: RunVerb): void {
  withDeviceOptions(program.command("verify"))
    .description("prove a plan: the same output as the target's own, and how much faster")
    .argument("<plan>", "the plan")
    .requiredOption("--model <model>", MODEL)
    .option("--prompts <file>", "prompts to run it on (default: a few that travel with draftplan)")
    .option("--min-speedup <x>", "fail below this speedup", numberFrom(0))
    .option("--min-acceptance <rate>", "fail below this acceptance rate, 0 to 1", numberFrom(0))
    .option("--max-prediction-error <percent>", "fail where the prediction is off by more", percent)
    .option("--alternatives", "also decode with int8 alone, for comparison")
    .option("--max-tokens <n>", "new tokens of each prompt", integerFrom(1))
    .option("--pairs <n>", "interleaved pairs of runs of each prompt", integerFrom(1))
    .option(TO_FILE, "where to write the verification; - prints it (default: into plans/)")
    .addHelpText(
      "after",
      `${examples(
        "draftplan verify plans/plan.yaml --model embedded",
        "draftplan verify plans/plan.yaml --model model.gguf --min-speedup 1.3",
        "draftplan verify plans/plan.yaml --model model.gguf --prompts mine.jsonl --min-acceptance 0.9",
      )}\n\nA run that was interrupted goes on where it stopped when the same command is given again.`,
    )
    .action(async (plan: string, options: SharedOptions & import("../commands/verify.js").VerifyCommandOptions) =>
      run(options, async (context) => (await import("../commands/verify.js")).verifyCommand(plan, options, context)),
    );
}

function addCompare(program: Command, run: RunVerb): void {
  withDeviceOptions(program.command("compare"))
    .description("plans of several methods, run side by side on text that none of them was chosen on")
    .argument("<model>", MODEL)
    .option("--profile <file>", "what blocks cost in time (default: measured now)")
    .option("--calibration <file>", "what choices cost in acceptance (default: measured now)")
    .option("--methods <list>", "methods, and kernels as rules for all blocks (default: all)", commaList)
    .option("--choices <list>", "what a draft may do with a block besides running it: skip,int8,int4", commaList, [
      "skip",
      "int8",
    ])
    .option("--text <file...>", "text, one half to choose plans on and one to run them on (default: a short one)")
    .option("--prompts <file>", "prompts to run plans on, in place of the text's second half")
    .option("--context <tokens>", "lengths of the prompts: 200,1000 (default: the calibration's contexts)")
    .option("--extrapolate", "allow contexts beyond the profile's last one, by its curves drawn on")
    .option("--max-tokens <n>", "new tokens of each prompt (default: 64)", integerFrom(2))
    .option("--pairs <n>", "runs of every plan on each prompt (default: 2)", integerFrom(1))
    .option("--time <seconds>", "end the runs side by side after this (default: when all are done)", positive)
    .option("--refine <seconds>", "time to improve the knapsack's draft by exchanges (default: 20)", numberFrom(0))
    .option(TO_FILE, "where to write the comparison; - prints it (default: into plans/)")
    .addHelpText(
      "after",
      examples(
        "draftplan compare embedded",
        "draftplan compare model.gguf --choices skip,int8,int4 --context 200,1000 -o comparison.yaml",
        "draftplan compare model.gguf --methods knapsack,int8 --time 300",
      ),
    )
    .action(
      async (model: string, options: SharedOptions & import("../commands/compare-options.js").CompareCommandOptions) =>
        run(options, async (context) =>
          (await import("../commands/compare.js")).compareCommand(model, options, context),
        ),
    );
}

function addCheck(program: Command, run: RunVerb): void {
  withDeviceOptions(program.command("check"))
    .description("do committed plans still hold? documents alone, against a baseline, or measured side by side")
    .argument("<plan|dir...>", "plans, verifications, profiles, calibrations, or folders of them")
    .option("--baseline <file>", "a plan or a verification that the ones given must not be slower than")
    .option("--tolerance <percent>", "slower by no more than this is no regression (default: 5%)")
    .option("--model <model>", `the model the documents must be of: ${MODEL}`)
    .option("--measure", "run the plans and the baseline (or plain decoding) side by side, on --model")
    .option("--prompts <file>", "prompts to measure on (default: a few that travel with draftplan)")
    .option(
      "--time <seconds>",
      "end measuring each plan after this, even where it could not tell (default: 120)",
      numberFrom(1),
    )
    .option("--fail-inconclusive", "fail where measuring could not tell")
    .option("--junit <file>", "write JUnit XML")
    .option("--github", "annotate a GitHub job, and write its summary and outputs")
    .option("--markdown <file>", "write a Markdown summary")
    .addHelpText(
      "after",
      `${examples(
        "draftplan check plans/",
        "draftplan check plans/new.plan.yaml --baseline plans/old.plan.yaml --tolerance 3%",
        "draftplan check plans/plan.yaml --baseline old.yaml --measure --model model.gguf",
      )}\n\nWithout --measure no model is run. docs/findings.md explains every finding.`,
    )
    .action(
      async (paths: string[], options: SharedOptions & import("../commands/check-options.js").CheckCommandOptions) =>
        run(options, async (context) => (await import("../commands/check.js")).checkCommand(paths, options, context)),
    );
}

function addReport(program: Command, run: RunVerb): void {
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

function addHistory(program: Command, run: RunVerb): void {
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

function addDoctor(program: Command, run: RunVerb): void {
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

function addCache(program: Command, run: RunVerb): void {
  withOutputOptions(program.command("cache"))
    .description("the converted models kept on disk")
    .option("--clear", "delete them all; they are made again when needed")
    .addHelpText("after", examples("draftplan cache", "draftplan cache --clear"))
    .action(async (options: SharedOptions & { clear?: true }) =>
      run(options, async (context) => (await import("../commands/cache.js")).cacheCommand(options, context)),
    );
}
