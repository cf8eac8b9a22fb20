/** Options that several verbs share, and how their values are read. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { QUANTISED_KERNELS } from "../schema/choices/names.js";

export interface SharedOptions {
  json?: true;
  debug?: true;
  threads?: number;
  provider?: string;
  ortLibrary?: string | undefined;
  target?: TargetName;
  scales?: "fitted";
}

const MAX_THREADS = 1024;

export function integerFrom(min: number, max = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const value = /^[+-]?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new InvalidArgumentError(
        max === Number.MAX_SAFE_INTEGER
          ? `It must be a whole number from ${min}.`
          : `It must be a whole number from ${min} to ${max}.`,
      );
    }
    return value;
  };
}

export function numberFrom(min: number, max = Number.MAX_VALUE) {
  return (text: string): number => {
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`It must be a number from ${min}${max === Number.MAX_VALUE ? "" : ` to ${max}`}.`);
    return value;
  };
}

/** A number above 0. */
export function positive(text: string): number {
  const value = numberFrom(0)(text);
  if (value === 0) throw new InvalidArgumentError("It must be a number above 0.");
  return value;
}

/** Seeds end where neighbouring whole numbers can no longer be told apart. */
function seedNumber(text: string): number {
  const value = /^\+?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError(`It must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER} (2^53 - 1).`);
}

/** Whole numbers from 1, rising. */
export const tokenList = (text: string): number[] =>
  [...new Set(commaList(text).map(integerFrom(1)))].sort((a, b) => a - b);

export const commaList = (text: string): string[] => text.split(",").map((part) => part.trim());

/** Whether there is such a provider is the library's to say; a library is loaded only where a model is run. */
export function providerName(text: string): string {
  if (!/^[a-z][a-z0-9_-]{0,39}$/.test(text)) throw new InvalidArgumentError("It must be a name such as cpu or cuda.");
  return text;
}

/**
 * An option whose values, or the parts of a `<list>`, have names. They are for completion; what else may stand there (a span, a
 * path), and what is said of a wrong one, is the reader's matter.
 */
export const named = <Value>(
  flags: string,
  description: string,
  names: readonly string[],
  parse: (text: string) => Value,
): Option => new Option(flags, description).choices(names).argParser(parse);

export const asTyped = (text: string): string => text;

/** of `--provider`; a library may have more */
export const PROVIDERS_OFFERED = ["cpu", "cuda", "webgpu"] as const;

/** of `--choices` where it names kernels, and where it names all that a draft may do */
export const KERNELS_OFFERED: readonly string[] = QUANTISED_KERNELS;
export const CHOICES_OFFERED: readonly string[] = ["skip", ...QUANTISED_KERNELS];
/** of `--drafters`; a colon is followed by a path */
export const DRAFTERS_OFFERED = ["self", "lookup", "model:", "heads:"] as const;

/** `--json` and `--debug`. */
export function withOutputOptions(command: Command): Command {
  return command
    .option("--json", "print exactly one JSON value on stdout")
    .option("--debug", "print a stack trace with an error");
}

/** Further options of verbs that run a model. */
export function withDeviceOptions(command: Command): Command {
  return withOutputOptions(command)
    .option(
      "--threads <n>",
      "threads to compute with (default: the processors this process may use)",
      integerFrom(1, MAX_THREADS),
    )
    .addOption(
      named(
        "--provider <name>",
        "where to compute: cpu, cuda, webgpu, … as the library has it; draftplan doctor lists them (default: cpu)",
        PROVIDERS_OFFERED,
        providerName,
      ),
    )
    .option(
      "--ort-library <path>",
      "another build of ONNX Runtime's shared library (default: DRAFTPLAN_ORT_LIBRARY, else the bundled one)",
    );
}

/** What --target takes. */
export const TARGET_NAMES = ["fp32", "fp16", "bf16", "int8", "int4"] as const;
type TargetName = (typeof TARGET_NAMES)[number];

function targetName(text: string): TargetName {
  const name = TARGET_NAMES.find((known) => known === text);
  if (name === undefined) throw new InvalidArgumentError(`It must be one of ${TARGET_NAMES.join(", ")}.`);
  return name;
}

/** The precision that is served and reproduced. @param more what follows from leaving it out, where that is not all */
export function withTargetOption(command: Command, more = ""): Command {
  return command
    .addOption(
      named(
        "--target <precision>",
        `what the model is served in, and its output reproduced in: ${TARGET_NAMES.join(", ")} (default: ${more}the provider's own: fp32 on the CPU, fp16 on cuda)`,
        TARGET_NAMES,
        targetName,
      ),
    )
    .addOption(
      named(
        "--scales <how>",
        "how codes and scales of int8, int4 and int2 are found: rounded, or fitted to what a bundled text puts into every matrix, once a model (default: rounded)",
        ["rounded", "fitted"],
        scalesName,
      ),
    );
}

function scalesName(text: string): "fitted" | undefined {
  if (text === "fitted") return text;
  if (text === "rounded") return undefined;
  throw new InvalidArgumentError("It must be rounded or fitted.");
}

/** How tokens are drawn. @param count what `--count` counts; null: nothing is counted. @param seed the seed where none is named */
export function withSamplingOptions(
  command: Command,
  count: string | null,
  seed = "one is drawn, and printed",
): Command {
  const sampled = command
    .option("--temperature <t>", "draw tokens: logits are divided by this (default: 0, greedy)", numberFrom(0))
    .option("--top-k <n>", "draw among the n likeliest tokens", integerFrom(0))
    .option("--top-p <p>", "draw among the fewest likeliest tokens that have this probability together", numberFrom(0))
    .option("--min-p <p>", "draw among tokens of at least this share of the likeliest one's probability", numberFrom(0))
    .option(
      "--repetition-penalty <x>",
      "make tokens less likely that the text has already, by this factor",
      numberFrom(0),
    )
    .option("--seed <n>", `of the draws (default: ${seed})`, seedNumber);
  return count === null ? sampled : sampled.option("--count <n>", count, integerFrom(1));
}
