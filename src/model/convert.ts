/** Checkpoint -> ONNX model with choices, once: what is written, and under which key of the cache (entry.ts). */
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { makeFolder } from "../core/folders.js";
import { type Progress, silentProgress } from "../core/progress.js";
import { DEFAULT_KERNELS, type Kernel } from "../schema/choice.js";
import { numericsName } from "../schema/numerics.js";
import { cacheFolder, partialFolder } from "./cache.js";
import { type Conversion, type ConvertedModel, cachedEntry, entryInto } from "./entry.js";
import { hasOwnCodes } from "./formats/own-codes.js";
import { buildGraph } from "./graph/build.js";
import { CPU_DIALECT, type GraphDialect } from "./graph/dialect.js";
import { weightParts } from "./graph/weights.js";
import type { WeightPart } from "./kernels/kernel.js";
import { draftKernel } from "./kernels/registry.js";
import type { Fit, Learned } from "./moments-file.js";
import type { Checkpoint, WeightSource } from "./spec.js";

export type { ConvertedModel } from "./entry.js";

/** Raise it whenever the graph or the weight layout changes: older entries are then not read. */
const LAYOUT = 6;

/**
 * Each set of kernels is an entry of its own, by what they compute with, and each dialect. The CPU's is not named: its keys
 * are older than the others.
 */
function cacheKey(
  checkpoint: Checkpoint,
  kernels: readonly Kernel[],
  dialect: GraphDialect,
  fit: Fit | undefined,
): string {
  const { float, activations, product, opset, hostInputs, trees, spans, folds } = dialect;
  const graph = { float, activations, product, opset, hostInputs, trees, spans, folds };
  const isCpu = (Object.keys(graph) as (keyof typeof graph)[]).every((key) => graph[key] === CPU_DIALECT[key]);
  const key = [
    LAYOUT,
    kernels.map((kernel) => ({
      numerics: numericsName(kernel, dialect),
      bits: kernel === "target" ? null : draftKernel(kernel).bits,
    })),
    checkpoint.weightsSha256,
    checkpoint.architectureSha256,
    ...(isCpu ? [] : [JSON.stringify(graph)]),
    // models of such types were quantised anew by earlier builds
    ...(Object.keys(checkpoint.storedTypes).some(hasOwnCodes) ? ["codes taken over"] : []),
    ...(checkpoint.quantisation === undefined ? [] : [checkpoint.quantisation]),
    ...(fit === undefined ? [] : [fit.sha256]),
  ];
  return createHash("sha256").update(JSON.stringify(key)).digest("hex").slice(0, 40);
}

/**
 * The converted form of a checkpoint, made now if the cache does not hold it.
 * @param kernels what it can run, in the order of KERNELS
 * @param dialect what the provider that is to run it wants (runtime/providers.ts)
 * @param fit     where the dialect's scales are fitted or a kernel is simulated: measured if there is something to convert
 * @throws FILE_UNWRITABLE where the cache folder cannot be written; what the checkpoint throws
 */
export async function convertModel(
  checkpoint: Checkpoint,
  progress: Progress = silentProgress,
  kernels: readonly Kernel[] = DEFAULT_KERNELS,
  dialect: GraphDialect = CPU_DIALECT,
  fit?: Fit,
): Promise<ConvertedModel> {
  await progress.tick(); // from here on there may be something to clean up, so signals are listened for
  const key = cacheKey(checkpoint, kernels, dialect, fit);
  if (fit === undefined) return cachedEntry(key, async () => conversion(checkpoint, kernels, dialect, progress));
  const folder = partialFolder(cacheFolder());
  let made = false;
  const make = async () => {
    makeFolder(folder);
    made = true;
    return conversion(checkpoint, kernels, dialect, progress, await fit.measure(folder));
  };
  try {
    return await cachedEntry(key, make);
  } finally {
    if (made) rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Writes a converted model into a folder of the caller's, which is made if need be, and who removes it.
 * @throws FILE_UNWRITABLE; what the weights throw
 */
export const convertInto = (
  folder: string,
  weights: WeightSource,
  progress: Progress = silentProgress,
  kernels: readonly Kernel[] = DEFAULT_KERNELS,
  dialect: GraphDialect = CPU_DIALECT,
): Promise<ConvertedModel> => entryInto(folder, conversion(weights, kernels, dialect, progress));

function conversion(
  checkpoint: WeightSource,
  kernels: readonly Kernel[],
  dialect: GraphDialect,
  progress: Progress,
  learned?: Learned,
): Conversion {
  return {
    parts: () => weightParts(checkpoint, kernels, dialect, learned),
    // what is learned of a whole matrix is not stored some rows at a time
    origin: learned?.levels === undefined ? checkpoint.origin : undefined,
    written: ticking("convert", checkpoint, progress),
    graph: (weights) => buildGraph(checkpoint.spec, kernels, weights, dialect),
    version: String(LAYOUT),
    opset: dialect.opset,
    label: {
      model: checkpoint.spec.name,
      kernels: `${kernels.map((kernel) => (kernel === "target" ? dialect.targetPrecision : kernel)).join(" ")}${learned?.moments === undefined ? "" : " fitted"}`,
    },
  };
}

/** Told of the weights that were written: the norms of a layer's MLP say how far it is. */
export const ticking =
  (stage: string, { spec: { layers } }: WeightSource, progress: Progress) =>
  async ({ name }: WeightPart) => {
    const layer = /^(\d+)\.mlp\.(?:post_)?norm$/.exec(name);
    await progress.tick(layer === null ? {} : { stage, done: 2 * Number(layer[1]), total: 2 * layers });
  };
