/** draftplan calibrate: losses of single choices, on text the target itself would write. */

import { calibrationTable, surenessLines } from "../output/calibration-table.js";
import { deliverDocument } from "../output/deliver.js";
import { headsAccuracyLines } from "../output/heads-lines.js";
import { otherDraftersLines } from "../output/other-drafters-lines.js";
import { calibrateModel } from "../pipeline/calibrate.js";
import { measuredKernels, measuredShortHeads, measuredSpans } from "../pipeline/choices.js";
import { precisionOf } from "../pipeline/context.js";
import { draftersRelativeTo, parseMeasuredDrafters } from "../pipeline/drafting/measured.js";
import { defaultPath, servedName } from "../pipeline/paths.js";
import { readCalibrationText } from "../pipeline/text/calibration-text.js";
import type { CommandContext } from "./context.js";
import { parseBudget } from "./values/budget.js";

export interface CalibrateOptions {
  text?: string[];
  output?: string;
  /** `200,1000` */
  context?: string;
  temperature?: number;
  /** kernels to measure beside the target; `skip` is always measured */
  choices?: string[];
  /** prompts of each part of the text, at each context */
  promptsPerContext?: number;
  /** `60s`, `2m`, `90`: for all measuring */
  budget?: string;
  /** whole drafts with a cache of their own too */
  standalone?: boolean;
  /** `self`, `heads:FOLDER` */
  drafters?: string[];
}

export async function calibrateCommand(
  path: string,
  { text, output: wanted, choices, budget, drafters, ...options }: CalibrateOptions,
  context: CommandContext,
): Promise<void> {
  const request = {
    kernels: measuredKernels(choices, context),
    spans: measuredSpans(choices, context),
    shortHeads: measuredShortHeads(choices, context),
    drafters: parseMeasuredDrafters(drafters, path),
    text: readCalibrationText(text),
    ...(budget === undefined ? {} : { budgetSeconds: parseBudget(budget) }),
    ...options,
  };
  const { calibration, sureness } = await calibrateModel(path, request, context);
  const output =
    wanted ??
    defaultPath("calibration", servedName(calibration.model.name, { ...context, target: precisionOf(context) }));
  deliverDocument(draftersRelativeTo(calibration, output), output, context, () =>
    [
      calibrationTable(calibration, context.columns),
      "",
      ...surenessLines(sureness),
      ...headsAccuracyLines(calibration.heads),
      ...otherDraftersLines(calibration),
      "",
      `Calibration: ${output}`,
    ].join("\n"),
  );
}
