/** Profile, calibrate, solve, verify, on one loaded model. */

import { join } from "node:path";
import { HeadsEvidence } from "../calibrate/heads.js";
import type { LocatedHeads } from "../decode/drafters/heads.js";
import { DEFAULT_QUERY, parseAxis, resolveGrid } from "../profile/grid.js";
import { describeDevice, systemClock } from "../runtime/device.js";
import { type LoadedModel, loadModel } from "../runtime/load.js";
import type { Calibration } from "../schema/calibration.js";
import type { Choice } from "../schema/choice.js";
import { writeDocument } from "../schema/document.js";
import type { Plan } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import type { Verification } from "../schema/verification.js";
import { planDocument, refutedWarnings } from "../solve/index.js";
import { openTokenizer } from "../tokenizer/open.js";
import type { ReferenceCache } from "../verify/index.js";
import { calibrateLoaded, reportHeads } from "./calibrate.js";
import type { PipelineContext } from "./context.js";
import { headsRelativeTo, parseMeasuredDrafters, withHeads } from "./measured-drafters.js";
import { measureCandidates } from "./measuring/candidates.js";
import { precisionFor } from "./measuring/measuring.js";
import { defaultPath, inputRef } from "./paths.js";
import { makeProfile } from "./profile/make.js";
import { defaultContexts, isSmall, readCalibrationText, SAMPLE } from "./text/calibration-text.js";
import { measuringText } from "./text/measuring-text.js";
import { bundledPrompts, fittingPrompts } from "./text/prompts.js";
import { buildVerification, DEFAULT_MAX_TOKENS } from "./verify/document.js";

/** Where each document goes: into one folder, or to the default places. */
export interface RunPaths {
  profile: string;
  calibration: string;
  plan: string;
  planSkip: string;
  verification: string;
  verificationSkip: string;
}

export interface RunResult {
  profile: Profile;
  calibration: Calibration;
  plan: Plan;
  planSkip: Plan;
  verification: Verification;
  verificationSkip: Verification;
}

/** The two knapsacks that are solved: everything, and the 0/1 skip knapsack of KnapSpec. */
const VARIANTS: readonly {
  plan: "plan" | "planSkip";
  verification: "verification" | "verificationSkip";
  choices: Exclude<Choice, "target">[];
}[] = [
  { plan: "planSkip", verification: "verificationSkip", choices: ["skip"] },
  { plan: "plan", verification: "verification", choices: ["int8", "skip"] },
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

function runPaths(out: string | undefined, modelName: string): RunPaths {
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
  };
}

/**
 * Every stage on one loaded model, each document written when it is there.
 * @param out a folder for all documents; undefined: the default places
 * @throws what loading the model and the stages throw; FILE_UNWRITABLE
 */
export async function runModel(
  path: string,
  out: string | undefined,
  context: PipelineContext,
): Promise<{ result: RunResult; paths: RunPaths }> {
  const model = await loadModel(path, context, context.progress);
  try {
    const paths = runPaths(out, model.spec.name);
    const { heads } = parseMeasuredDrafters(undefined, path);
    const result = await withHeads(heads, model, context, (opened) => runStages(model, opened, paths, context));
    return { result, paths };
  } finally {
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
  const profile = headsRelativeTo(measured, paths.profile);
  const profileSha = writeDocument(paths.profile, profile);

  const calibration = headsRelativeTo(await calibrateAndMeasure(model, heads, profile, context), paths.calibration);
  const calibrationSha = writeDocument(paths.calibration, calibration);

  const result: Partial<RunResult> = { profile, calibration };
  const references: ReferenceCache = new WeakMap(); // the target decodes each prompt once for both plans
  for (const variant of VARIANTS) {
    const planPath = paths[variant.plan];
    const inputs = {
      profile: inputRef({ path: paths.profile, sha256: profileSha }, planPath),
      calibration: inputRef({ path: paths.calibration, sha256: calibrationSha }, planPath),
    };
    const plan = planDocument({ profile, calibration, choices: variant.choices }, inputs);
    for (const { code, message } of refutedWarnings(plan.segments, plan.model.layers))
      context.progress.warn(code, message);
    const sha256 = writeDocument(planPath, plan);
    const verification = await verifyLoaded(
      model,
      heads,
      plan,
      { path: planPath, sha256 },
      paths[variant.verification],
      variant.plan === "plan",
      references,
      context,
    );
    writeDocument(paths[variant.verification], verification);
    result[variant.plan] = plan;
    result[variant.verification] = verification;
  }
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
    variants: VARIANTS.map(({ choices }) => choices),
    text: measuringText(texts, prompts, SAMPLE.continuationTokens),
  };
  return measureCandidates(measuring, { ...made.calibration, ...heads.keys() });
}

async function verifyLoaded(
  model: LoadedModel,
  located: readonly LocatedHeads[],
  plan: Plan,
  planFile: { path: string; sha256: string },
  output: string,
  alternatives: boolean,
  references: ReferenceCache,
  { progress, provider, threads, ortLibrary }: PipelineContext,
): Promise<Verification> {
  const tokenizer = await openTokenizer(model.path);
  const bundled = await bundledPrompts(async () => tokenizer);
  const prompts = fittingPrompts(bundled, model.engine.capacity, DEFAULT_MAX_TOKENS, progress);
  const request = {
    loaded: model,
    plan,
    planRef: inputRef(planFile, output),
    heads: located.map(({ heads }) => heads),
    prompts,
    tokenizerSha256: tokenizer.sha256,
    device: describeDevice(provider, threads, ortLibrary, model.engine.numerics.targetPrecision),
    alternatives,
    references,
    pairs: PAIRS,
  };
  return buildVerification(request, progress);
}
