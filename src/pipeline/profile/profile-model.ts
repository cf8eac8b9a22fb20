/** A model's profile, from its path: with its own weights, or made up from a config.json. */
import { DraftplanError } from "../../core/errors.js";
import { counted } from "../../core/text.js";
import type { LocatedHeads } from "../../decode/drafters/heads.js";
import type { ModelSpec } from "../../model/spec.js";
import type { Grid } from "../../profile/grid.js";
import { DEFAULTS } from "../../profile/profile.js";
import type { Engine } from "../../runtime/engine.js";
import type { Kernel, ShortKernel, SpannedKernel } from "../../schema/choice.js";
import { type ModelRef, numericsOf } from "../../schema/common.js";
import type { Profile } from "../../schema/profile.js";
import { draftModelKernels, usualShortHeads, usualSpans } from "../choices.js";
import type { PipelineContext } from "../context.js";
import { deviceOf } from "../device.js";
import { lookAtDraftModels, requireFitsTarget } from "../drafting/draft-models.js";
import { parseMeasuredDrafters, withHeads } from "../drafting/measured.js";
import { anyRanking, openShortHeads } from "../text/ranking.js";
import { withModel } from "../with-model.js";
import { profileDraftModels } from "./draft-models.js";
import { type GridOptions, makeProfile, profileCapacity, profileGrid } from "./make.js";
import { routedText } from "./routed-text.js";
import { FileSamples, type KeptRounds, UnkeptRounds } from "./samples.js";
import { isConfig, machineRoom, profileSynthetic } from "./synthetic.js";

export interface ProfileRequest extends GridOptions {
  /** kernels to measure, the target's first */
  kernels: readonly Kernel[];
  /** of attention, to be measured beside the kernels; undefined: what is usual at these contexts */
  spans?: readonly SpannedKernel[] | undefined;
  /** to be measured beside the kernels; undefined: what is usual for this vocabulary */
  shortHeads?: readonly ShortKernel[] | undefined;
  /** time for all measuring */
  budgetSeconds?: number | undefined;
  /** wanted relative standard error of the target's median */
  precisionPercent?: number | undefined;
  /** file of the raw samples, gone on from where it exists */
  samples?: string | undefined;
  /** that a model made up from a config.json may take; undefined: what is free */
  memoryGib?: number | undefined;
  /** `self,heads:FOLDER`; undefined: itself, and the heads that travel with the model */
  drafters?: readonly string[] | undefined;
}

export interface MadeProfile {
  profile: Profile;
  /** what stopped the sweep early, with enough measured for a profile; null: nothing did */
  interruption: { reason: unknown } | null;
}

/** Bounds the fit, where time or precision bounds the sweep. */
const MANY_ROUNDS = 200;

/**
 * @param model a model's folder or file, `embedded`, or a config.json
 * @throws USAGE, OPTION_INVALID, CONTEXT_LIMIT, DOCUMENT_MISMATCH for samples of another sweep, OUT_OF_MEMORY, …
 */
export async function profileModelAt(
  model: string,
  request: ProfileRequest,
  context: PipelineContext,
): Promise<MadeProfile> {
  let interruption: MadeProfile["interruption"] = null;
  let recorder: KeptRounds = new UnkeptRounds();
  const trees = request.drafters?.includes("lookup") === true;
  const measure: Measure = (engine, ref, grid, heads, text) => {
    const spans = request.spans ?? usualSpans(Math.max(...grid.contexts), engine, context);
    if (request.samples !== undefined)
      recorder = openSamples(request.samples, { engine, ref, grid, heads, trees, spans }, context);
    return makeProfile(engine, ref, grid, context, {
      ...stopOptions(request),
      recorder,
      heads,
      trees,
      spans,
      text,
      onInterrupted: (reason) => {
        interruption = { reason };
      },
    });
  };
  try {
    const profile = await (isConfig(model) ? profileConfig : profileWeights)(model, request, context, measure);
    return { profile, interruption };
  } catch (error) {
    const kept = recorder.keptText(error);
    if (kept !== null) context.note(kept);
    throw error;
  }
}

type Measure = (
  engine: Engine,
  ref: ModelRef,
  grid: Grid,
  heads: LocatedHeads[],
  /** ids that mixtures of experts are timed on */
  text?: readonly number[],
) => Promise<Profile>;

/** Where a time or a precision is asked for, it decides, and not the number of rounds that does by default. */
function stopOptions({ budgetSeconds, precisionPercent }: ProfileRequest) {
  return {
    ...(budgetSeconds === undefined ? {} : { budgetSeconds }),
    ...(precisionPercent === undefined ? {} : { precisionPercent }),
    ...(budgetSeconds === undefined && precisionPercent === undefined ? {} : { maxRounds: MANY_ROUNDS }),
  };
}

interface SampledSweep {
  engine: Engine;
  ref: ModelRef;
  grid: Grid;
  heads: LocatedHeads[];
  trees: boolean;
  spans: readonly SpannedKernel[];
}

function openSamples(
  path: string,
  { engine, ref: model, grid, heads, trees, spans }: SampledSweep,
  context: PipelineContext,
): FileSamples {
  const { note } = context;
  const samples = new FileSamples(path, {
    kind: "draftplan/samples",
    version: 1,
    model,
    device: deviceOf(context, engine),
    kernels: numericsOf(engine.kernels, engine.numerics),
    grid: { context_tokens: grid.contexts, query_tokens: grid.queries, query_line: grid.queryLine },
    seed: DEFAULTS.seed,
    ...(heads.length === 0 ? {} : { heads: heads.map((one) => one.heads.sha256) }),
    ...(trees ? { trees } : {}),
    ...(spans.length === 0 ? {} : { spans: [...spans] }),
    ...(engine.shortHeads === undefined ? {} : { short_heads: [...engine.shortHeads] }),
    ...(engine.runQueued === undefined ? {} : { queued: true as const }),
  });
  if (samples.kept.rounds > 0) note(`going on after the ${counted(samples.kept.rounds, "round")} in ${path}`);
  return samples;
}

function prepareGrid(request: ProfileRequest, { contextLimit }: ModelSpec) {
  const grid = profileGrid(request, contextLimit);
  return { ...grid, capacity: profileCapacity(grid) };
}

async function profileWeights(
  model: string,
  request: ProfileRequest,
  context: PipelineContext,
  measure: Measure,
): Promise<Profile> {
  if (request.memoryGib !== undefined) throw memoryWithWeights(model);
  const { heads, models } = parseMeasuredDrafters(request.drafters, model);
  const files = await lookAtDraftModels(models, model);
  return withModel(
    model,
    { ...context, kernels: request.kernels },
    ({ spec }) => {
      for (const file of files) requireFitsTarget(file, spec);
      return prepareGrid(request, spec);
    },
    async (loaded, grid) => {
      const shorts = request.shortHeads ?? usualShortHeads(loaded, context);
      await openShortHeads(loaded, shorts, anyRanking, context);
      const kernels = draftModelKernels(request.kernels, context);
      const text = await routedText(model, [loaded.spec, ...files.map(({ checkpoint }) => checkpoint.spec)]);
      const steps = await profileDraftModels(loaded, files, { contexts: grid.contexts, kernels, text }, context);
      const profile = await withHeads(heads, loaded, context, (opened) =>
        measure(loaded.engine, loaded.ref, grid, opened, loaded.spec.experts && text),
      );
      return { ...profile, ...steps };
    },
  );
}

function profileConfig(
  path: string,
  request: ProfileRequest,
  context: PipelineContext,
  measure: Measure,
): Promise<Profile> {
  // by default there are none: what lies beside a configuration is no part of weights that are made up
  const { drafters = ["self"] } = request;
  if (drafters.some((name) => name.startsWith("heads"))) throw headsWithoutWeights(path);
  parseMeasuredDrafters(drafters, path);
  const [short] = request.shortHeads ?? [];
  if (short !== undefined) throw shortWithoutWeights(path, short);
  return profileSynthetic(
    path,
    machineRoom(request.memoryGib, context.threads, context.provider),
    {
      prepare: (spec) => prepareGrid(request, spec),
      measure: (engine, ref, grid) => measure(engine, ref, grid, []),
    },
    { ...context, kernels: request.kernels },
  );
}

const memoryWithWeights = (model: string) =>
  new DraftplanError({
    code: "USAGE",
    at: "--memory",
    what: `it decides how much of a model is made up from a config.json, and ${model} has its own weights`,
    remedy: "Leave --memory out, or give the model's config.json.",
  });

const headsWithoutWeights = (config: string) =>
  new DraftplanError({
    code: "USAGE",
    at: "--drafters",
    what: `trained heads belong to a model's own weights, and those of ${config} are made up`,
    remedy: "Leave --drafters out, or give the model itself.",
  });

const shortWithoutWeights = (config: string, short: ShortKernel) =>
  new DraftplanError({
    code: "NOT_YET_SUPPORTED",
    at: `--choices ${short}`,
    what: `a short head is made of the rows of a model's own head, and those of ${config} are made up`,
    remedy: "Leave it out, or give the model itself.",
  });
