/** Verbs about plans as documents: making one, asking why it is so, and comparing two. */
import type { Command } from "commander";
import { ENGINE_NAMES } from "../export/engines/list.js";
import { SOLVE_METHODS } from "../methods/names.js";
import {
  asTyped,
  CHOICES_OFFERED,
  commaList,
  integerFrom,
  named,
  numberFrom,
  type SharedOptions,
  withDeviceOptions,
  withOutputOptions,
} from "./options.js";
import { examples, type RunVerb, STANDALONE, TO_FILE } from "./verb.js";

export function addSolve(program: Command, run: RunVerb): void {
  withDeviceOptions(program.command("solve"))
    .description("derive the fastest plan from a profile and a calibration")
    .requiredOption("--profile <file>", "what blocks cost in time")
    .requiredOption("--calibration <file>", "what choices cost in acceptance")
    .option("--model <model>", "measure the best candidates on this model, not only estimate them")
    .option("--text <file...>", "text to measure on with --model; give what the calibration was given")
    .addOption(
      named(
        "--choices <list>",
        "what a draft may do with a block besides running it: skip,int8,int4, of attention over a span int8@512, of the head over a part of the vocabulary int8:8192 (default: skip,int8, of a target in int8 skip,int4, and spans and short heads that both documents measured)",
        CHOICES_OFFERED,
        commaList,
      ),
    )
    .addOption(
      named(
        "--for <engine>",
        `plan what can be exported to it: ${ENGINE_NAMES.join(", ")}; its constraints come on top of those below`,
        ENGINE_NAMES,
        asTyped,
      ),
    )
    .addOption(
      named(
        "--drafters <list>",
        "what may draft: self,lookup,model,heads,hybrid; hybrid is a lookup beside any other that is named (default: all that were measured)",
        ["self", "lookup", "model", "heads", "hybrid"],
        commaList,
      ),
    )
    .option("--standalone", `plan for engines that take a draft for a model: ${STANDALONE}`)
    .option(
      "--answer-tokens <n>",
      "with --standalone: tokens of an answer, which share the draft's reading of the prompt (default: the calibration's continuations)",
      integerFrom(1, 1 << 20),
    )
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
    .addOption(
      named("--method <name>", `how blocks are chosen: ${SOLVE_METHODS.join(", ")}`, SOLVE_METHODS, asTyped).default(
        "knapsack",
      ),
    )
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

export function addExplain(program: Command, run: RunVerb): void {
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

export function addPlan(program: Command, run: RunVerb): void {
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
