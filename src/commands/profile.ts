/** draftplan profile: what every block costs on this device, measured inside whole passes. */
import { deliverDocument } from "../output/deliver.js";
import { profileTables, stopLine } from "../output/profile-tables.js";
import { measuredKernels, measuredShortHeads, measuredSpans } from "../pipeline/choices.js";
import { draftersRelativeTo } from "../pipeline/drafting/measured.js";
import { defaultPath, servedName } from "../pipeline/paths.js";
import { profileModelAt } from "../pipeline/profile/profile-model.js";
import type { CommandContext } from "./context.js";
import { parseBudget, parsePrecision } from "./values/budget.js";

export interface ProfileOptions {
  /** `-` prints the document */
  output?: string;
  /** `64..4096` or `64,512,4096` */
  context?: string;
  query?: string;
  /** kernels to measure beside the target; `skip` costs nothing and is always there */
  choices?: string[];
  /** time for all measuring: `60s`, `2m`, `90` */
  budget?: string;
  /** wanted relative standard error of the target's median: `1%` */
  precision?: string;
  /** file of the raw samples, gone on from where it exists */
  samples?: string;
  /** GiB that a model made up from a config.json may take */
  memory?: number;
  /** `self`, `heads:FOLDER` */
  drafters?: string[];
}

export async function profileCommand(
  model: string,
  { output: wanted, choices, budget, precision, memory, ...options }: ProfileOptions,
  context: CommandContext,
): Promise<void> {
  const request = {
    ...options,
    kernels: measuredKernels(choices, context),
    spans: measuredSpans(choices, context),
    shortHeads: measuredShortHeads(choices, context),
    budgetSeconds: budget === undefined ? undefined : parseBudget(budget),
    precisionPercent: precision === undefined ? undefined : parsePrecision(precision),
    memoryGib: memory,
  };
  const { profile, interruption } = await profileModelAt(model, request, context);
  context.note(stopLine(profile.sampling));
  const output = wanted ?? defaultPath("profile", servedName(profile.model.name, profile.device));
  deliverDocument(
    draftersRelativeTo(profile, output),
    output,
    context,
    () => `${profileTables(profile, context.columns)}\nwritten to ${output}`,
  );
  // the document is written of what there is; the exit code still says what happened
  if (interruption !== null) throw interruption.reason;
}
