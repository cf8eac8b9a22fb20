/** Checkpoint -> ONNX model with choices, once: what is written, and under which key of the cache (entry.ts). */
import { createHash } from "node:crypto";
import { type Progress, silentProgress } from "../core/progress.js";
import { DEFAULT_KERNELS, type Kernel } from "../schema/choice.js";
import { numericsName } from "../schema/numerics.js";
import { type Conversion, type ConvertedModel, cachedEntry, entryInto } from "./entry.js";
import { hasOwnCodes } from "./formats/own-codes.js";
import { buildGraph } from "./graph/build.js";
import { CPU_DIALECT, type GraphDialect } from "./graph/dialect.js";
import { weightParts } from "./graph/weights.js";
import { draftKernel } from "./kernels/registry.js";
import type { Checkpoint, WeightSource } from "./spec.js";

export type { ConvertedModel } from "./entry.js";

/** Raise it whenever the graph or the weight layout changes: older entries are then not read. */
const LAYOUT = 5;

/**
 * Each set of kernels is an entry of its own, by what they compute with, and each dialect. The CPU's is not named: its keys
 * are older than the others.
 */
function cacheKey(checkpoint: Checkpoint, kernels: readonly Kernel[], dialect: GraphDialect): string {
  const { float, activations, product, opset, hostInputs, trees, spans } = dialect;
  const graph = { float, activations, product, opset, hostInputs, trees, spans };
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
  ];
  return createHash("sha256").update(JSON.stringify(key)).digest("hex").slice(0, 40);
}

/**
 * The converted form of a checkpoint, made now if the cache does not hold it.
 * @param kernels what it can run, in the order of KERNELS
 * @param dialect what the provider that is to run it wants (runtime/providers.ts)
 * @throws FILE_UNWRITABLE where the cache folder cannot be written; what the checkpoint throws
 */
export async function convertModel(
  checkpoint: Checkpoint,
  progress: Progress = silentProgress,
  kernels: readonly Kernel[] = DEFAULT_KERNELS,
  dialect: GraphDialect = CPU_DIALECT,
): Promise<ConvertedModel> {
  await progress.tick(); // from here on there may be something to clean up, so signals are listened for
  return cachedEntry(cacheKey(checkpoint, kernels, dialect), () => conversion(checkpoint, kernels, dialect, progress));
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
): Conversion {
  const total = 2 * checkpoint.spec.layers;
  return {
    parts: () => weightParts(checkpoint, kernels, dialect),
    origin: checkpoint.origin,
    async written({ name }) {
      const layer = /^(\d+)\.mlp\.(?:post_)?norm$/.exec(name);
      await progress.tick(layer === null ? {} : { stage: "convert", done: 2 * Number(layer[1]), total });
    },
    graph: (weights) => buildGraph(checkpoint.spec, kernels, weights, dialect),
    version: String(LAYOUT),
    opset: dialect.opset,
  };
}
