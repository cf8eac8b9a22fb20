/** The target's own outputs: decoded first, by passes that the decoder under test has no part in, and kept. */
import { createHash } from "node:crypto";
import type { Progress } from "../core/progress.js";
import type { Engine } from "../runtime/engine.js";
import { targetChoices } from "../schema/choice.js";
import { greedyOutput, type OutputLimits } from "./target-passes.js";

/**
 * References of several verifications on one engine: two plans are judged by the same ones. By engine, so that no
 * model's output is ever taken for another's; filled by `referenceOutput` alone.
 */
export type ReferenceCache = WeakMap<Engine, Map<string, readonly number[]>>;

/** The target's greedy output. Frozen: what is judged later cannot change what it is judged against. */
export async function referenceOutput(
  engine: Engine,
  prompt: readonly number[],
  { maxTokens, endTokens, penalty }: OutputLimits,
  cache: ReferenceCache,
  progress: Progress,
): Promise<readonly number[]> {
  const known = cache.get(engine) ?? new Map<string, readonly number[]>();
  cache.set(engine, known);
  const key = createHash("sha256")
    .update(JSON.stringify([prompt, maxTokens, endTokens, penalty ?? 1]))
    .digest("hex");
  const kept = known.get(key);
  if (kept !== undefined) return kept;
  const target = targetChoices(engine.spec.layers);
  const ids = Object.freeze(await greedyOutput(engine, prompt, target, { maxTokens, endTokens, penalty }, progress));
  known.set(key, ids);
  return ids;
}
