/** draftplan run: profile, calibrate, solve, verify, on one loaded model; ends in a summary. */
import { runSummary } from "../output/run-summary.js";
import { type RunOptions, runModel } from "../pipeline/run/run.js";
import type { CommandContext } from "./context.js";

/** @returns false where a plan's output was not the target's own */
export async function runCommand(
  path: string | undefined,
  options: RunOptions,
  context: CommandContext,
): Promise<boolean> {
  const model = path ?? "embedded";
  const { result, paths } = await runModel(model, options, context);
  context.print(context.json ? JSON.stringify(result) : runSummary(result, paths, model, context.columns));
  const { verification, verificationSkip, verificationSelf, verificationHeads } = result;
  const all = [verification, verificationSkip, verificationSelf, verificationHeads];
  return all.every((one) => one?.lossless !== false);
}
