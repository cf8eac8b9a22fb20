/** From a loaded model, a plan and prompts to a verification document. `run` and `verify` share it. */

import { posix } from "node:path";
import { type Progress, silentProgress } from "../../core/progress.js";
import { draftplanVersion } from "../../core/version.js";
import type { Opened } from "../../decode/policy.js";
import { requireSameModel } from "../../decode/policy.js";
import { systemClock } from "../../runtime/device.js";
import type { Clock, Engine } from "../../runtime/engine.js";
import type { LoadedModel } from "../../runtime/load.js";
import { type Kernel, uniformChoices, usualKernels } from "../../schema/choice.js";
import { type Device, deviceSays, differingDeviceKeys, type InputRef } from "../../schema/common.js";
import { MAX_VALUES } from "../../schema/document.js";
import { DEFAULT_PRECISION } from "../../schema/numerics.js";
import { type Plan, withStopRule } from "../../schema/plan.js";
import { TIE_MARGINS, type Verification } from "../../schema/verification.js";
import { significant } from "../../stats/numbers.js";
import {
  type AlternativeModel,
  type Drawing,
  decide,
  type Journal,
  type ReferenceCache,
  type Thresholds,
  type VerifyPrompt,
  type VerifyResult,
  verifyPlan,
  verifyPlans,
} from "../../verify/index.js";

export const DEFAULT_MAX_TOKENS = 64;
export const DEFAULT_PAIRS = 2;
const SIGNIFICANT_DIGITS = 6;

export interface VerificationRequest {
  loaded: Pick<LoadedModel, "engine" | "ref">;
  plan: Plan;
  /** the plan's file, as seen from the verification's folder, and the digest of its bytes */
  planRef: InputRef;
  /** the plan's file as the user gave it, for errors and warnings */
  planPath?: string;
  /** who drafted in place of the plan's own drafters; absent: they did */
  drafter?: Verification["drafter"];
  /** heads, models and a second cache that are open, for plans in which they draft */
  open?: readonly Opened[];
  prompts: readonly VerifyPrompt[];
  /** null: every prompt was given as ids */
  tokenizerSha256?: string | null;
  device: Device;
  /** also decode with a cheaper kernel alone, for comparison */
  alternatives: boolean;
  maxTokens?: number;
  pairs?: number;
  thresholds?: Thresholds;
  /** how outputs are drawn; left out: greedily */
  drawing?: Drawing;
  /** of repetitions, in greedy decoding; left out: none */
  penalty?: number;
  /** shared by verifications on the same engine: the target then decodes each prompt once */
  references?: ReferenceCache;
  journal?: Journal;
  clock?: Clock;
  created?: Date;
}

export const softwareVersions = (): NonNullable<Verification["versions"]> => ({
  draftplan: draftplanVersion(),
  node: process.versions.node,
});

/**
 * Verifies a plan on a loaded model. Figures are rounded to six digits, far below what timing can tell.
 * @throws DOCUMENT_MISMATCH where the plan was made for another model; what verifyPlan throws
 */
export async function buildVerification(
  request: VerificationRequest,
  progress: Progress = silentProgress,
): Promise<Verification> {
  requirePlanFits(request, progress);
  const { plan } = request;
  return documentOf(
    request,
    await verifyPlan({ ...verifyOptions(request), plan, planPath: pathOf(request), progress }),
    progress,
  );
}

/**
 * Several plans on one loaded model, all of them and plain decoding by turns, so that their speeds compare.
 * @param shared  what they have in common
 * @param planned each plan, its file as seen from its verification's folder, and whether a cheaper kernel alone is told beside it
 * @returns [plans]
 */
export async function buildVerifications(
  shared: Omit<VerificationRequest, keyof OwnOfPlan | "drafter">,
  planned: readonly OwnOfPlan[],
  progress: Progress = silentProgress,
): Promise<Verification[]> {
  const requests = planned.map((own): VerificationRequest => ({ ...shared, ...own }));
  for (const request of requests) requirePlanFits(request, progress);
  const alternatives = planned.some((own) => own.alternatives);
  const plans = requests.map((request) => ({ plan: request.plan, planPath: pathOf(request) }));
  const options = verifyOptions({ ...shared, alternatives });
  const results = await verifyPlans({ ...options, progress }, plans);
  return results.map((figures, i) => {
    const own = requests[i].alternatives ? figures : { ...figures, alternatives: [] };
    return documentOf(requests[i], own, progress);
  });
}

/**
 * A plan whose drafts may end early, verified under both its rules by turns: the verification is the plan's own, and says of
 * both what they reached.
 */
export async function buildBothRules(
  request: Omit<VerificationRequest, "journal">,
  progress: Progress = silentProgress,
): Promise<Verification> {
  requirePlanFits(request, progress);
  const planned = ruleOf(request.plan);
  const rules = [planned, planned === "early" ? ("fixed" as const) : ("early" as const)];
  const plans = rules.map((rule) => ({ plan: withStopRule(request.plan, rule), planPath: pathOf(request) }));
  const results = await verifyPlans({ ...verifyOptions(request), progress }, plans);
  const stop_rules = results.map((result, i) => ({
    rule: rules[i],
    lossless: result.lossless,
    speedup: result.speedup,
    predicted_speedup: result.predicted_speedup,
    tokens_per_second: result.tokens_per_second.plan,
    accepted_length: result.accepted_length,
    mean_draft_tokens: result.meanDraftTokens,
  }));
  return { ...documentOf(request, results[0], progress), stop_rules: rounded(stop_rules) };
}

/** What a plan does where it says when drafts end: early if any segment does. */
const ruleOf = ({ segments }: Plan): "early" | "fixed" =>
  segments.some(({ stop }) => stop?.rule === "early") ? "early" : "fixed";

type OwnOfPlan = Pick<VerificationRequest, "plan" | "planRef" | "alternatives">;

const pathOf = ({ planPath, planRef }: VerificationRequest): string => planPath ?? planRef.path;

function requirePlanFits(request: VerificationRequest, progress: Progress): void {
  const { loaded, plan, device } = request;
  const { engine, ref } = loaded;
  requireSameModel(
    plan,
    { spec: engine.spec, architectureSha256: ref.architecture_sha256, weightsSha256: ref.weights_sha256 },
    pathOf(request),
  );
  warnOtherDevice(plan.device, device, pathOf(request), progress);
}

function documentOf(request: VerificationRequest, result: VerifyResult, progress: Progress): Verification {
  const { loaded, plan, planRef, device, tokenizerSha256, created = new Date() } = request;
  const { engine, ref } = loaded;
  const { meanDraftTokens: _, ...told } = result;
  const figures = rounded(told);
  const verification: Verification = {
    kind: "draftplan/verification",
    version: 1,
    model: ref,
    device,
    plan: planRef,
    ...(request.drafter === undefined ? {} : { drafter: request.drafter }),
    ...(plan.draft_cache === undefined ? {} : { draft_cache: plan.draft_cache }),
    ...(plan.inputs === undefined ? {} : { inputs: seenFromHere(plan.inputs, planRef.path) }),
    ...(plan.extrapolated === undefined ? {} : { extrapolated: plan.extrapolated }),
    ...(tokenizerSha256 === undefined ? {} : { tokenizer_sha256: tokenizerSha256 }),
    versions: softwareVersions(),
    created: created.toISOString(),
    ...tieMarginKey(engine),
    ...figures,
    decided: decide(figures, request.thresholds ?? {}),
  };
  return withoutExcess(verification, progress);
}

/** A margin other than fp32's is said. */
function tieMarginKey({ numerics: { targetPrecision } }: Engine): Pick<Verification, "tie_margin"> {
  return targetPrecision === DEFAULT_PRECISION ? {} : { tie_margin: TIE_MARGINS[targetPrecision] };
}

function verifyOptions(request: Omit<VerificationRequest, "plan" | "planRef">) {
  const { loaded, prompts, references, journal, clock = systemClock } = request;
  const { engine } = loaded;
  const alone = (kernel: Kernel): AlternativeModel => ({
    name: `${kernel} alone`,
    choices: uniformChoices(engine.spec.layers, kernel),
  });
  return {
    ...{ engine, clock, prompts },
    maxTokens: request.maxTokens ?? DEFAULT_MAX_TOKENS,
    pairs: request.pairs ?? DEFAULT_PAIRS,
    alternatives: request.alternatives ? usualKernels(engine.numerics.targetPrecision).map(alone) : [],
    ...(request.open === undefined ? {} : { open: request.open }),
    ...(references === undefined ? {} : { references }),
    ...(journal === undefined ? {} : { journal }),
    ...{ drawing: request.drawing, penalty: request.penalty },
  };
}

/** The plan's inputs: their paths begin in the plan's folder, and now in the verification's. */
function seenFromHere(inputs: NonNullable<Plan["inputs"]>, planPath: string): NonNullable<Plan["inputs"]> {
  const moved = ({ path, sha256 }: InputRef): InputRef => ({
    path: posix.isAbsolute(path) ? path : posix.join(posix.dirname(planPath), path),
    sha256,
  });
  return { profile: moved(inputs.profile), calibration: moved(inputs.calibration) };
}

/** A document too large to be read again says less: token ids go, and their digests stay. */
function withoutExcess(verification: Verification, progress: Progress): Verification {
  if (countValues(verification) <= MAX_VALUES) return verification;
  progress.warn(
    "TOKEN_IDS_LEFT_OUT",
    `the verification holds only digests of the ${verification.tokens} tokens; verify fewer prompts at a time to keep them`,
  );
  const prompts = verification.prompts.map(({ reference_ids: _, output_ids: __, ...rest }) => rest);
  return { ...verification, prompts };
}

/** Scalars of the document as YAML, keys included. */
function countValues(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  const values = Object.values(value).reduce<number>((sum, inner) => sum + countValues(inner), 0);
  return Array.isArray(value) ? values : values + Object.keys(value).length;
}

function warnOtherDevice(planned: Device | undefined, device: Device, path: string, progress: Progress): void {
  if (planned === undefined) return;
  const keys = differingDeviceKeys(planned, device);
  if (keys.length === 0) return;
  const differences = keys
    .map((key) => `${key} ${deviceSays(planned, key)} there, ${deviceSays(device, key)} here`)
    .join("; ");
  progress.warn(
    "DEVICE_DIFFERS",
    `${path} was made on another device (${differences}); only ratios and acceptance compare`,
  );
}

/** Every fraction in six significant digits, as documents have them. */
export function rounded<T>(value: T): T {
  const round = (_key: string, inner: unknown) =>
    typeof inner === "number" && !Number.isInteger(inner) ? significant(inner, SIGNIFICANT_DIGITS) : inner;
  return JSON.parse(JSON.stringify(value, round)) as T;
}
