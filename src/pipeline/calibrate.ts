/** A calibration of a model, on text that the target itself would write. */

import { TextEvidence } from "../calibrate/along-text.js";
import {
  type CalibrationResult,
  type ContextPrompts,
  calibrate,
  ROUND_TOKENS,
  samplingAt,
} from "../calibrate/calibrate.js";
import { ContinuedPrompts } from "../calibrate/continuation.js";
import { HeadsEvidence } from "../calibrate/heads-evidence.js";
import { DraftEvidence, measureDrafts } from "../calibrate/whole-drafts.js";
import { DraftplanError } from "../core/errors.js";
import type { Progress } from "../core/progress.js";
import { parseAxis } from "../profile/grid.js";
import { systemClock } from "../runtime/device.js";
import type { Engine } from "../runtime/engine.js";
import { DEFAULT_CAPACITY, type LoadedModel, loadPrepared } from "../runtime/load.js";
import type { Calibration } from "../schema/calibration.js";
import {
  everywhere,
  type Kernel,
  kernelOf,
  quantisedKernels,
  type ShortKernel,
  type SpannedKernel,
} from "../schema/choice.js";
import { refuseSpans } from "../schema/draft-cache.js";
import { openTokenizer } from "../tokenizer/open.js";
import { draftModelKernels, usualShortHeads, usualSpans } from "./choices.js";
import type { PipelineContext } from "./context.js";
import { lookAtDraftModels, requireFitsTarget, withDraftModels } from "./drafting/draft-models.js";
import { type AskedDrafters, withHeads } from "./drafting/measured.js";
import { canMeasureWidely, measureHeadsWidely } from "./measuring/heads-text.js";
import { choosing, TARGET_ERROR } from "./measuring/measuring.js";
import { measureStandaloneDrafts, standaloneDrafts } from "./measuring/standalone-drafts.js";
import { secondEngine } from "./standalone.js";
import { type CalibrationText, contextPrompts, defaultContexts, SAMPLE, textCodec } from "./text/calibration-text.js";
import { fitText } from "./text/fit-text.js";
import { openRanked } from "./text/ranking.js";

export interface CalibrationOptions {
  /** of sampling; undefined: greedy */
  temperature?: number;
  /** prompts of each part of the text, at each context */
  promptsPerContext?: number;
  /** takes what trained heads know of the text; absent: there are none */
  heads?: HeadsEvidence;
  /** takes what a lookup and other models guess of the text; absent: there are none */
  along?: TextEvidence;
  /** of attention, measured beside the engine's kernels; absent: none */
  spans?: readonly SpannedKernel[];
  /** heads are measured along many prompts before anything else, where that can be had; `untilUs` by the system clock */
  widely?: { untilUs?: number };
}

export interface CalibrationRequest extends Omit<CalibrationOptions, "heads" | "along" | "spans" | "widely"> {
  text: CalibrationText;
  /** kernels to measure, the target's first */
  kernels: readonly Kernel[];
  /** of attention; undefined: what is usual at these contexts */
  spans?: readonly SpannedKernel[] | undefined;
  /** undefined: what is usual for this vocabulary */
  shortHeads?: readonly ShortKernel[] | undefined;
  /** `200,1000`; undefined: what the model's size allows */
  context?: string;
  /** for all measuring: losses are measured whatever it is, whole drafts until it ends */
  budgetSeconds?: number;
  /** whole drafts with a cache of their own are measured too */
  standalone?: boolean | undefined;
  /** whose acceptance is measured beside the losses of single choices */
  drafters: AskedDrafters;
}

/** Without `--budget`. A small model's drafts are known well enough long before. */
const DEFAULT_BUDGET_SECONDS = 120;

/**
 * @param path a model's folder or file, or `embedded`
 * @returns the document, and how well its whole drafts are known
 * @throws OPTION_INVALID, CONTEXT_LIMIT, TEXT_TOO_SHORT, what loading a model throws
 */
export async function calibrateModel(
  path: string,
  {
    text,
    kernels,
    spans: wanted,
    shortHeads: shorts,
    context: asked,
    budgetSeconds = DEFAULT_BUDGET_SECONDS,
    drafters,
    standalone = false,
    ...options
  }: CalibrationRequest,
  context: PipelineContext,
): Promise<{ calibration: Calibration; sureness: Sureness[] }> {
  if (standalone) refuseSpans(wanted ?? [], "--choices");
  if (drafters.models.length > 0 && options.temperature !== undefined) throw sampledModels();
  const found = await lookAtDraftModels(drafters.models, path);
  const loading = { ...context, kernels, fitTo: fitText(path, context) };
  const { model } = await loadPrepared(path, loading, context.progress, ({ spec }) => {
    for (const file of found) requireFitsTarget(file, spec);
    return { capacity: DEFAULT_CAPACITY };
  });
  try {
    const contexts = calibrationContexts(asked, model);
    const asking = shorts ?? (standalone ? [] : usualShortHeads(model, context));
    const ranking = await openRanked(model, asking, text, context);
    const spans = standalone ? [] : (wanted ?? usualSpans(Math.max(...contexts), model.engine, context));
    return await withHeads(drafters.heads, model, context, async (located) => {
      const startUs = systemClock.nowUs();
      const heads = new HeadsEvidence(located);
      const asked = { files: found, kernels: draftModelKernels(kernels, context), capacity: model.engine.capacity };
      return await withDraftModels(asked, context, async (models) => {
        const along = new TextEvidence({ lookup: drafters.lookup, models });
        const untilUs = startUs + 1e6 * budgetSeconds;
        const measuring = { ...options, heads, along, spans, widely: { untilUs } };
        const made = await calibrateLoaded(model, text, contexts, context, measuring);
        const { calibration, prompts } = made;
        const nowUs = systemClock.nowUs();
        const { progress } = context;
        const limits = { untilUs: standalone ? nowUs + (untilUs - nowUs) / 3 : untilUs, self: drafters.self, progress };
        const { measured, sureness, texts } = await measureUniform(model, prompts, measuring, limits);
        if (standalone) {
          const both = { choose: made.texts, report: texts };
          measured.push(...(await measureOwn(model, calibration, prompts, both, options, { untilUs, progress })));
        }
        return { calibration: { ...calibration, ...ranking, measured, ...heads.keys(), ...along.keys() }, sureness };
      });
    });
  } finally {
    model.close();
  }
}

/** Contexts that were asked for exactly, or the model's default ones. @throws OPTION_INVALID, CONTEXT_LIMIT */
function calibrationContexts(option: string | undefined, model: LoadedModel): number[] {
  if (option === undefined) return defaultContexts(model.spec);
  const axis = parseAxis("--context", option);
  const contexts = axis.kind === "list" ? axis.values : [...new Set([axis.from, axis.to])];
  const room = model.engine.capacity - SAMPLE.continuationTokens - 1;
  const beyond = contexts.find((context) => context > room);
  if (beyond === undefined) return contexts;
  throw new DraftplanError({
    code: "CONTEXT_LIMIT",
    at: `--context ${option}`,
    what: `${beyond} tokens and a continuation do not fit; ${model.spec.name} has room for ${room}`,
    remedy: `Use contexts up to ${room}.`,
  });
}

/**
 * The stage on a loaded model; `run` uses it too. What the target writes while heads are measured widely is what losses are
 * measured on: none of it is written, or looked at by heads, a second time.
 * @returns `isWide`: heads were measured so, on both parts of the text
 */
export async function calibrateLoaded(
  model: LoadedModel,
  text: CalibrationText,
  contexts: readonly number[],
  context: PipelineContext,
  { temperature, promptsPerContext, heads, along, spans, widely }: CalibrationOptions = {},
): Promise<CalibrationResult & { prompts: ReturnType<typeof contextPrompts>; isWide: boolean }> {
  const tokenizer = await openTokenizer(model.path);
  const codec = textCodec(tokenizer);
  const prompts = contextPrompts(text, codec, contexts, promptsPerContext);
  const written =
    widely !== undefined && heads !== undefined && canMeasureWidely(model, heads, temperature, context)
      ? await measureHeadsWidely(model, prompts, heads, context, widely)
      : undefined;
  const result = await calibrate({
    engine: model.engine,
    clock: systemClock,
    model: model.ref,
    text: { source: text.source, sha256: text.sha256, tokenizer_sha256: tokenizer.sha256 },
    prompts,
    continuationTokens: SAMPLE.continuationTokens,
    ...(promptsPerContext === undefined
      ? { positions: SAMPLE.positions(model.spec), kinds: text.choose.length }
      : { promptsPerContext }),
    ...(temperature === undefined ? {} : { temperature }),
    ...{ heads, along, spans, written, progress: context.progress },
  });
  return { ...result, prompts, isWide: written !== undefined };
}

/** Trained heads along the text kept back, as many positions as losses have; without heads nothing is done. */
export async function reportHeads(
  { engine, spec }: Pick<LoadedModel, "engine" | "spec">,
  prompts: readonly ContextPrompts[],
  { temperature, heads }: Pick<CalibrationOptions, "temperature" | "heads">,
  { progress }: Pick<PipelineContext, "progress">,
): Promise<void> {
  for (const at of prompts) {
    const text = reportText(engine, at, temperature);
    await heads?.complete(engine, at.atContext, "report", text, SAMPLE.positions(spec), progress);
  }
}

/** How well a whole draft's acceptance is known at a context. */
export interface Sureness {
  contextTokens: number;
  kernel: Kernel | SpannedKernel | ShortKernel;
  /** standard error of the tokens of a round, as a share of them; null: too few prompts to say */
  error: number | null;
  positions: number;
}

/** The prompts of the text kept back, continued one after the other. */
const reportText = (engine: Engine, { report, kinds }: ContextPrompts, temperature: number | undefined) =>
  new ContinuedPrompts(engine, systemClock, report, SAMPLE.continuationTokens, samplingAt(temperature), kinds?.report);

/** Drafted tokens of the rounds whose error is looked at, while no profile says how long a draft should be. */
const USUAL_LENGTH = 4;

/**
 * The whole drafts that need no profile to be thought of, everything in one kernel, on the text kept back: prompt after prompt,
 * until the tokens of their rounds are known well enough or the time is up. Trained heads go along the same prompts.
 */
async function measureUniform(
  model: LoadedModel,
  prompts: readonly ContextPrompts[],
  { temperature, promptsPerContext, heads, along, spans = [] }: CalibrationOptions,
  { untilUs, self, progress }: { untilUs: number; self: boolean; progress: Progress },
): Promise<{ measured: Calibration["measured"]; sureness: Sureness[]; texts: Map<number, ContinuedPrompts> }> {
  const { engine, spec } = model;
  // of the target's own blocks a short head alone is no draft that anyone would choose
  const shorts = (engine.shortHeads ?? []).filter((short) => kernelOf(short) !== "target");
  const kernels = self ? [...quantisedKernels(engine.kernels), ...spans, ...shorts] : [];
  const sets = kernels.map((kernel) => everywhere(spec.layers, kernel));
  const measured: Calibration["measured"] = [];
  const sureness: Sureness[] = [];
  const texts = new Map<number, ContinuedPrompts>();
  const positions = promptsPerContext === undefined ? SAMPLE.positions(spec) : Number.POSITIVE_INFINITY;
  for (const [i, at] of prompts.entries()) {
    const { atContext } = at;
    const text = reportText(engine, at, temperature);
    texts.set(atContext, text);
    const found = sets.map(() => new DraftEvidence());
    const error = () => Math.max(0, ...found.map((evidence) => evidence.error(USUAL_LENGTH) ?? 1));
    // contexts share the time that is left
    const nowUs = systemClock.nowUs();
    const until = nowUs + (untilUs - nowUs) / (prompts.length - i);
    while (text.positions < positions || (error() > TARGET_ERROR && systemClock.nowUs() < until)) {
      const made = await text.next(progress);
      if (made === null) break;
      await heads?.take(engine, atContext, "report", made, progress);
      await along?.take(atContext, "report", made, progress);
      const more = await measureDrafts(engine, [made], sets, ROUND_TOKENS, progress, true);
      found.forEach((evidence, k) => {
        evidence.take(more[k].evidence);
      });
    }
    await heads?.complete(engine, atContext, "report", text, SAMPLE.positions(spec), progress);
    found.forEach((evidence, k) => {
      if (evidence.positions.length === 0) return;
      measured.push({ ...choosing(atContext, sets[k], evidence.curve(ROUND_TOKENS)), part: "report" });
      const known = { error: evidence.error(USUAL_LENGTH), positions: evidence.positions.length };
      sureness.push({ contextTokens: atContext, kernel: kernels[k], ...known });
    });
  }
  return { measured, sureness, texts };
}

/** Whole drafts with a cache of their own, on the texts that there are and on more of them. */
async function measureOwn(
  model: LoadedModel,
  { contexts }: Calibration,
  prompts: readonly ContextPrompts[],
  texts: Parameters<typeof measureStandaloneDrafts>[3],
  { promptsPerContext }: CalibrationOptions,
  limits: { untilUs: number; progress: Progress },
): Promise<Calibration["measured"]> {
  const { engine, spec } = model;
  const own = secondEngine(model);
  const positions = promptsPerContext === undefined ? SAMPLE.positions(spec) : Number.POSITIVE_INFINITY;
  try {
    const sets = standaloneDrafts(contexts, spec.layers, engine.kernels);
    return await measureStandaloneDrafts(
      { engine, own, clock: systemClock, positions, ...limits },
      sets,
      prompts,
      texts,
    );
  } finally {
    own.close();
  }
}

const sampledModels = () =>
  new DraftplanError({
    code: "NOT_YET_SUPPORTED",
    at: "--temperature --drafters model:PATH",
    what: "how often a model's own draws are accepted is not measured along sampled text yet",
    remedy: "Leave --temperature out, or measure other drafters: --drafters self,lookup",
  });
