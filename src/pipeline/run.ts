/** Profile, calibrate, solve, verify, on one loaded model. */

import { join } from "node:path";
import { HeadsEvidence } from "../calibrate/heads.js";
import { holdDocument } from "../core/document-lock.js";
import type { LocatedHeads } from "../decode/drafters/heads.js";
import { DEFAULT_QUERY, parseAxis, resolveGrid } from "../profile/grid.js";
import { systemClock } from "../runtime/device.js";
import { type LoadedModel, loadModel } from "../runtime/load.js";
import type { Calibration } from "../schema/calibration.js";
import { usualKernels } from "../schema/choice.js";
import { writeDocument } from "../schema/document.js";
import { areAlike, type Plan } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import type { Verification } from "../schema/verification.js";
import { type DrafterKind, planDocument, refutedWarnings } from "../solve/index.js";
import { openTokenizer } from "../tokenizer/open.js";
import { calibrateLoaded, reportHeads } from "./calibrate.js";
import type { DraftChoice } from "./choices.js";
import type { PipelineContext } from "./context.js";
import { deviceOf } from "./device.js";
import { draftersRelativeTo, parseMeasuredDrafters, withHeads } from "./drafting/measured.js";
import { measureCandidates } from "./measuring/candidates.js";
import { precisionFor } from "./measuring/measuring.js";
import { defaultPath, inputRef, servedName } from "./paths.js";
import { makeProfile } from "./profile/make.js";
import { defaultContexts, isSmall, readCalibrationText, SAMPLE } from "./text/calibration-text.js";
import { fitText } from "./text/fit-text.js";
import { measuringText } from "./text/measuring-text.js";
import { bundledPrompts, fittingPrompts } from "./text/prompts.js";
import { buildVerifications, DEFAULT_MAX_TOKENS } from "./verify/document.js";

/** Where each document goes: into one folder, or to the default places. */
export interface RunPaths {
  profile: string;
  calibration: string;
  plan: string;
  planSkip: string;
  verification: string;
  verificationSkip: string;
  /** where heads travel with the model: the best plan of the model's own blocks, and of those heads */
  planSelf?: string;
  planHeads?: string;
  verificationSelf?: string;
  verificationHeads?: string;
}

export interface RunResult {
  profile: Profile;
  calibration: Calibration;
  plan: Plan;
  planSkip: Plan;
  verification: Verification;
  verificationSkip: Verification;
  planSelf?: Plan;
  planHeads?: Plan;
  verificationSelf?: Verification;
  verificationHeads?: Verification;
}

type PlanName = "plan" | "planSkip" | "planSelf" | "planHeads";

interface Variant {
  plan: PlanName;
  verification: "verification" | "verificationSkip" | "verificationSelf" | "verificationHeads";
  choices: DraftChoice[];
  drafters: DrafterKind[];
}

const SKIP: DraftChoice[] = ["skip"];

const everythingFor = ({ engine }: Pick<LoadedModel, "engine">): DraftChoice[] => [
  ...usualKernels(engine.numerics.targetPrecision),
  "skip",
];

/**
 * What is solved: the 0/1 skip knapsack of KnapSpec, and the knapsack of everything. Where heads travel with the model, the
 * best of all drafters is the plan, and the best of each kind is told beside it.
 */
const variantsOf = (heads: readonly LocatedHeads[], everything: DraftChoice[]): Variant[] => [
  { plan: "planSkip", verification: "verificationSkip", choices: SKIP, drafters: ["self"] },
  ...(heads.length === 0
    ? []
    : ([
        { plan: "planSelf", verification: "verificationSelf", choices: everything, drafters: ["self"] },
        { plan: "planHeads", verification: "verificationHeads", choices: everything, drafters: ["heads"] },
      ] satisfies Variant[])),
  {
    ...{ plan: "plan", verification: "verification", choices: everything },
    drafters: heads.length === 0 ? ["self"] : ["self", "heads"],
  },
];

/** Runs of each prompt with and without the plan: intervals are over prompts, so more of them tell more than more pairs. */
const PAIRS = 1;

/** A plan of `run` covers contexts from 64 tokens to this, or to nearly all that the model was made for. */
const LONGEST_CONTEXT = 2048;
/** tokens behind the longest context: a pass, and what is generated after it */
const ROOM = 128;
const SHORTEST_CONTEXT = 64;

/** What the sweep may take: a small model's passes are quick, and its whole run is to end within a minute. */
const PROFILE_SECONDS = { small: 8, large: 30 };

function runPaths(out: string | undefined, modelName: string, hasHeads: boolean): RunPaths {
  const place = (kind: "profile" | "calibration" | "plan" | "verification", suffix = "") =>
    out === undefined
      ? defaultPath(kind, modelName).replace(/\.yaml$/, `${suffix}.yaml`)
      : join(out, `${kind}${suffix}.yaml`);
  return {
    profile: place("profile"),
    calibration: place("calibration"),
    plan: place("plan"),
    planSkip: place("plan", "-skip"),
    verification: place("verification"),
    verificationSkip: place("verification", "-skip"),
    ...(hasHeads
      ? {
          planSelf: place("plan", "-self"),
          planHeads: place("plan", "-heads"),
          verificationSelf: place("verification", "-self"),
          verificationHeads: place("verification", "-heads"),
        }
      : {}),
  };
}

/**
 * Every stage on one loaded model, each document written when it is there.
 * @param out a folder for all documents; undefined: the default places
 * @throws what loading the model and the stages throw; DOCUMENT_IN_USE, FILE_UNWRITABLE
 */
export async function runModel(
  path: string,
  out: string | undefined,
  context: PipelineContext,
): Promise<{ result: RunResult; paths: RunPaths }> {
  const held = out === undefined ? null : holdDocument(join(out, "plan.yaml"), "run");
  try {
    return await runHeld(path, out, held === null, context);
  } finally {
    held?.();
  }
}

/** @param holds whether the plan's place is still to be held: by default it has the model's name, known once that is open */
async function runHeld(path: string, out: string | undefined, holds: boolean, context: PipelineContext) {
  const model = await loadModel(path, { ...context, fitTo: fitText(path, context) }, context.progress);
  let release = () => {};
  try {
    const { heads } = parseMeasuredDrafters(undefined, path);
    const { targetPrecision: target } = model.engine.numerics;
    const paths = runPaths(out, servedName(model.spec.name, { ...context, target }), heads.length > 0);
    if (holds) release = holdDocument(paths.plan, "run");
    const result = await withHeads(heads, model, context, (opened) => runStages(model, opened, paths, context));
    return { result, paths };
  } finally {
    release();
    model.close();
  }
}

async function runStages(
  model: LoadedModel,
  heads: readonly LocatedHeads[],
  paths: RunPaths,
  context: PipelineContext,
): Promise<RunResult> {
  const { progress } = context;
  const longest = Math.min(LONGEST_CONTEXT, model.engine.capacity - ROOM);
  const axis = { kind: "range", from: Math.min(SHORTEST_CONTEXT, longest), to: longest } as const;
  const grid = resolveGrid(axis, parseAxis("--query", DEFAULT_QUERY), model.engine.capacity);
  const budgetSeconds = isSmall(model.spec) ? PROFILE_SECONDS.small : PROFILE_SECONDS.large;
  const measured = await makeProfile(model.engine, model.ref, grid, context, { budgetSeconds, heads });
  const profile = draftersRelativeTo(measured, paths.profile);
  const profileSha = writeDocument(paths.profile, profile);

  const calibration = draftersRelativeTo(await calibrateAndMeasure(model, heads, profile, context), paths.calibration);
  const calibrationSha = writeDocument(paths.calibration, calibration);

  const solved = variantsOf(heads, everythingFor(model)).map((variant) => {
    const path = paths[variant.plan] as string;
    const inputs = {
      profile: inputRef({ path: paths.profile, sha256: profileSha }, path),
      calibration: inputRef({ path: paths.calibration, sha256: calibrationSha }, path),
    };
    const { choices, drafters } = variant;
    const seen = draftersRelativeTo(calibration, path, paths.calibration);
    const plan = planDocument({ profile, calibration: seen, choices, drafters }, inputs);
    for (const { code, message } of refutedWarnings(plan.segments, plan.model.layers))
      context.progress.warn(code, message);
    return { ...variant, document: plan, path, sha256: writeDocument(path, plan) };
  });
  const verified = await verifyLoaded(model, heads, solved, paths, context);
  const result: Partial<RunResult> = { profile, calibration };
  solved.forEach(({ plan, verification, document }, i) => {
    writeDocument(paths[verification] as string, verified[i]);
    result[plan] = document;
    result[verification] = verified[i];
  });
  await progress.tick({ stage: "done" });
  return result as RunResult;
}

/** Losses, then the candidates of both knapsacks: one document, from which both plans can be derived again. */
async function calibrateAndMeasure(
  model: LoadedModel,
  located: readonly LocatedHeads[],
  profile: Profile,
  context: PipelineContext,
): Promise<Calibration> {
  const text = readCalibrationText(undefined);
  const startUs = systemClock.nowUs();
  const heads = new HeadsEvidence(located);
  const made = await calibrateLoaded(model, text, defaultContexts(model.spec), context, { heads });
  const { texts, prompts } = made;
  await reportHeads(model, prompts, { heads }, context);
  const measuring = {
    ...{ model, profile, precision: precisionFor(model.spec, startUs), progress: context.progress },
    variants: [SKIP, everythingFor(model)],
    text: measuringText(texts, prompts, SAMPLE.continuationTokens),
  };
  return measureCandidates(measuring, { ...made.calibration, ...heads.keys() });
}

type SolvedVariant = Variant & { document: Plan; path: string; sha256: string };

/**
 * All plans and plain decoding by turns. Plans that do the same are run once: the best plan of all is often the best of one
 * kind of drafter.
 */
async function verifyLoaded(
  model: LoadedModel,
  heads: readonly LocatedHeads[],
  solved: readonly SolvedVariant[],
  paths: RunPaths,
  context: PipelineContext,
): Promise<Verification[]> {
  const { progress } = context;
  const tokenizer = await openTokenizer(model.path);
  const bundled = await bundledPrompts(async () => tokenizer);
  const prompts = fittingPrompts(bundled, model.engine.capacity, DEFAULT_MAX_TOKENS, progress);
  const first = solved.map(({ document }) => solved.findIndex((other) => areAlike(other.document, document)));
  const distinct = solved.filter((_, i) => first[i] === i);
  const requests = distinct.map((variant) => ({
    plan: variant.document,
    planRef: inputRef(variant, paths[variant.verification] as string),
    alternatives: true,
  }));
  const made = await buildVerifications(
    {
      ...{ loaded: model, prompts, tokenizerSha256: tokenizer.sha256, pairs: PAIRS },
      device: deviceOf(context, model.engine),
      open: heads.map((one) => one.heads),
    },
    requests,
    progress,
  );
  return solved.map((variant, i): Verification => {
    const verification = made[distinct.indexOf(solved[first[i]])];
    const plan = inputRef(variant, paths[variant.verification] as string);
    return { ...verification, plan, alternatives: variant.plan === "plan" ? verification.alternatives : [] };
  });
}
