/** draftplan check: do committed plans still hold? By documents alone, against a baseline, measured side by side. */
import { DraftplanError } from "../core/errors.js";
import { type CheckOutputOptions, outputCheck } from "../output/check/index.js";
import { verdictOf } from "../output/check/text.js";
import { checkPaths } from "../pipeline/check/check-paths.js";
import type { CommandContext } from "./context.js";
import { tolerancePercent } from "./values/tolerance.js";

export interface CheckCommandOptions extends CheckOutputOptions {
  baseline?: string | undefined;
  measure?: boolean | undefined;
  model?: string | undefined;
  /** `5%` */
  tolerance?: string | undefined;
  /** seconds for --measure */
  time?: number | undefined;
  /** of --measure */
  prompts?: string | undefined;
}

/** @returns false where something is an error, or could not be told and --fail-inconclusive was given */
export async function checkCommand(
  paths: readonly string[],
  options: CheckCommandOptions,
  context: CommandContext,
): Promise<boolean> {
  requireMeaning(options);
  const { baseline, model, measure, prompts, time: seconds = DEFAULT_SECONDS } = options;
  const request = {
    ...{ baseline, model, tolerancePercent: tolerancePercent(options.tolerance) },
    measure: measure === true ? { prompts, seconds } : undefined,
  };
  const result = await checkPaths(paths, request, context);
  await outputCheck(result, options, context);
  return verdictOf(result, options.failInconclusive) !== "failed";
}

const DEFAULT_SECONDS = 120;

/** @throws USAGE where a flag has no meaning without another */
function requireMeaning({ measure, model, time, prompts }: CheckCommandOptions): void {
  if (measure === true && model === undefined)
    throw usage("--measure", "there is no model to measure on", "Add --model MODEL.");
  if (measure === true) return;
  const idle = time !== undefined ? "--time" : prompts !== undefined ? "--prompts" : null;
  if (idle !== null)
    throw usage(idle, "it says how to measure, and nothing is measured", "Add --measure --model MODEL.");
}

const usage = (at: string, what: string, remedy: string) => new DraftplanError({ code: "USAGE", at, what, remedy });
