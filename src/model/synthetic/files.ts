/**
 * Made-up weights on disk, for as long as they are used. They lie in the conversion cache under the name of a conversion
 * in progress, so that what a killed process leaves behind is removed by the next one, as any other is.
 */
import { rmSync } from "node:fs";
import type { Progress } from "../../core/progress.js";
import { DEFAULT_KERNELS, type Kernel } from "../../schema/choice.js";
import { cacheFolder, partialFolder, removeAbandoned } from "../cache.js";
import { convertInto } from "../convert.js";
import { CPU_DIALECT, type GraphDialect } from "../graph/dialect.js";
import { requireRoom } from "../room.js";
import type { WeightSource } from "../spec.js";

/** Tensors begin at page boundaries, and the graph comes on top. */
const MARGIN = 1.02;
const MARGIN_BYTES = 16 << 20;

/**
 * Writes the weights, hands their model to `use`, and removes them, whatever happens.
 * @param weightBytes what the weights will take
 * @throws FILE_UNWRITABLE where there is no room for them, before anything is written; what `use` throws
 */
export async function withWeightFiles<Result>(
  weights: WeightSource,
  weightBytes: number,
  {
    progress,
    kernels = DEFAULT_KERNELS,
    dialect = CPU_DIALECT,
  }: { progress: Progress; kernels?: readonly Kernel[]; dialect?: GraphDialect },
  use: (modelPath: string) => Promise<Result>,
): Promise<Result> {
  await progress.tick(); // from here on there may be something to clean up, so signals are listened for
  const root = cacheFolder();
  removeAbandoned(root);
  const folder = partialFolder(root);
  try {
    await requireRoom(root, MARGIN * weightBytes + MARGIN_BYTES, "a model of made-up weights");
    const { modelPath } = await convertInto(folder, weights, progress, kernels, dialect);
    return await use(modelPath);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
