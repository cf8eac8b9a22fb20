/** Verbs that run a model: all stages at once, what it says, and how often a draft agrees with it. */
import { type Command, Option } from "commander";
import {
  asTyped,
  commaList,
  integerFrom,
  KERNELS_OFFERED,
  named,
  PROVIDERS_OFFERED,
  providerName,
  type SharedOptions,
  tokenList,
  withDeviceOptions,
  withOutputOptions,
  withSamplingOptions,
  withTargetOption,
} from "./options.js";
import { DRAFTER, examples, FRESH, MODEL, type RunVerb, STANDALONE, WHO_DRAFTS } from "./verb.js";

export function addRun(program: Command, run: RunVerb): void {
  withTargetOption(withDeviceOptions(program.command("run")))
    .description("all stages: profile, calibrate, solve, verify")
    .argument("[model]", `${MODEL} (default: embedded)`)
    .option("--out <dir>", "folder for all documents (default: profiles/ and plans/)")
    .option("--fresh", FRESH)
    .addHelpText(
      "after",
      `${examples("draftplan run", "draftplan run model.gguf --out my-plan")}\n\nA run that was interrupted goes on where it stopped when the same command is given again.`,
    )
    .action(async (model: string | undefined, options: SharedOptions & import("../pipeline/run/run.js").RunOptions) =>
      run(options, async (context) => (await import("../commands/run.js")).runCommand(model, options, context)),
    );
}

export function addInspect(program: Command, run: RunVerb): void {
  withTargetOption(withOutputOptions(program.command("inspect")))
    .description("what a model, a folder of heads or a document is, and whether it is valid")
    .argument("<model|heads|document>", `${MODEL}, a config.json; Medusa or Hydra heads; or a document of draftplan's`)
    .addOption(
      named("--provider <name>", "of a model: what it will need there (default: cpu)", PROVIDERS_OFFERED, providerName),
    )
    .option(
      "--context <tokens>",
      "… with so many tokens in its cache, as 1024,32768 (default: 8192, and its limit)",
      tokenList,
    )
    .addOption(
      named(
        "--choices <list>",
        "… with these kernels loaded besides the target's (default: int8)",
        KERNELS_OFFERED,
        commaList,
      ),
    )
    .addHelpText(
      "after",
      examples(
        "draftplan inspect embedded",
        "draftplan inspect ./Llama-3.1-8B --provider cuda --context 8192,131072 --choices int8,int4",
        "draftplan inspect plans/plan.yaml --json",
      ),
    )
    .action(async (path: string, options: SharedOptions & { context?: number[]; choices?: string[] }) =>
      run(options, async (context) => (await import("../commands/inspect.js")).inspectCommand(path, options, context)),
    );
}

const collect = (text: string, before: string[] = []): string[] => [...before, text];

export function addGenerate(program: Command, run: RunVerb): void {
  const prompts = ["prompt", "chat", "promptIds"];
  const prompt = (flags: string, description: string, name: string) =>
    new Option(flags, description).conflicts(prompts.filter((other) => other !== name));
  withSamplingOptions(
    withTargetOption(withDeviceOptions(program.command("generate")), "the plan's, else "),
    "independent continuations of the prompt, by the seeds from --seed on",
  )
    .description("continue a prompt, greedily or by sampling, with or without a plan; the output is the target's own")
    .argument("<model>", MODEL)
    .addOption(prompt("--prompt <text>", "text to continue; - reads it from standard input", "prompt"))
    .addOption(
      prompt(
        "--chat [text]",
        "what a user says, put into the model's chat template; - as above; without a text, on a terminal: a conversation",
        "chat",
      ),
    )
    .option("--system <text>", "with --chat: what the system says before the user")
    .option("--context <n>", "tokens of a conversation (default: 8192, or what the model has)", integerFrom(1))
    .addOption(prompt("--prompt-ids <file>", "a JSON array of token ids; no tokenizer is needed", "promptIds"))
    .option("--stop <text>", "end the output where it has this text, which is not printed; may be repeated", collect)
    .option("--plan <plan>", "draft as this plan says")
    .addOption(named("--drafter <who>", DRAFTER, WHO_DRAFTS, asTyped))
    .option("--adapt", "begin with the plan, and change drafter and length as the text turns out")
    .option("--max-tokens <n>", "new tokens at most (default: 256, or what the context has room for)", integerFrom(1))
    .addHelpText(
      "after",
      examples(
        'draftplan generate embedded --prompt "My fellow citizens" --max-tokens 40',
        'draftplan generate model.gguf --plan plans/plan.yaml --chat "Why is the sky blue?"',
        "draftplan generate model.gguf --plan plans/plan.yaml --chat",
        'draftplan generate model.gguf --plan plans/plan.yaml --adapt --prompt "def fibonacci(n):"',
        'draftplan generate model.gguf --drafter heads:my-heads --prompt "Once upon a time"',
        'draftplan generate model.gguf --temperature 0.7 --top-p 0.9 --seed 1 --prompt "Once upon a time"',
        "draftplan generate model.gguf --prompt-ids ids.json --json",
      ),
    )
    .action(async (model: string, options: SharedOptions & import("../commands/generate.js").GenerateOptions) =>
      run(options, async (context) =>
        (await import("../commands/generate.js")).generateCommand(model, options, context),
      ),
    );
}

export function addEvaluate(program: Command, run: RunVerb): void {
  withTargetOption(withDeviceOptions(program.command("evaluate")), "the plan's, else ")
    .description("how often a draft's next token is the target's, on a given text")
    .argument("<model>", MODEL)
    .addOption(
      new Option("--skip <blocks>", "a draft that leaves out these blocks, e.g. 5.attn,3.mlp")
        .argParser(commaList)
        .conflicts("plan"),
    )
    .option("--plan <plan>", "the drafts of this plan, each at its contexts")
    .addOption(
      new Option(
        "--simulate <kernel>",
        "a draft of everything in a kernel that nothing here computes, with its numbers alone: oasis (codebooks for weights and activations)",
      ).conflicts(["plan", "skip"]),
    )
    .option("--profile <profile>", "with --simulate: at which cost of a step such a draft would pay, by this profile")
    .option("--standalone", STANDALONE)
    .option(
      "--ids <file>",
      'a JSON array of token ids, or {"ids": [...], "first": k}: positions before k are context only',
    )
    .addHelpText(
      "after",
      examples(
        "draftplan evaluate embedded --skip 5.attn,3.mlp",
        "draftplan evaluate model.gguf --plan plans/plan.yaml --json",
        "draftplan evaluate embedded --simulate oasis --profile profiles/profile.yaml",
      ),
    )
    .action(async (model: string, options: SharedOptions & import("../commands/evaluate.js").EvaluateOptions) =>
      run(options, async (context) =>
        (await import("../commands/evaluate.js")).evaluateCommand(model, options, context),
      ),
    );
}
