/** A model loaded for one use: what can be refused is refused before its weights are, and it is closed whatever happens. */
import type { Checkpoint } from "../model/spec.js";
import type { FitText } from "../runtime/engine.js";
import { type LoadedModel, loadPrepared } from "../runtime/load.js";
import type { ShortHeadsRequest } from "../runtime/short-heads/open.js";
import type { Kernel } from "../schema/choice.js";
import type { PipelineContext } from "./context.js";
import { fitText } from "./text/fit-text.js";
import { openShortHeads } from "./text/ranking.js";

/**
 * @param context with the kernels to load (default: DEFAULT_KERNELS); only they take disk, memory and time
 * @param prepare see loadPrepared
 */
export async function withModel<Prepared extends { capacity: number }, Result>(
  path: string,
  context: PipelineContext & {
    kernels?: readonly Kernel[] | undefined;
    learnFrom?: FitText | undefined;
    /** short heads to open besides, and what they are over; default: none */
    shortHeads?: ShortHeadsRequest | undefined;
  },
  prepare: (checkpoint: Checkpoint) => Prepared,
  use: (model: LoadedModel, prepared: Prepared) => Promise<Result>,
): Promise<Result> {
  const { provider, threads, ortLibrary, targetPrecision, progress, kernels, learnFrom } = context;
  const fitTo = fitText(path, context);
  const options = { provider, threads, ortLibrary, targetPrecision, kernels, fitTo, learnFrom };
  const { model, prepared } = await loadPrepared(path, options, progress, prepare);
  try {
    const { shortHeads } = context;
    if (shortHeads !== undefined) await openShortHeads(model, shortHeads.heads, () => shortHeads.ranking, context);
    return await use(model, prepared);
  } finally {
    model.close();
  }
}
