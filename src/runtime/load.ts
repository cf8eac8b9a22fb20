/** From a model's path to a running engine: open, convert (or find converted), load. */
import { blocking } from "../core/blocking.js";
import { type Progress, silentProgress } from "../core/progress.js";
import { convertModel } from "../model/convert.js";
import { dequantisedText, requantisedText } from "../model/formats/own-codes.js";
import { wrapperText } from "../model/formats/wrappers.js";
import type { GraphDialect } from "../model/graph/dialect.js";
import type { Fit } from "../model/moments-file.js";
import { openCheckpoint } from "../model/open.js";
import type { Checkpoint, ModelSpec } from "../model/spec.js";
import { kernelsFor } from "../schema/choice.js";
import type { ModelRef } from "../schema/common.js";
import { type Engine, loadedKernels, type RuntimeOptions } from "./engine.js";
import { learnLevels } from "./fit/levels.js";
import { measureMoments } from "./fit/moments.js";
import { requireMemory } from "./gpu/fits.js";
import { loadOrt } from "./ort-api.js";
import { dialectOf, openOrtEngine } from "./ort-engine.js";
import { requireMixtures } from "./pass/mixtures.js";
import { requireProducts } from "./pass/products.js";
import { chooseProvider, libraryFacts } from "./providers.js";

export interface LoadedModel {
  /** as the user gave it */
  path: string;
  spec: ModelSpec;
  ref: ModelRef & { weights_sha256: string };
  storedTypes: Checkpoint["storedTypes"];
  /** the converted model, as its graph is written for `dialect` */
  modelPath: string;
  dialect: GraphDialect;
  engine: Engine;
  close(): void;
}

/** A capacity for every model: its context limit, but no more than this many tokens unless asked for. */
export const DEFAULT_CAPACITY = 8192;

export const modelRef = (checkpoint: Checkpoint): ModelRef & { weights_sha256: string } => ({
  name: checkpoint.spec.name,
  layers: checkpoint.spec.layers,
  architecture_sha256: checkpoint.architectureSha256,
  weights_sha256: checkpoint.weightsSha256,
  ...(checkpoint.revision === undefined ? {} : { revision: checkpoint.revision }),
});

/** Where a model computes, with how much room and which kernels (default: defaultKernels). */
export type LoadOptions = Omit<RuntimeOptions, "capacity"> & { capacity?: number };

/** @throws what openCheckpoint, convertModel and openOrtEngine throw; nothing stays open then */
export async function loadModel(
  path: string,
  options: LoadOptions,
  progress: Progress = silentProgress,
): Promise<LoadedModel> {
  const capacity = options.capacity ?? DEFAULT_CAPACITY;
  return (await loadPrepared(path, options, progress, () => ({ capacity }))).model;
}

/** What has to be learned of the model before it is converted so; undefined: nothing. */
function fitOf(
  checkpoint: Checkpoint,
  { fitTo, learnFrom, threads, ortLibrary }: Pick<RuntimeOptions, "fitTo" | "learnFrom" | "threads" | "ortLibrary">,
  progress: Progress,
): Fit | undefined {
  const texts = [fitTo, learnFrom].flatMap((text) => text ?? []);
  if (texts.length === 0) return undefined;
  const options = { threads, ortLibrary, progress };
  return {
    sha256: texts.map(({ sha256 }) => sha256).join(" "),
    measure: async (folder) => ({
      ...(fitTo && { moments: await measureMoments(checkpoint, await fitTo.sequences(), folder, options) }),
      ...(learnFrom && { levels: await learnLevels(checkpoint, await learnFrom.sequences(), folder, options) }),
    }),
  };
}

/**
 * @param prepare sees the checkpoint before its weights are converted and loaded: checks that the model fits what was
 *   asked for, and says how many tokens the cache must hold (at most the model's context limit)
 * @throws what openCheckpoint, prepare, convertModel and openOrtEngine throw; nothing stays open then
 */
export async function loadPrepared<Prepared extends { capacity: number }>(
  path: string,
  options: Omit<RuntimeOptions, "capacity">,
  progress: Progress,
  prepare: (checkpoint: Checkpoint) => Prepared,
): Promise<{ model: LoadedModel; prepared: Prepared }> {
  const checkpoint = await openCheckpoint(path);
  try {
    const { spec, storedTypes, wrapper } = checkpoint;
    const prepared = prepare(checkpoint);
    const facts = libraryFacts(loadOrt(options.ortLibrary));
    const provider = chooseProvider(options.provider, facts); // refused before minutes of converting
    requireMixtures(path, spec, provider.name, options.learnFrom !== undefined);
    const dialect = dialectOf(options);
    const kernels = loadedKernels(options.kernels && kernelsFor(options.kernels), dialect.targetPrecision);
    requireProducts(provider, facts.version, kernels);
    const twice = requantisedText(storedTypes, dialect.targetPrecision);
    if (twice !== null)
      progress.warn(
        "REQUANTISED",
        `${path} has ${twice}, which the target in ${dialect.targetPrecision} has quantised once more: it is near the model in that file and not the same`,
      );
    const dequantised = twice === null ? dequantisedText(storedTypes) : null;
    if (dequantised !== null)
      progress.warn(
        "DEQUANTISED",
        `${path} has ${dequantised}, which the target in ${dialect.targetPrecision} is computed from as numbers; an engine that multiplies the codes themselves, or quantises activations too, rounds otherwise`,
      );
    if (wrapper !== undefined) progress.warn("TEXT_ONLY", `${path} is ${wrapperText(wrapper)}`);
    const capacity = Math.min(spec.contextLimit, prepared.capacity);
    requireMemory(path, { spec, kernels, numerics: dialect, capacity }, options.provider);
    const fit = fitOf(checkpoint, options, progress);
    const { modelPath } = await convertModel(checkpoint, progress, kernels, dialect, fit);
    // A native call of seconds for a large model, in which no handler of signals runs; one that came before is heard here.
    // The converted model is in its place by now, and whatever else is written is written whole: a signal may end the process.
    await progress.tick();
    const engine = blocking(() =>
      openOrtEngine(modelPath, spec, {
        ...{ warn: (code: string, message: string) => progress.warn(code, message) },
        ...{ ...options, capacity, kernels, dialect },
      }),
    );
    const converted = { modelPath, dialect };
    const model: LoadedModel = {
      path,
      spec,
      ref: modelRef(checkpoint),
      storedTypes,
      ...converted,
      engine,
      close: () => model.engine.close(),
    };
    return { model, prepared };
  } finally {
    checkpoint.close();
  }
}
