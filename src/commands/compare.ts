/** draftplan compare: plans of all methods on one model, measured side by side on text none of them was chosen on. */
import { comparisonTable } from "../output/comparison-table.js";
import { deliverDocument } from "../output/deliver.js";
import { compareMethods } from "../pipeline/compare/compare-methods.js";
import type { CompareOptions } from "../pipeline/compare/options.js";
import type { CommandContext } from "./context.js";

export interface CompareCommandOptions extends CompareOptions {
  output?: string | undefined;
}

/** @returns false where a run's output was not the target's own */
export async function compareCommand(
  model: string,
  { output: wanted, ...options }: CompareCommandOptions,
  context: CommandContext,
): Promise<boolean> {
  const { comparison, output } = await compareMethods(model, options, wanted, context);
  deliverDocument(comparison, output, context, () => `${comparisonTable(comparison)}\n\nComparison: ${output}`);
  return comparison.lossless;
}
