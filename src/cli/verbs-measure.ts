/** Verbs that measure: what blocks cost in time, and what choices cost in acceptance. */
import type { Command } from "commander";
import {
  commaList,
  DRAFTERS_OFFERED,
  integerFrom,
  KERNELS_OFFERED,
  named,
  numberFrom,
  positive,
  type SharedOptions,
  withDeviceOptions,
  withOutputOptions,
  withTargetOption,
} from "./options.js";
import { examples, MODEL, type RunVerb, STANDALONE, TO_FILE } from "./verb.js";

/** of what is measured beside the model itself */
const measuredDrafters = () =>
  named(
    "--drafters <list>",
    "who may draft: self,lookup,model:PATH,heads:FOLDER (default: self, and the heads in a model's own folder heads/)",
    DRAFTERS_OFFERED,
    commaList,
  );

export function addProfile(program: Command, run: RunVerb): void {
  const profile = withTargetOption(withDeviceOptions(program.command("profile")))
    .description("measure what every block costs on this device, over context and query length")
    .argument("<model|config.json>", `${MODEL}; a config.json alone will do`)
    .option(TO_FILE, "where to write the profile; - prints it (default: into profiles/)")
    .option("--context <tokens>", "contexts: 64..4096, or exactly 64,512,4096")
    .option("--query <tokens>", "tokens in a pass: 1..17, or exactly 1,5,9")
    .option("--budget <time>", "for all measuring: 60s, 2m, 90 (default: 55 s after the cache is filled)")
    .option("--precision <percent>", "stop once the target's medians are known so well: 1%")
    .option("--samples <file>", "keep every timing as JSON lines; the same command goes on from there")
    .addOption(
      named(
        "--choices <list>",
        "kernels to measure beside the target, spans of attention (int8@512) and heads over a part of the vocabulary (int8:8192): int8,int4 (default: int8, beside a target in int8 int4; from 3,000 tokens of context on spans as wide as the model's size gives; of a large vocabulary heads over 16,384 and 8,192 tokens)",
        KERNELS_OFFERED,
        commaList,
      ),
    )
    .option(
      "--memory <gib>",
      "of a config.json: measure what fits into so much memory (default: what is free)",
      positive,
    )
    .addOption(measuredDrafters())
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
  addProfileConvert(profile, run);
}

function addProfileConvert(profile: Command, run: RunVerb): void {
  withOutputOptions(profile.command("convert"))
    .description("make a table for profile import of an engine's own benchmarks")
    .argument(
      "<runs.csv>",
      "file, layers, batch, context_tokens, query_tokens, and perhaps input_tokens and output_tokens (docs/profile-import.md)",
    )
    .requiredOption("-o, --output <file>", "where to write the table; - prints it")
    .addHelpText("after", examples("draftplan profile convert runs.csv -o measured.csv"))
    .action(async (list: string, options: SharedOptions & import("../commands/profile-convert.js").ConvertOptions) =>
      run(options, async (context) =>
        (await import("../commands/profile-convert.js")).profileConvertCommand(list, options, context),
      ),
    );
}

function addProfileImport(program: Command, profile: Command, run: RunVerb): void {
  // Both have -o and --json, and each is to get what follows it. A model called "import" is ./import.
  for (const command of [program, profile]) command.enablePositionalOptions();
  profile.helpCommand(false);
  withOutputOptions(profile.command("import"))
    .description("make a profile of latencies that another engine measured")
    .argument(
      "<table.csv>",
      "component, choice, context_tokens, query_tokens, us, and perhaps layer and batch (docs/profile-import.md)",
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

export function addCalibrate(program: Command, run: RunVerb): void {
  withTargetOption(withDeviceOptions(program.command("calibrate")))
    .description("measure what leaving out or quantising each block costs in acceptance")
    .argument("<model>", MODEL)
    .option("--text <file...>", "text to calibrate on (default: a short one that travels with draftplan)")
    .option(
      "--context <tokens>",
      "contexts to measure at: 64..1024, or exactly 64,512 (default: as the model's size allows)",
    )
    .addOption(
      named(
        "--choices <list>",
        "kernels to measure beside skipping, spans of attention (int8@512) and heads over a part of the vocabulary (int8:8192): int8,int4 (default: int8, for a target in int8 int4; from 3,000 tokens of context on spans as wide as the model's size gives; of a large vocabulary heads over 16,384 and 8,192 tokens)",
        KERNELS_OFFERED,
        commaList,
      ),
    )
    .option(
      "--temperature <t>",
      "measure acceptance for sampling at this temperature (default: greedy decoding)",
      numberFrom(0.01),
    )
    .option(
      "--prompts-per-context <count>",
      "prompts of each part of the text at each context (default: as many as make 512 positions, 256 of a larger model)",
      integerFrom(1, 1000),
    )
    .option(
      "--budget <time>",
      "for all measuring: 60s, 2m, 90; whole drafts are measured until they are known within 1.5 % or it ends (default: 2m)",
    )
    .addOption(measuredDrafters())
    .option("--standalone", `measure whole drafts where ${STANDALONE}`)
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
