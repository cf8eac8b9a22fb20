/** Verbs that put plans to the test, on a model or by their documents. */
import type { Command } from "commander";
import { METHOD_NAMES } from "../methods/names.js";
import {
  asTyped,
  CHOICES_OFFERED,
  commaList,
  DRAFTERS_OFFERED,
  integerFrom,
  KERNELS_OFFERED,
  named,
  numberFrom,
  positive,
  type SharedOptions,
  TARGET_NAMES,
  withDeviceOptions,
  withSamplingOptions,
  withTargetOption,
} from "./options.js";
import { DRAFTER, examples, FRESH, MODEL, type RunVerb, STANDALONE, TO_FILE, WHO_DRAFTS } from "./verb.js";

/** of `compare --methods` */
const METHODS_OFFERED = ["knapsack", ...METHOD_NAMES, "heads", ...KERNELS_OFFERED];

/** `10` or `10%` */
const percent = (text: string): number => numberFrom(0)(text.replace(/%$/, ""));

export function addVerify(program: Command, run: RunVerb): void {
  withSamplingOptions(
    withTargetOption(withDeviceOptions(program.command("verify")), "the plan's, else "),
    "texts drawn from each of four prompts, for the distribution (default: 400)",
    "1",
  )
    .description(
      "prove a plan: the target's own output, or its distribution where tokens are drawn, and how much faster",
    )
    .argument(
      "[plan]",
      "the plan; without one --drafter says who drafts, by its defaults, and the plan they make is written",
    )
    .requiredOption("--model <model>", MODEL)
    .addOption(named("--drafter <who>", DRAFTER, WHO_DRAFTS, asTyped))
    .option("--standalone", STANDALONE)
    .option("--prompts <file>", "prompts to run it on (default: a few that travel with draftplan)")
    .option(
      "--min-speedup <x>",
      "fail where the speedup's 95 % interval begins below this; takes 4 prompts",
      numberFrom(0),
    )
    .option("--min-acceptance <rate>", "fail below this acceptance rate, 0 to 1", numberFrom(0))
    .option("--max-prediction-error <percent>", "fail where the prediction is off by more", percent)
    .option("--alternatives", "also decode with int8 alone (of a target in int8 with int4 alone), for comparison")
    .option(
      "--stop-rules",
      "also run the rule that the plan did not choose, drafts of a fixed length beside drafts that stop early, in the same run",
    )
    .option("--max-tokens <n>", "new tokens of each prompt", integerFrom(1))
    .option("--pairs <n>", "interleaved pairs of runs of each prompt", integerFrom(1))
    .option(TO_FILE, "where to write the verification; - prints it (default: into plans/)")
    .addHelpText(
      "after",
      `${examples(
        "draftplan verify plans/plan.yaml --model embedded",
        "draftplan verify plans/plan.yaml --model model.gguf --min-speedup 1.3",
        "draftplan verify plans/plan.yaml --model model.gguf --prompts mine.jsonl --min-acceptance 0.9",
        "draftplan verify plans/plan.yaml --model model.gguf --temperature 0.7 --top-p 0.9",
        "draftplan verify --drafter lookup --model model.gguf",
      )}\n\nA run that was interrupted goes on where it stopped when the same command is given again.`,
    )
    .action(
      async (plan: string | undefined, options: SharedOptions & import("../commands/verify.js").VerifyCommandOptions) =>
        run(options, async (context) => (await import("../commands/verify.js")).verifyCommand(plan, options, context)),
    );
}

export function addCompare(program: Command, run: RunVerb): void {
  withSamplingOptions(
    withTargetOption(withDeviceOptions(program.command("compare")), "the profile's, else "),
    null,
    "one is drawn, and in the document",
  )
    .description("plans of several methods, run side by side on text that none of them was chosen on")
    .argument("<model>", MODEL)
    .option("--profile <file>", "what blocks cost in time (default: measured now)")
    .option("--calibration <file>", "what choices cost in acceptance (default: measured now)")
    .addOption(
      named(
        "--methods <list>",
        "methods, heads, and kernels as rules for all blocks (default: all there are)",
        METHODS_OFFERED,
        commaList,
      ),
    )
    .addOption(
      named(
        "--choices <list>",
        "what a draft may do with a block besides running it: skip,int8,int4 (default: skip,int8; of a target in int8 skip,int4)",
        CHOICES_OFFERED,
        commaList,
      ),
    )
    .addOption(
      named(
        "--targets <list>",
        "in place of methods: precisions to serve, each with every drafter, and what each loses: fp32,int8,int4",
        TARGET_NAMES,
        commaList,
      ),
    )
    .addOption(
      named(
        "--drafters <list>",
        "what else gets a row: lookup, model:PATH (model: those that the documents given have measured), hybrid; with --targets who drafts: none,self,lookup,heads:PATH,model:PATH,hybrid (default there: self,lookup, and heads that lie beside the model)",
        ["none", ...DRAFTERS_OFFERED, "hybrid"],
        commaList,
      ),
    )
    .option("--text <file...>", "text, one half to choose plans on and one to run them on (default: a short one)")
    .option("--prompts <file>", "prompts to run plans on, in place of the text's second half")
    .option("--context <tokens>", "lengths of the prompts: 200,1000 (default: the calibration's contexts)")
    .option("--extrapolate", "allow contexts beyond the profile's last one, by its curves drawn on")
    .option("--max-tokens <n>", "new tokens of each prompt (default: 64)", integerFrom(2))
    .option("--pairs <n>", "runs of every plan on each prompt (default: 2)", integerFrom(1))
    .option("--time <seconds>", "end the runs side by side after this (default: when all are done)", positive)
    .option("--refine <seconds>", "time to improve the knapsack's draft by exchanges (default: 20)", numberFrom(0))
    .option("--fresh", FRESH)
    .option(TO_FILE, "where to write the comparison; - prints it (default: into plans/)")
    .addHelpText(
      "after",
      `${examples(
        "draftplan compare embedded",
        "draftplan compare model.gguf --choices skip,int8,int4 --context 200,1000 -o comparison.yaml",
        "draftplan compare model.gguf --methods knapsack,int8 --time 300",
        "draftplan compare model.gguf --methods knapsack --drafters lookup,model:smaller.gguf,hybrid",
        "draftplan compare model.gguf --targets fp32,int8,int4 --drafters self,lookup --context 200,4000",
      )}\n\nA comparison that was interrupted goes on where it stopped when the same command is given again.`,
    )
    .action(async (model: string, options: SharedOptions & import("../commands/compare.js").CompareCommandOptions) =>
      run(options, async (context) => (await import("../commands/compare.js")).compareCommand(model, options, context)),
    );
}

export function addCheck(program: Command, run: RunVerb): void {
  withTargetOption(withDeviceOptions(program.command("check")), "with --measure: the plan's, else ")
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
    .action(async (paths: string[], options: SharedOptions & import("../commands/check.js").CheckCommandOptions) =>
      run(options, async (context) => (await import("../commands/check.js")).checkCommand(paths, options, context)),
    );
}
