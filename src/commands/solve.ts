/** draftplan solve: a plan from a profile and a calibration; with a model, the best candidates are measured on it. */
import { DraftplanError } from "../core/errors.js";
import { SOLVE_METHODS } from "../methods/names.js";
import { deliverDocument } from "../output/deliver.js";
import { solveSummary } from "../output/plan-table.js";
import { parseChoices, shortHeadsOfBoth, spansOfBoth } from "../pipeline/choices.js";
import { type ConstraintOptions, toConstraints } from "../pipeline/constraints.js";
import { parseDrafters, requireNamedModels, weighedFor } from "../pipeline/drafters.js";
import { draftSpaceFor } from "../pipeline/export/preset.js";
import { type SolveMethod, solvePlan } from "../pipeline/solve.js";
import { draftChoices } from "../schema/choice.js";
import { readDocumentOf } from "../schema/document.js";
import type { CommandContext } from "./context.js";

export interface SolveCommandOptions extends ConstraintOptions {
  profile: string;
  calibration: string;
  model?: string;
  /** undefined: skip and what is usual beside the target, int8 for one in floats, or what of them --for has */
  choices?: string[];
  /** an engine that the plan is to be exported to */
  for?: string;
  method: string;
  /** undefined: whatever was measured */
  drafters?: string[];
  text?: string[];
  /** seconds for exchanges; 0: none */
  refine?: number;
  /** context to plan to, beyond the profile; true: the model's own limit */
  extrapolate?: number | true;
  /** drafts have a cache of their own */
  standalone?: boolean;
  /** tokens of an answer that the draft's reading of the prompt is shared by */
  answerTokens?: number;
  output?: string;
}

export async function solveCommand(options: SolveCommandOptions, context: CommandContext): Promise<void> {
  const { model, text, refine, extrapolate, output } = options;
  const named = {
    choices: options.choices === undefined ? undefined : parseChoices(options.choices),
    drafters: options.drafters === undefined ? undefined : parseDrafters(options.drafters),
    constraints: options,
  };
  const profile = readDocumentOf("draftplan/profile", options.profile);
  const space = await draftSpaceFor(options.for, named, profile.document.device.target);
  const calibration = readDocumentOf("draftplan/calibration", options.calibration);
  requireNamedModels(options.drafters ?? [], calibration);
  const standalone = standaloneOf(options);
  const drafters =
    options.drafters === undefined ? weighedFor(space.drafters, profile, calibration, standalone) : space.drafters;
  const usual = options.choices === undefined && options.for === undefined && standalone === null;
  const request = {
    // a span or a short head that was measured is there to be used
    choices: usual
      ? draftChoices([
          ...space.choices,
          ...spansOfBoth(profile.document, calibration.document),
          ...shortHeadsOfBoth(profile.document, calibration.document),
        ])
      : space.choices,
    method: parseMethod(options.method),
    ...{ drafters, profile, calibration },
    constraints: toConstraints(space.constraints),
    chains: options.for !== undefined,
    modelKernels: space.modelKernels,
    ...{ extrapolate, output, standalone },
    ...(model === undefined ? {} : { measure: { model, text, refineSeconds: refine } }),
  };
  const solved = await solvePlan(request, context);
  deliverDocument(solved.plan, solved.output, context, () => solveSummary(solved, context.columns));
}

function standaloneOf({ standalone = false, answerTokens }: SolveCommandOptions): { answerTokens?: number } | null {
  if (standalone) return answerTokens === undefined ? {} : { answerTokens };
  if (answerTokens === undefined) return null;
  throw new DraftplanError({
    code: "USAGE",
    at: "--answer-tokens",
    what: "a draft over the target's cache reads no prompt that an answer would have to bear",
    remedy: "Add --standalone, or leave --answer-tokens out.",
  });
}

function parseMethod(name: string): SolveMethod {
  if (SOLVE_METHODS.includes(name)) return name as SolveMethod;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `--method ${name}`,
    what: "this method does not exist",
    remedy: `Use one of: ${SOLVE_METHODS.join(", ")}.`,
  });
}
