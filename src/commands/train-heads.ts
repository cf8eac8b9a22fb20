/** draftplan train-heads: Medusa or Hydra heads for a model, trained on text that it wrote itself. */
import { trainedHeadsJson, trainedHeadsText } from "../output/trained-heads.js";
import { readCalibrationText } from "../pipeline/text/calibration-text.js";
import { DEFAULT_BUDGET_SECONDS, parseHeads, parseKind } from "../pipeline/train/options.js";
import { trainHeadsFor } from "../pipeline/train/train-heads.js";
import type { CommandContext } from "./context.js";
import { parseBudget } from "./values/budget.js";

export interface TrainHeadsOptions {
  kind: string;
  heads: number;
  output: string;
  text?: string[];
  seed: number;
  positions?: number;
  textPositions?: number;
  budget?: string;
  withLmHead?: true;
}

export async function trainHeadsCommand(
  path: string,
  { kind, heads, output, text, seed, positions, textPositions, budget, withLmHead }: TrainHeadsOptions,
  context: CommandContext,
): Promise<void> {
  const request = {
    kind: parseKind(kind),
    heads: parseHeads(heads),
    ...{ output, seed, positions, textPositions, withLmHead: withLmHead ?? false },
    budgetSeconds: budget === undefined ? DEFAULT_BUDGET_SECONDS : parseBudget(budget),
    text: readCalibrationText(text),
  };
  const trained = await trainHeadsFor(path, request, context);
  if (context.json) context.print(JSON.stringify(trainedHeadsJson(trained)));
  else context.print(trainedHeadsText(trained, context.columns));
}
