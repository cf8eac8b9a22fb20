/** draftplan import-metrics: an engine's own figures beside what was predicted for it. */
import { DraftplanError } from "../core/errors.js";
import type { CheckOutputOptions } from "../output/check/index.js";
import { outputCheck } from "../output/check/index.js";
import { verdictOf } from "../output/check/text.js";
import { importMetrics } from "../pipeline/import-metrics.js";
import { readDocumentOf, writeDocument } from "../schema/document.js";
import type { CommandContext } from "./context.js";
import { tolerancePercent } from "./values/tolerance.js";

export interface ImportMetricsOptions extends CheckOutputOptions {
  export?: string;
  plan?: string;
  context?: number;
  tolerance?: string;
  calibration?: string;
  output?: string;
}

/** @returns false where something is an error, or could not be told and --fail-inconclusive was given */
export async function importMetricsCommand(
  file: string,
  options: ImportMetricsOptions,
  context: CommandContext,
): Promise<boolean> {
  const { calibration, output } = options;
  if ((calibration === undefined) !== (output === undefined))
    throw usage("--calibration and -o belong together", "Give --calibration CALIBRATION -o NEW.YAML, or neither.");
  const request = {
    ...{ file, against: againstOf(options), tolerancePercent: tolerancePercent(options.tolerance) },
    calibration: calibration === undefined ? undefined : readDocumentOf("draftplan/calibration", calibration),
  };
  const imported = importMetrics(request);
  if (imported.calibration !== null && output !== undefined) {
    writeDocument(output, imported.calibration);
    if (imported.isShaped)
      context.note(
        `${imported.counts.form}: acceptance is not told by position, so the curve has the predicted one's shape, or one rate where nothing is predicted`,
      );
    context.note(`${output}: the calibration with what the engine saw; draftplan solve --standalone plans from it`);
  }
  await outputCheck(imported.result, options, context);
  return verdictOf(imported.result, options.failInconclusive) !== "failed";
}

function againstOf({ export: exported, plan, context }: ImportMetricsOptions) {
  if (exported !== undefined && plan === undefined && context === undefined)
    return { export: readDocumentOf("draftplan/export", exported) };
  if (plan !== undefined && exported === undefined) return { plan: readDocumentOf("draftplan/plan", plan), context };
  if (exported !== undefined && plan === undefined)
    throw usage("--context chooses a range of a plan, and an export has one", "Leave --context out.");
  throw usage(
    "one document says what was predicted",
    "Give --export DIR/export.yaml, or --plan PLAN with --context N for one of its ranges.",
  );
}

const usage = (what: string, remedy: string) =>
  new DraftplanError({ code: "USAGE", at: "draftplan import-metrics", what, remedy });
