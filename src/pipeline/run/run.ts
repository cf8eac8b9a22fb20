/** Profile, calibrate, solve, verify, on one loaded model. */

import { freemem } from "node:os";
import { join } from "node:path";
import { HeadsEvidence } from "../../calibrate/heads-evidence.js";
import { holdDocument } from "../../core/document-lock.js";
import type { LocatedHeads } from "../../decode/drafters/heads.js";
import { DEFAULT_QUERY, parseAxis, resolveGrid } from "../../profile/grid.js";
import { systemClock } from "../../runtime/device.js";
import { type LoadedModel, loadModel } from "../../runtime/load.js";
import { rememberingPrompts } from "../../runtime/remembering.js";
import type { Calibration } from "../../schema/calibration.js";
import { writeDocument } from "../../schema/document.js";
import { areAlike, type Plan } from "../../schema/plan.js";
import type { Profile } from "../../schema/profile.js";
import type { Verification } from "../../schema/verification.js";
import { planDocument, refutedWarnings } from "../../solve/index.js";
import { openTokenizer } from "../../tokenizer/open.js";
import { calibrateLoaded, reportHeads } from "../calibrate.js";
import type { PipelineContext } from "../context.js";
import { deviceOf } from "../device.js";
import { draftersRelativeTo, parseMeasuredDrafters, withHeads } from "../drafting/measured.js";
import { FinishedParts } from "../interrupted/finished-parts.js";
import { loadedTask } from "../interrupted/loaded-task.js";
import { verifiedPrompts } from "../interrupted/verified-prompts.js";
import { measureCandidates } from "../measuring/candidates.js";
import { type MeasuringText, precisionFor } from "../measuring/measuring.js";
import { inputRef, servedName } from "../paths.js";
import { makeProfile } from "../profile/make.js";
import { routedText } from "../profile/routed-text.js";
import {
  type CalibrationText,
  defaultContexts,
  isSmall,
  readCalibrationText,
  SAMPLE,
} from "../text/calibration-text.js";
import { fitText } from "../text/fit-text.js";
import { continueAgain, measuringText } from "../text/measuring-text.js";
import { bundledPrompts, fittingPrompts } from "../text/prompts.js";
import { buildVerifications, DEFAULT_MAX_TOKENS } from "../verify/document.js";
import { everythingFor, type RunPaths, type RunResult, runPaths, SKIP, type Variant, variantsOf } from "./variants.js";

/** Runs of each prompt with and without the plan: intervals are over prompts, so more of them tell more than more pairs. */
const PAIRS = 1;

/** A plan of `run` covers contexts from 64 tokens to this, or to nearly all that the model was made for. */
const LONGEST_CONTEXT = 2048;
/** tokens behind the longest context: a pass, and what is generated after it */
const ROOM = 128;
const SHORTEST_CONTEXT = 64;

/** What the sweep may take: a small model's passes are quick, and its whole run is to end within a minute. */
const PROFILE_SECONDS = { small: 8, large: 30 };

export interface RunOptions {
  /** a folder for all documents; undefined: the default places */
  out?: string | undefined;
  /** what an interrupted run finished is not gone on from */
  fresh?: boolean | undefined;
}

/**
 * Every stage on one loaded model, each document written when it is there; gone on with where the same run was interrupted.
 * @throws what loading the model and the stages throw; DOCUMENT_IN_USE, FILE_UNWRITABLE
 */
export async function runModel(
  path: string,
  options: RunOptions,
  context: PipelineContext,
): Promise<{ result: RunResult; paths: RunPaths }> {
  const { out } = options;
  const held = out === undefined ? null : holdDocument(join(out, "plan.yaml"), "run");
  try {
    return await runHeld(path, options, held === null, context);
  } finally {
    held?.();
  }
}

/** @param holds whether the plan's place is still to be held: by default it has the model's name, known once that is open */
async function runHeld(path: string, { out, fresh }: RunOptions, holds: boolean, context: PipelineContext) {
  const model = await loadModel(path, { ...context, fitTo: fitText(path, context) }, context.progress);
  let release = () => {};
  try {
    const { heads } = parseMeasuredDrafters(undefined, path);
    const { targetPrecision: target } = model.engine.numerics;
    const paths = runPaths(out, servedName(model.spec.name, { ...context, target }), heads.length > 0);
    if (holds) release = holdDocument(paths.plan, "run");
    const result = await withHeads(heads, model, context, (opened) =>
      runInParts({ model, heads: opened, paths, context }, fresh),
    );
    return { result, paths };
  } finally {
    release();
    model.close();
  }
}

interface Running {
  model: LoadedModel;
  heads: readonly LocatedHeads[];
  paths: RunPaths;
  context: PipelineContext;
}

async function runInParts(running: Running, fresh: boolean | undefined): Promise<RunResult> {
  const { model, heads, paths, context } = running;
  const text = readCalibrationText(undefined);
  const tokenizer = await openTokenizer(model.path);
  const task = { command: "run", ...loadedTask({ model, heads, tokenizer, text }, context) } as const;
  const parts = new FinishedParts(paths.plan, task, context, { fresh });
  const result = await parts.through(context, () => runStages(running, text, parts));
  parts.discard();
  return result;
}

async function runStages(running: Running, text: CalibrationText, parts: FinishedParts): Promise<RunResult> {
  const { model, heads, paths, context } = running;
  const { progress } = context;
  const measured = await parts.take("profile", () => profileStage(running));
  const profile = draftersRelativeTo(measured, paths.profile);
  const profileSha = writeDocument(paths.profile, profile);

  const calibrated = await calibrateAndMeasure(running, text, profile, parts);
  const calibration = draftersRelativeTo(calibrated, paths.calibration);
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
  const verified = await verifyLoaded(running, solved, parts);
  const result: Partial<RunResult> = { profile, calibration };
  solved.forEach(({ plan, verification, document }, i) => {
    writeDocument(paths[verification] as string, verified[i]);
    result[plan] = document;
    result[verification] = verified[i];
  });
  await progress.tick({ stage: "done" });
  return result as RunResult;
}

async function profileStage({ model, heads, context }: Running): Promise<Profile> {
  const { engine, spec, ref } = model;
  const longest = Math.min(LONGEST_CONTEXT, engine.capacity - ROOM);
  const axis = { kind: "range", from: Math.min(SHORTEST_CONTEXT, longest), to: longest } as const;
  const grid = resolveGrid(axis, parseAxis("--query", DEFAULT_QUERY), engine.capacity);
  const budgetSeconds = isSmall(spec) ? PROFILE_SECONDS.small : PROFILE_SECONDS.large;
  const text = await routedText(model.path, [spec]);
  return makeProfile(engine, ref, grid, context, { budgetSeconds, heads, text });
}

/** Losses, then the candidates of both knapsacks: one document, from which both plans can be derived again. */
function calibrateAndMeasure(
  { model: loaded, heads: located, context }: Running,
  text: CalibrationText,
  profile: Profile,
  parts: FinishedParts,
): Promise<Calibration> {
  return parts.take("calibration", async () => {
    const room = Math.min(MOST_PROMPT_BYTES, freemem() / 4);
    const model = { ...loaded, engine: rememberingPrompts(loaded.engine, room) };
    const startUs = systemClock.nowUs();
    let measuredOn: MeasuringText | undefined;
    const losses = await parts.take("losses", async () => {
      const heads = new HeadsEvidence(located);
      const made = await calibrateLoaded(model, text, defaultContexts(model.spec), context, { heads, widely: {} });
      const { texts, prompts, isWide } = made;
      if (!isWide) await reportHeads(model, prompts, { heads }, context);
      measuredOn = measuringText(texts, prompts, SAMPLE.continuationTokens);
      return { ...made.calibration, ...heads.keys() };
    });
    measuredOn ??= await continueAgain(model, losses, text, context.progress);
    const measuring = {
      ...{ model, profile, precision: precisionFor(model.spec, startUs), progress: context.progress },
      variants: [SKIP, everythingFor(model)],
      text: measuredOn,
    };
    return measureCandidates(measuring, losses);
  });
}

/** that keys and values of calibration's prompts may take: the embedded model's take some 500 MB */
const MOST_PROMPT_BYTES = 2 ** 30;

type SolvedVariant = Variant & { document: Plan; path: string; sha256: string };

/**
 * All plans and plain decoding by turns. Plans that do the same are run once: the best plan of all is often the best of one
 * kind of drafter.
 */
async function verifyLoaded(
  { model, heads, paths, context }: Running,
  solved: readonly SolvedVariant[],
  parts: FinishedParts,
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
      journal: verifiedPrompts(
        parts,
        prompts,
        distinct.map(({ document }) => document),
      ),
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
