/** Learns the levels that a simulated kernel rounds a matrix's inputs to, from what goes into it while texts are read. */
import { inputsTap } from "../../model/graph/watched.js";
import { kMeans } from "../../model/kernels/k-means.js";
import { LEVELS, outliersAtEachEnd } from "../../model/kernels/oasis.js";
import type { LevelsOf } from "../../model/moments-file.js";
import type { WeightSource } from "../../model/spec.js";
import { type WalkOptions, walkLayers } from "./layers.js";

/** Inputs of a matrix that its levels are found from, in rows of whole tokens spread over the texts. */
const SAMPLED_INPUTS = 1 << 17;

/**
 * @param sequences token ids, each a text of its own, all of the same length
 * @param folder    of the caller's, who removes it
 */
export async function learnLevels(
  weights: WeightSource,
  sequences: readonly (readonly number[])[],
  folder: string,
  options: WalkOptions,
): Promise<LevelsOf> {
  const tokens = sequences[0]?.length ?? 0;
  const levels = new Map<string, Float64Array>();
  const samples = new Map<string, Float32Array[]>();
  await walkLayers(
    weights,
    sequences,
    folder,
    {
      stage: "levels",
      tap: inputsTap(tokens),
      read(tapped) {
        for (const { matrix, dims, last } of tapped) {
          const inner = dims[2];
          const wanted = Math.max(1, Math.ceil(SAMPLED_INPUTS / inner / sequences.length));
          const step = Math.max(1, Math.floor(tokens / wanted));
          const rows = samples.get(matrix) ?? [];
          for (let t = step - 1; t < tokens; t += step) rows.push(shares(last.subarray(t * inner, (t + 1) * inner)));
          samples.set(matrix, rows);
        }
      },
      layerDone(tapped) {
        for (const { matrix } of tapped) {
          levels.set(matrix, kMeans(joined(samples.get(matrix) ?? []), LEVELS));
          samples.delete(matrix);
        }
      },
    },
    options,
  );
  return (matrix) => levels.get(matrix);
}

/** A token's inputs that are no outliers, by the greatest magnitude among them: what the graph rounds (kernels/oasis.ts). */
export function shares(inputs: Float32Array): Float32Array {
  const outliers = outliersAtEachEnd(inputs.length);
  const rest = inputs
    .slice()
    .sort()
    .subarray(outliers, inputs.length - outliers);
  const scale = Math.max(Math.abs(rest[0]), Math.abs(rest[rest.length - 1]));
  return scale === 0 ? rest : rest.map((value) => value / scale);
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
