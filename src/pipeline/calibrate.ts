/** A calibration of a model, on text that the target itself would write. */
import { type CalibrationResult, calibrate } from "../calibrate/calibrate.js";
import { DraftplanError } from "../core/errors.js";
import { parseAxis } from "../profile/grid.js";
import { systemClock } from "../runtime/device.js";
import { type LoadedModel, loadModel } from "../runtime/load.js";
import type { Calibration } from "../schema/calibration.js";
import type { Kernel } from "../schema/choice.js";
import { openTokenizer } from "../tokenizer/open.js";
import type { PipelineContext } from "./context.js";
import { type CalibrationText, contextPrompts, defaultContexts, SAMPLE, textCodec } from "./text/calibration-text.js";

export interface CalibrationOptions {
  /** of sampling; undefined: greedy */
  temperature?: number;
  /** prompts of each part of the text, at each context */
  promptsPerContext?: number;
}

export interface CalibrationRequest extends CalibrationOptions {
  text: CalibrationText;
  /** kernels to measure, the target's first */
  kernels: readonly Kernel[];
  /** `200,1000`; undefined: what the model's size allows */
  context?: string;
}

/**
 * @param path a model's folder or file, or `embedded`
 * @throws OPTION_INVALID, CONTEXT_LIMIT, TEXT_TOO_SHORT, what loading a model throws
 */
export async function calibrateModel(
  path: string,
  { text, kernels, context: asked, ...options }: CalibrationRequest,
  context: PipelineContext,
): Promise<Calibration> {
  const model = await loadModel(path, { ...context, kernels }, context.progress);
  try {
    const contexts = calibrationContexts(asked, model);
    return (await calibrateLoaded(model, text, contexts, context, options)).calibration;
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

/** The stage on a loaded model; `run` uses it too. */
export async function calibrateLoaded(
  model: LoadedModel,
  text: CalibrationText,
  contexts: readonly number[],
  { progress }: Pick<PipelineContext, "progress">,
  { temperature, promptsPerContext }: CalibrationOptions = {},
): Promise<CalibrationResult & { prompts: ReturnType<typeof contextPrompts> }> {
  const tokenizer = await openTokenizer(model.path);
  const codec = textCodec(tokenizer);
  const prompts = contextPrompts(text, codec, contexts, promptsPerContext);
  const result = await calibrate({
    engine: model.engine,
    clock: systemClock,
    model: model.ref,
    text: { source: text.source, sha256: text.sha256, tokenizer_sha256: tokenizer.sha256 },
    prompts,
    continuationTokens: SAMPLE.continuationTokens,
    ...(promptsPerContext === undefined ? { positions: SAMPLE.positions(model.spec) } : { promptsPerContext }),
    ...(temperature === undefined ? {} : { temperature }),
    progress,
  });
  return { ...result, prompts };
}
