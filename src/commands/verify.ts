/** draftplan verify: proves that a plan's output is the target's own, and measures how much sooner it comes. */
import { basename } from "node:path";
import { DraftplanError } from "../core/errors.js";
import { type Progress, silentProgress } from "../core/progress.js";
import { requireSameModel } from "../decode/policy.js";
import type { Checkpoint } from "../model/spec.js";
import { describeDevice, systemClock } from "../runtime/device.js";
import type { Clock } from "../runtime/engine.js";
import type { LoadedModel } from "../runtime/load.js";
import { uniformChoices } from "../schema/choice.js";
import type { Device, InputRef } from "../schema/common.js";
import { type Loaded, readDocumentOf, stringifyDocument, writeDocument } from "../schema/document.js";
import type { Plan } from "../schema/plan.js";
import type { Verification } from "../schema/verification.js";
import { openTokenizer } from "../tokenizer/open.js";
import type { Tokenizer } from "../tokenizer/types.js";
import { type AlternativeModel, type VerifyPrompt, verifyPlan } from "../verify/index.js";
import type { CommandContext } from "./context.js";
import { inputRef } from "./paths.js";
import { bundledPrompts, readPrompts } from "./prompts.js";
import { requireInVocabulary } from "./token-ids.js";
import { summaryOf } from "./verify-summary.js";
import { withModel } from "./with-model.js";

export interface VerifyCommandOptions {
  model: string;
  prompts?: string | undefined;
  minSpeedup?: number | undefined;
  output?: string | undefined;
  maxTokens?: number | undefined;
  pairs?: number | undefined;
  /** also decode with int8 alone, for comparison */
  alternatives?: boolean | undefined;
}

export const DEFAULT_MAX_TOKENS = 64;
export const DEFAULT_PAIRS = 2;
const SEED = 1;
const SIGNIFICANT_DIGITS = 6;

/** @returns false where the output is not the target's own or the plan is slower than `minSpeedup` */
export async function verifyCommand(
  planPath: string,
  options: VerifyCommandOptions,
  context: CommandContext,
): Promise<boolean> {
  requireMinSpeedup(options.minSpeedup);
  const plan = readDocumentOf("draftplan/plan", planPath);
  const prompts = await promptsFor(options);
  const output = options.output ?? `plans/${basename(planPath).replace(/\.ya?ml$/i, "")}.verification.yaml`;
  const { provider, threads } = context;
  const verification = await withModel(
    options.model,
    context,
    (checkpoint) => prepare(checkpoint, plan, prompts, options, context.progress),
    (loaded, prepared) =>
      buildVerification(
        {
          loaded,
          plan: plan.document,
          planRef: inputRef(plan, output),
          planPath,
          prompts: prepared.prompts,
          device: describeDevice(provider, threads),
          alternatives: options.alternatives ?? false,
          maxTokens: prepared.maxTokens,
          pairs: options.pairs ?? DEFAULT_PAIRS,
        },
        context.progress,
      ),
  );
  if (output !== "-") writeDocument(output, verification);
  print(verification, output, options.minSpeedup, context);
  return passes(verification, options.minSpeedup);
}

export const passes = ({ lossless, speedup }: Verification, minSpeedup = 0): boolean =>
  lossless && speedup.median >= minSpeedup;

export interface VerificationRequest {
  loaded: Pick<LoadedModel, "engine" | "ref">;
  plan: Plan;
  /** the plan's file, as seen from the verification's folder, and the digest of its bytes */
  planRef: InputRef;
  /** the plan's file as the user gave it, for errors and warnings */
  planPath?: string;
  prompts: readonly VerifyPrompt[];
  device: Device;
  /** also decode with int8 alone, for comparison */
  alternatives: boolean;
  maxTokens?: number;
  pairs?: number;
  seed?: number;
  clock?: Clock;
  created?: Date;
}

/**
 * Verifies a plan on a loaded model. Figures are rounded to six digits, far below what timing can tell.
 * @throws DOCUMENT_MISMATCH where the plan was made for another model; what verifyPlan throws
 */
export async function buildVerification(
  request: VerificationRequest,
  progress: Progress = silentProgress,
): Promise<Verification> {
  const { loaded, plan, planRef, prompts, device, clock = systemClock, created = new Date() } = request;
  const { engine, ref } = loaded;
  const planPath = request.planPath ?? planRef.path;
  requireSameModel(
    plan,
    { spec: engine.spec, architectureSha256: ref.architecture_sha256, weightsSha256: ref.weights_sha256 },
    planPath,
  );
  warnOtherDevice(plan.device, device, planPath, progress);
  const int8: AlternativeModel = { name: "int8 alone", choices: uniformChoices(engine.spec.layers, "int8") };
  const figures = await verifyPlan({
    ...{ engine, clock, plan, planPath, prompts, progress },
    maxTokens: request.maxTokens ?? DEFAULT_MAX_TOKENS,
    pairs: request.pairs ?? DEFAULT_PAIRS,
    seed: request.seed ?? SEED,
    alternatives: request.alternatives ? [int8] : [],
  });
  const made = { model: ref, device, plan: planRef, created: created.toISOString() };
  return { kind: "draftplan/verification", version: 1, ...made, ...rounded(figures) };
}

/** The bundled prompts that fit this model; one that does not is left out, with a warning. */
export function fittingPrompts(
  prompts: readonly VerifyPrompt[],
  capacity: number,
  maxTokens: number,
  progress: Progress,
): VerifyPrompt[] {
  const fitting = prompts.filter(({ ids }) => ids.length + maxTokens <= capacity);
  const missing = prompts.length - fitting.length;
  if (fitting.length === 0) {
    throw new DraftplanError({
      code: "CONTEXT_LIMIT",
      at: "bundled prompts",
      what: `none fits a context of ${capacity} tokens with ${maxTokens} new ones`,
      remedy: "Give shorter prompts: draftplan verify PLAN --model MODEL --prompts FILE",
    });
  }
  if (missing > 0)
    progress.warn(
      "PROMPTS_LEFT_OUT",
      `${missing} of ${prompts.length} bundled prompts do not fit a context of ${capacity} tokens`,
    );
  return fitting;
}

interface Prompts {
  prompts: VerifyPrompt[];
  /** the user's file; undefined for the bundled ones */
  file: string | undefined;
}

async function promptsFor({ model, prompts: file }: VerifyCommandOptions): Promise<Prompts> {
  let tokenizer: Promise<Tokenizer> | undefined;
  const open = () => (tokenizer ??= openTokenizer(model));
  return { file, prompts: file === undefined ? await bundledPrompts(open) : await readPrompts(file, open) };
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
  const maxTokens = options.maxTokens ?? DEFAULT_MAX_TOKENS;
  if (file !== undefined)
    for (const { ids, name } of prompts) requireInVocabulary(ids, spec.vocabSize, `${file}: '${name}'`);
  const kept = file === undefined ? fittingPrompts(prompts, spec.contextLimit, maxTokens, progress) : prompts;
  const capacity = Math.max(...kept.map(({ ids }) => ids.length)) + maxTokens;
  return { prompts: kept, maxTokens, capacity };
}

function requireMinSpeedup(minSpeedup: number | undefined): void {
  if (minSpeedup === undefined || (Number.isFinite(minSpeedup) && minSpeedup >= 0)) return;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: "--min-speedup",
    what: `${minSpeedup} is not a speedup`,
    remedy: "Give a number, such as 1.3.",
  });
}

function warnOtherDevice(planned: Device | undefined, device: Device, path: string, progress: Progress): void {
  if (planned === undefined) return;
  const keys = (Object.keys(device) as (keyof Device)[]).filter((key) => planned[key] !== device[key]);
  if (keys.length === 0) return;
  const differences = keys.map((key) => `${key} ${planned[key]} there, ${device[key]} here`).join("; ");
  progress.warn(
    "DEVICE_DIFFERS",
    `${path} was made on another device (${differences}); only ratios and acceptance compare`,
  );
}

function rounded<T>(value: T): T {
  const round = (_key: string, inner: unknown) =>
    typeof inner === "number" && !Number.isInteger(inner) ? Number(inner.toPrecision(SIGNIFICANT_DIGITS)) : inner;
  return JSON.parse(JSON.stringify(value, round)) as T;
}

function print(
  verification: Verification,
  output: string,
  minSpeedup: number | undefined,
  context: CommandContext,
): void {
  if (context.json) context.print(JSON.stringify(verification));
  else if (output === "-") context.write(stringifyDocument(verification));
  else {
    for (const line of summaryOf(verification, minSpeedup)) context.print(line);
    context.print(`\nWritten to ${output}`);
  }
}
