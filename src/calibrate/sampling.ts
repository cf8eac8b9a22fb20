/** Text that the target writes when it is sampled at a temperature, from a seed. */

import type { Progress } from "../core/progress.js";
import { prefill } from "../decode/loop.js";
import type { Engine } from "../runtime/engine.js";
import { targetChoices } from "../schema/choice.js";
import { sum } from "../stats/numbers.js";
import { seededRandom } from "../stats/random.js";
import { type SparseDistribution, sparseSoftmax } from "./overlap.js";

export interface Sampling {
  /** above 0 */
  temperature: number;
  seed: number;
}

/** Sampling of a calibration is seeded with this, so that `solve --model` can make its text again. */
export const SAMPLING_SEED = 1;

/** Logits divided by the temperature; as they are where there is none. */
export function atTemperature(logits: Float32Array, temperature: number | undefined): Float32Array {
  return temperature === undefined ? logits : logits.map((x) => x / temperature);
}

/** A token drawn from a distribution. @param u uniform in [0, 1) */
export function drawToken({ ids, probabilities }: SparseDistribution, u: number): number {
  const total = sum(probabilities); // rare tokens are left out of it
  let left = u * total;
  for (let i = 0; i < ids.length; i++) {
    left -= probabilities[i];
    if (left < 0) return ids[i];
  }
  return ids[ids.length - 1];
}

/** What the target writes after a prompt when it is sampled, one pass a token. */
export async function sampledContinuation(
  engine: Engine,
  prompt: readonly number[],
  tokens: number,
  { temperature, seed }: Sampling,
  progress: Progress,
): Promise<number[]> {
  const { eosTokenIds, layers, vocabSize } = engine.spec;
  const target = targetChoices(layers);
  const random = seededRandom(seed);
  const draw = (logits: Float32Array) =>
    drawToken(sparseSoftmax(atTemperature(logits, temperature), 0, vocabSize), random.float());
  const ids = [draw((await prefill(engine, prompt, target, progress)).logits)];
  while (ids.length < tokens && !eosTokenIds.includes(ids[ids.length - 1])) {
    await progress.tick();
    const position = prompt.length + ids.length - 1;
    const { logits } = engine.run({ position, input: [ids[ids.length - 1]], choices: target, logitRows: 1 });
    ids.push(draw(logits.subarray(0, vocabSize)));
  }
  return ids;
}
