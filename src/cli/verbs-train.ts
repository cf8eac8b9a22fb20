/** The verb that trains. */
import type { Command } from "commander";
import { asTyped, integerFrom, named, numberFrom, type SharedOptions, withDeviceOptions } from "./options.js";
import { examples, MODEL, type RunVerb } from "./verb.js";

export function addTrainHeads(program: Command, run: RunVerb): void {
  withDeviceOptions(program.command("train-heads"))
    .description("train heads that draft for a model, on text that it writes itself")
    .argument("<model>", MODEL)
    .addOption(
      named(
        "--kind <kind>",
        "medusa: all heads guess at once; hydra: each is told what was drafted before it",
        ["medusa", "hydra"],
        asTyped,
      ).makeOptionMandatory(),
    )
    .requiredOption("--heads <n>", "how many tokens ahead: 1 to 8", numberFrom(0))
    .requiredOption("-o, --output <dir>", "the folder to make; unfinished work is kept in DIR.partial, to go on from")
    .option("--text <file...>", "text whose beginnings the model continues (default: the bundled one)")
    .option(
      "--positions <n>",
      "tokens of its own to train on (default: 24576, of a larger model 49152)",
      integerFrom(512, 10_000_000),
    )
    .option(
      "--text-positions <n>",
      "tokens of the text itself to train on before (default: 0)",
      integerFrom(0, 10_000_000),
    )
    .option("--budget <time>", "for everything: 10m, 1h; ends with what is trained by then (default: 20m)")
    .option("--seed <n>", "of the order of training", integerFrom(0), 1)
    .option("--with-lm-head", "write the model's LM head into the folder too: vLLM asks for it")
    .addHelpText(
      "after",
      examples(
        "draftplan train-heads embedded --kind medusa --heads 4 -o my-heads",
        "draftplan train-heads model.gguf --kind medusa --heads 4 --text chats.txt code.txt -o my-heads",
      ),
    )
    .action(async (model: string, options: SharedOptions & import("../commands/train-heads.js").TrainHeadsOptions) =>
      run(options, async (context) =>
        (await import("../commands/train-heads.js")).trainHeadsCommand(model, options, context),
      ),
    );
}
