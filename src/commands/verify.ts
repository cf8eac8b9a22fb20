/** draftplan verify: proves that a plan's output is the target's own, and measures how much sooner it comes. */

import { basename } from "node:path";
import { DraftplanError } from "../core/errors.js";
import type { Progress } from "../core/progress.js";
import { requireSameModel } from "../decode/policy.js";
import type { Checkpoint } from "../model/spec.js";
import { summaryOf } from "../output/verification-summary.js";
import { planKernels } from "../pipeline/choices.js";
import { inputRef } from "../pipeline/paths.js";
import { warnOfTemperature } from "../pipeline/plan-temperature.js";
import { bundledPrompts, fittingPrompts, readPrompts } from "../pipeline/text/prompts.js";
import { requireInVocabulary } from "../pipeline/text/token-ids.js";
import { buildVerification, DEFAULT_MAX_TOKENS, DEFAULT_PAIRS } from "../pipeline/verify/document.js";
import { FileJournal, journalHeader, journalPath } from "../pipeline/verify/journal.js";
import { withModel } from "../pipeline/with-model.js";
import { describeDevice } from "../runtime/device.js";
import { type Loaded, readDocumentOf, stringifyDocument, writeDocument } from "../schema/document.js";
import type { Plan } from "../schema/plan.js";
import type { Verification } from "../schema/verification.js";
import { openTokenizer } from "../tokenizer/open.js";
import type { Tokenizer } from "../tokenizer/types.js";
import type { Thresholds, VerifyPrompt } from "../verify/index.js";
import type { CommandContext } from "./context.js";

export interface VerifyCommandOptions {
  model: string;
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
}

/** @returns false where the output is not the target's own, or a figure is beyond what was asked for */
export async function verifyCommand(
  planPath: string,
  options: VerifyCommandOptions,
  context: CommandContext,
): Promise<boolean> {
  const thresholds = thresholdsOf(options);
  const plan = readDocumentOf("draftplan/plan", planPath);
  const prompts = await promptsFor(options);
  const output = options.output ?? `plans/${basename(planPath).replace(/\.ya?ml$/i, "")}.verification.yaml`;
  const verification = await measure(plan, prompts, { ...options, output, thresholds }, context);
  print(verification, output, context);
  return passes(verification);
}

export const passes = ({ lossless, decided }: Verification): boolean =>
  decided === undefined ? lossless : decided.failed.length === 0;

/** Measures and writes the document; what is finished is kept in a journal until then. */
async function measure(
  plan: Loaded<Plan>,
  prompts: Prompts,
  options: VerifyCommandOptions & { output: string; thresholds: Thresholds },
  context: CommandContext,
): Promise<Verification> {
  const { output, thresholds, alternatives = false, pairs = DEFAULT_PAIRS } = options;
  const { provider, threads, ortLibrary, progress } = context;
  let journal: FileJournal | undefined;
  try {
    const verification = await withModel(
      options.model,
      { ...context, kernels: planKernels([plan.document], alternatives ? ["int8"] : []) },
      (checkpoint) => prepare(checkpoint, plan, prompts, options, progress),
      (loaded, { prompts: kept, maxTokens }) => {
        const request = {
          ...{ loaded, plan: plan.document, planRef: inputRef(plan, output), planPath: plan.path },
          ...{ prompts: kept, tokenizerSha256: prompts.tokenizerSha256, alternatives, maxTokens, pairs, thresholds },
          device: describeDevice(provider, threads, ortLibrary),
        };
        if (output === "-") return buildVerification(request, progress);
        journal = new FileJournal(journalPath(output), journalHeader(request), kept, progress);
        if (journal.finished.size > 0)
          context.note(
            `going on after ${journal.finished.size} of ${kept.length} prompts, which an interrupted run finished (${journal.path}; delete it to begin anew)`,
          );
        return buildVerification({ ...request, journal }, progress);
      },
    );
    if (output !== "-") writeDocument(output, verification);
    journal?.discard();
    return verification;
  } catch (error) {
    const kept = journal?.kept() ?? null;
    if (kept !== null) context.note(kept);
    throw error;
  }
}

interface Prompts {
  prompts: VerifyPrompt[];
  /** the user's file; undefined for the bundled ones */
  file: string | undefined;
  /** null: every prompt was given as ids */
  tokenizerSha256: string | null;
}

async function promptsFor({ model, prompts: file }: VerifyCommandOptions): Promise<Prompts> {
  let tokenizer: Promise<Tokenizer> | undefined;
  const open = () => (tokenizer ??= openTokenizer(model));
  const prompts = file === undefined ? await bundledPrompts(open) : await readPrompts(file, open);
  return { file, prompts, tokenizerSha256: (await tokenizer)?.sha256 ?? null };
}

/** What can be refused before the weights are converted and loaded. */
function prepare(
  checkpoint: Checkpoint,
  plan: Loaded<Plan>,
  { prompts, file }: Prompts,
  options: VerifyCommandOptions,
  progress: Progress,
) {
  const { spec } = checkpoint;
  requireSameModel(plan.document, checkpoint, plan.path);
  warnOfTemperature(plan, progress);
  const maxTokens = options.maxTokens ?? DEFAULT_MAX_TOKENS;
  if (file !== undefined)
    for (const { ids, name } of prompts) requireInVocabulary(ids, spec.vocabSize, `${file}: '${name}'`);
  const kept = file === undefined ? fittingPrompts(prompts, spec.contextLimit, maxTokens, progress) : prompts;
  const capacity = Math.max(...kept.map(({ ids }) => ids.length)) + maxTokens;
  return { prompts: kept, maxTokens, capacity };
}

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

function print(verification: Verification, output: string, context: CommandContext): void {
  if (context.json) context.print(JSON.stringify(verification));
  else if (output === "-") context.write(stringifyDocument(verification));
  else {
    for (const line of summaryOf(verification)) context.print(line);
    context.print(`\nWritten to ${output}`);
  }
}
