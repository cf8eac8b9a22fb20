/** Measures the moments that codes and scales are fitted by, with the model's own layers in fp32 on the CPU. */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { writeAllSync } from "../../core/write-all.js";
import { momentsTap } from "../../model/graph/watched.js";
import { groupsFor, type MomentsOf, type MomentsPlace } from "../../model/moments-file.js";
import type { WeightSource } from "../../model/spec.js";
import { type WalkOptions, walkLayers } from "./layers.js";

/**
 * @param sequences token ids, each a text of its own, all of the same length
 * @param folder    of the caller's, who removes it; the moments lie there when this returns
 */
export async function measureMoments(
  weights: WeightSource,
  sequences: readonly (readonly number[])[],
  folder: string,
  options: WalkOptions,
): Promise<MomentsOf> {
  const count = sequences.reduce((sum, { length }) => sum + length, 0);
  const path = join(folder, "moments.bin");
  const file = openSync(path, "wx");
  const places = new Map<string, MomentsPlace>();
  const sums = new Map<string, Float64Array>();
  let offset = 0;
  try {
    await walkLayers(
      weights,
      sequences,
      folder,
      {
        stage: "moments",
        tap: momentsTap(groupsFor(weights.spec)),
        read(tapped) {
          for (const { matrix, last } of tapped) {
            const sum = sums.get(matrix) ?? new Float64Array(last.length);
            for (let i = 0; i < last.length; i++) sum[i] += last[i];
            sums.set(matrix, sum);
          }
        },
        layerDone(tapped) {
          for (const { matrix, dims } of tapped) {
            const values = Float32Array.from(sums.get(matrix) as Float64Array, (sum) => sum / count);
            sums.delete(matrix);
            writeAllSync(file, new Uint8Array(values.buffer), offset);
            places.set(matrix, { path, offset, inner: dims[0] * dims[1], group: dims[1] });
            offset += values.byteLength;
          }
        },
      },
      options,
    );
  } finally {
    closeSync(file);
  }
  return (matrix) => places.get(matrix);
}
