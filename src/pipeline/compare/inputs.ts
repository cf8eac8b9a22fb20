/** The profile and the calibration that methods are compared on: given, or made on the way. */

import { TextEvidence } from "../../calibrate/along-text.js";
import { HeadsEvidence } from "../../calibrate/heads-evidence.js";
import { DraftplanError } from "../../core/errors.js";
import type { LocatedHeads } from "../../decode/drafters/heads.js";
import { requireSameModel } from "../../decode/policy.js";
import type { Checkpoint, ModelSpec } from "../../model/spec.js";
import { DEFAULT_QUERY, parseAxis, resolveGrid } from "../../profile/grid.js";
import type { LoadedModel } from "../../runtime/load.js";
import type { Calibration } from "../../schema/calibration.js";
import { isSpanned, shortHeads } from "../../schema/choice.js";
import type { Extrapolated } from "../../schema/common.js";
import type { Profile } from "../../schema/profile.js";
import { extendProfile, extrapolatedRange } from "../../solve/index.js";
import { calibrateLoaded } from "../calibrate.js";
import { draftModelKernels } from "../choices.js";
import type { PipelineContext } from "../context.js";
import { type DraftModelFile, withDraftModels } from "../drafting/draft-models.js";
import type { MeasuringText } from "../measuring/measuring.js";
import { profileDraftModels } from "../profile/draft-models.js";
import { makeProfile } from "../profile/make.js";
import { routedText } from "../profile/routed-text.js";
import { defaultContexts, isSmall, SAMPLE } from "../text/calibration-text.js";
import { continueAgain, measuringText } from "../text/measuring-text.js";
import { openRanked, openShortHeads } from "../text/ranking.js";
import { seenFromHere } from "./heads.js";
import type { CompareRequest } from "./options.js";

export interface CompareInputs {
  /** drawn on to the longest context, where that lies beyond it */
  profile: Profile;
  /** what was drawn on; undefined: nothing */
  extrapolated: Extrapolated | undefined;
  calibration: Calibration;
  text: MeasuringText;
}

/** What the sweep may take: a small model's passes are quick. */
const PROFILE_SECONDS = { small: 8, large: 45 };
const SHORTEST_CONTEXT = 64;
/** tokens of the longest pass that a profile times behind a full context */
const LONGEST_PASS = 17;
/** tokens that a prompt may be longer than its context: text cut into tokens again can be */
const SLACK = 16;

/** Contexts to compare at: those asked for, or the calibration's, or what the model's size allows. */
export const comparedContexts = ({ contexts, calibration }: CompareRequest, spec: ModelSpec): number[] => [
  ...(contexts ?? calibration?.document.contexts.map(({ at_context }) => at_context) ?? defaultContexts(spec)),
];

/** Tokens that the cache must hold for all that is measured at these contexts. */
export const roomFor = (contexts: readonly number[], maxTokens: number): number =>
  Math.max(...contexts) + Math.max(maxTokens, SAMPLE.continuationTokens + 1) + SLACK + LONGEST_PASS;

/** What can be refused before weights are loaded. @throws DOCUMENT_MISMATCH, CONTEXT_LIMIT, CONTEXT_OUT_OF_RANGE */
export function requireFit(
  { profile, calibration, maxTokens, extrapolate }: CompareRequest,
  checkpoint: Checkpoint,
  contexts: readonly number[],
): void {
  for (const given of [profile, calibration])
    if (given !== null) requireSameModel(given.document, checkpoint, given.path);
  const { spec } = checkpoint;
  const longest = Math.max(...contexts);
  const needed = roomFor(contexts, maxTokens);
  if (needed > spec.contextLimit) {
    throw new DraftplanError({
      code: "CONTEXT_LIMIT",
      at: `context ${longest}`,
      what: `with what is measured behind it, it needs ${needed} tokens; ${spec.name} has room for ${spec.contextLimit}`,
      remedy: `Use contexts up to ${spec.contextLimit - (needed - longest)}: --context`,
    });
  }
  const last = profile?.document.grid.context_tokens.at(-1);
  if (!extrapolate && profile !== null && last !== undefined && longest + maxTokens > last) {
    throw new DraftplanError({
      code: "CONTEXT_OUT_OF_RANGE",
      at: `${profile.path}: grid.context_tokens`,
      what: `prompts of ${longest} tokens with ${maxTokens} new ones go past ${last}, the last that was profiled`,
      remedy: `Profile further, draftplan profile MODEL --context ${SHORTEST_CONTEXT}..${longest + maxTokens}, give shorter contexts with --context, or allow costs to be drawn on: --extrapolate.`,
    });
  }
}

/** A part of a command's work, as an interrupted run finished it or made now: plain data. */
export type TakePart = <Value>(part: string, make: () => Promise<Value>) => Promise<Value>;

/**
 * @param heads trained heads that are measured too, where documents are made
 * @param files other models, likewise
 * @returns inputs as given, or made now for these contexts; folders of heads in them as they are found from here
 */
export async function openInputs(
  model: LoadedModel,
  request: CompareRequest,
  contexts: readonly number[],
  context: PipelineContext,
  take: TakePart,
  heads: readonly LocatedHeads[] = [],
  files: readonly DraftModelFile[] = [],
): Promise<CompareInputs> {
  const shorts = shortHeads(request.choices);
  const known = request.calibration?.document.ranking;
  const ranking = known === undefined ? await openRanked(model, shorts, request.text, context) : {};
  if (known !== undefined) await openShortHeads(model, shorts, () => known, context);
  const given =
    request.profile === null
      ? await take("profile", () => profileFor(model, request, contexts, context, { heads, files }))
      : seenFromHere(request.profile.document, request.profile.path);
  const reached = Math.max(...contexts) + request.maxTokens;
  const extrapolated = request.extrapolate ? extrapolatedRange(given, reached) : undefined;
  const profile = extendProfile(given, extrapolated?.to_context_tokens);
  if (request.calibration !== null) {
    const { method, ...own } = seenFromHere(request.calibration.document, request.calibration.path);
    // what another method had measured is not what these methods begin with
    const calibration = method === undefined ? own : { ...own, measured: [] };
    const text = await continueAgain(model, calibration, request.text, context.progress);
    return { profile, extrapolated, calibration, text };
  }
  let measuredOn: MeasuringText | undefined;
  const calibration = await take("losses", async () => {
    const evidence = new HeadsEvidence(heads);
    const asked = { files, kernels: draftModelKernels(model.engine.kernels, context), capacity: model.engine.capacity };
    const { made, along } = await withDraftModels(asked, context, async (models) => {
      const along = new TextEvidence({ lookup: request.looksUp, models });
      const made = await calibrateLoaded(model, request.text, contexts, context, {
        heads: evidence,
        along,
        spans: request.choices.filter(isSpanned),
      });
      return { made, along };
    });
    measuredOn = measuringText(made.texts, made.prompts, SAMPLE.continuationTokens);
    return { ...made.calibration, ...ranking, ...evidence.keys(), ...along.keys() };
  });
  measuredOn ??= await continueAgain(model, calibration, request.text, context.progress);
  return { profile, extrapolated, calibration, text: measuredOn };
}

async function profileFor(
  model: LoadedModel,
  { maxTokens, choices, looksUp }: CompareRequest,
  contexts: readonly number[],
  context: PipelineContext,
  { heads, files }: { heads: readonly LocatedHeads[]; files: readonly DraftModelFile[] },
): Promise<Profile> {
  const from = Math.min(SHORTEST_CONTEXT, ...contexts);
  const axis = { kind: "range", from, to: Math.max(...contexts) + maxTokens + SLACK } as const;
  const grid = resolveGrid(axis, parseAxis("--query", DEFAULT_QUERY), model.engine.capacity);
  const budgetSeconds = isSmall(model.spec) ? PROFILE_SECONDS.small : PROFILE_SECONDS.large;
  const text = await routedText(model.path, [model.spec, ...files.map(({ checkpoint }) => checkpoint.spec)]);
  const profile = await makeProfile(model.engine, model.ref, grid, context, {
    budgetSeconds,
    heads,
    trees: looksUp,
    spans: choices.filter(isSpanned),
    text: model.spec.experts && text,
  });
  const kernels = draftModelKernels(model.engine.kernels, context);
  return {
    ...profile,
    ...(await profileDraftModels(model, files, { contexts: grid.contexts, kernels, text }, context)),
  };
}
