/** Runs one command line. @returns the exit code */
import { Command, Help, type Option } from "commander";
import { EXIT } from "../core/errors.js";
import { draftplanVersion } from "../core/version.js";
import { withChatText } from "./chat-text.js";
import { withHubModels } from "./hub-models.js";
import { listenForInterrupts } from "./interruption.js";
import { explainError } from "./report-error.js";
import type { RunVerb } from "./verb.js";
import { addVerbs } from "./verbs.js";

const EXIT_CODES = `
Exit codes: 0 done; 1 a verification or check failed; 2 wrong usage; 3 a model or document is unreadable or does not fit;
4 the device or runtime failed. docs/errors.md explains every error.

Examples:
  draftplan run                                                   every stage on the embedded model
  draftplan run model.gguf --out my-plan                          the same on your own
  draftplan generate model.gguf --plan my-plan/plan.yaml --chat "Why is the sky blue?"`;

export function buildProgram(run: RunVerb): Command {
  const program = new Command("draftplan")
    .description("Plans self-speculative decoding for this device, and proves the plan.")
    .version(draftplanVersion())
    .exitOverride()
    .configureOutput({ outputError: () => {} }) // explainError says it
    .configureHelp({ optionDescription })
    .addHelpText("after", EXIT_CODES);
  withHubModels(program, run);
  addVerbs(program, run);
  return program;
}

/** Descriptions say in their own words what may stand there; commander's list of choices would say it again. */
const optionDescription = (option: Option): string =>
  new Help().optionDescription(Object.create(option, { argChoices: { value: undefined } }));

export async function main(argv: readonly string[]): Promise<number> {
  const interrupts = listenForInterrupts();
  let exitCode: number = EXIT.done;
  const program = buildProgram(async (options, work) => {
    const { createContext } = await import("./context.js");
    const context = createContext(options, interrupts);
    try {
      if ((await work(context)) === false) exitCode = EXIT.failedCheck;
    } finally {
      context.close();
    }
  });
  let explained: unknown;
  try {
    await program.parseAsync(withChatText(argv, program), { from: "user" });
  } catch (error) {
    explained = error;
    const verb = program.commands.find((command) => argv.includes(command.name()))?.name();
    const outcome = explainError(
      error,
      verb === undefined ? "draftplan" : `draftplan ${verb}`,
      argv.includes("--debug"),
    );
    process.stderr.write(outcome.message);
    exitCode = outcome.exitCode;
  } finally {
    interrupts.release();
  }
  await new Promise((resolve) => setImmediate(resolve)); // an error of stdout comes after the write
  const { lost } = interrupts;
  if (lost === undefined) return exitCode;
  if (explained !== lost) process.stderr.write(`${lost.message}\n`);
  return lost.exitCode;
}
