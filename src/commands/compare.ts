/** draftplan compare: plans of all methods on one model, measured side by side on text none of them was chosen on. */
import { comparisonTable } from "../output/comparison-table.js";
import { printDocument } from "../output/deliver.js";
import { targetsTable } from "../output/targets-table.js";
import { compareMethods } from "../pipeline/compare/compare-methods.js";
import { compareTargets } from "../pipeline/targets/compare-targets.js";
import type { CompareTargetsOptions } from "../pipeline/targets/options.js";
import type { CommandContext } from "./context.js";

export interface CompareCommandOptions extends CompareTargetsOptions {
  output?: string | undefined;
}

/** @returns false where a run's output was not the target's own */
export async function compareCommand(
  model: string,
  { output: wanted, ...options }: CompareCommandOptions,
  context: CommandContext,
): Promise<boolean> {
  if (options.targets !== undefined) {
    const { comparison, output } = await compareTargets(model, options, wanted, context);
    printDocument(
      comparison,
      output,
      context,
      () => `${targetsTable(comparison, context.columns)}\n\nComparison: ${output}`,
    );
    return comparison.lossless;
  }
  const { comparison, output } = await compareMethods(model, options, wanted, context);
  printDocument(
    comparison,
    output,
    context,
    () => `${comparisonTable(comparison, context.columns)}\n\nComparison: ${output}`,
  );
  return comparison.lossless;
}
