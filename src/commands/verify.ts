/** draftplan verify: proves that a plan's output is the target's own, and measures how much sooner it comes. */
import { basename } from "node:path";
import { DraftplanError } from "../core/errors.js";
import { printDocument, STDOUT } from "../output/deliver.js";
import { verificationSummary } from "../output/verification-summary.js";
import { type DrafterChoice, drafterName, parseDrafter } from "../pipeline/drafting.js";
import { type SamplingOptions, samplingOf } from "../pipeline/sampling.js";
import { writeDefaultPlan } from "../pipeline/verify/default-plan.js";
import { requireVerdict, verifyPlanOn } from "../pipeline/verify/verify-plan.js";
import { type Loaded, readDocumentOf } from "../schema/document.js";
import type { Plan } from "../schema/plan.js";
import type { Verification } from "../schema/verification.js";
import type { Thresholds } from "../verify/index.js";
import type { CommandContext } from "./context.js";

export interface VerifyCommandOptions extends SamplingOptions {
  model: string;
  drafter?: string | undefined;
  standalone?: boolean | undefined;
  prompts?: string | undefined;
  minSpeedup?: number | undefined;
  minAcceptance?: number | undefined;
  /** in percent */
  maxPredictionError?: number | undefined;
  output?: string | undefined;
  maxTokens?: number | undefined;
  pairs?: number | undefined;
  /** also decode with int8 alone, for comparison */
  alternatives?: boolean | undefined;
  /** fixed lengths beside early stops */
  stopRules?: boolean | undefined;
}

/**
 * @param given undefined: the drafter's documented defaults are planned and written first
 * @returns false where the output is not the target's own, or a figure is beyond what was asked for
 */
export async function verifyCommand(
  given: string | undefined,
  options: VerifyCommandOptions,
  context: CommandContext,
): Promise<boolean> {
  const thresholds = thresholdsOf(options);
  // the same draws again in a run that goes on after an interruption
  const sampling = samplingOf({ seed: 1, ...options });
  const drafter = options.drafter === undefined ? null : parseDrafter(options.drafter);
  const plan =
    given === undefined ? await defaultPlan(drafter, options, context) : readDocumentOf("draftplan/plan", given);
  const output = options.output ?? `plans/${basename(plan.path).replace(/\.ya?ml$/i, "")}.verification.yaml`;
  const request = { ...options, drafter, thresholds, output: output === STDOUT ? null : output, sampling };
  const verification = await verifyPlanOn(plan, request, context);
  printDocument(verification, output, context, () =>
    [...verificationSummary(verification, context.columns), `\nWritten to ${output}`].join("\n"),
  );
  if (passes(verification)) return true;
  requireVerdict(verification, thresholds);
  return false;
}

async function defaultPlan(
  drafter: DrafterChoice | null,
  { model, standalone, output }: VerifyCommandOptions,
  context: CommandContext,
): Promise<Loaded<Plan>> {
  if (drafter === null) throw nothingToVerify();
  const plan = await writeDefaultPlan({ model, drafter, standalone, output }, context);
  context.note(`planned by ${drafterName(drafter)}'s defaults: ${plan.path}`);
  return plan;
}

const nothingToVerify = () =>
  new DraftplanError({
    code: "USAGE",
    at: "verify",
    what: "there is neither a plan nor a drafter",
    remedy: "Name a plan, or say who drafts: --drafter lookup, model:PATH, heads:PATH, hybrid or none.",
  });

const passes = ({ lossless, decided }: Verification): boolean =>
  decided === undefined ? lossless : decided.failed.length === 0;

/** @throws OPTION_INVALID */
function thresholdsOf({ minSpeedup, minAcceptance, maxPredictionError }: VerifyCommandOptions): Thresholds {
  requireWithin("--min-speedup", minSpeedup, Number.POSITIVE_INFINITY, "a number, such as 1.3");
  requireWithin("--min-acceptance", minAcceptance, 1, "a rate from 0 to 1, such as 0.9");
  requireWithin("--max-prediction-error", maxPredictionError, Number.POSITIVE_INFINITY, "a percentage, such as 10");
  return { minSpeedup, minAcceptance, maxPredictionErrorPercent: maxPredictionError };
}

function requireWithin(at: string, value: number | undefined, most: number, example: string): void {
  if (value === undefined || (Number.isFinite(value) && value >= 0 && value <= most)) return;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at,
    what: `${value} is not possible here`,
    remedy: `Give ${example}.`,
  });
}
