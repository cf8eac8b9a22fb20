/** Options that several verbs share, and how their values are read. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { PROVIDERS } from "../runtime/providers.js";

export interface SharedOptions {
  json?: true;
  debug?: true;
  threads?: number;
  provider?: string;
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

export function numberFrom(min: number) {
  return (text: string): number => {
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value < Number.POSITIVE_INFINITY))
      throw new InvalidArgumentError(`It must be a number from ${min}.`);
    return value;
  };
}

export const commaList = (text: string): string[] => text.split(",").map((part) => part.trim());

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
    .addOption(new Option("--provider <name>", "where to compute (default: cpu)").choices(Object.keys(PROVIDERS)));
}
