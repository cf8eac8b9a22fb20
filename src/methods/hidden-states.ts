/**
 * Hidden states carried through part of the model, and how like the full model's they stay. KnapSpec (arXiv:2602.20217) and
 * CLaSp (arXiv:2505.24196) choose blocks by the cosine similarity of the two.
 */
import { type Continuation, fillCache, type TargetTrace, traceTarget } from "../calibrate/continuation.js";
import type { Progress } from "../core/progress.js";
import type { Engine } from "../runtime/engine.js";
import { MAX_LOGIT_ROWS } from "../runtime/limits.js";
import { type Choice, uniformChoices } from "../schema/choice.js";

/** The full model's states along a piece of text, whose beginning is in the cache. */
export interface TracedText {
  engine: Engine;
  /** of the first state */
  position: number;
  positions: number;
  /** [2L + 1] of [positions, hiddenSize] */
  hidden: TargetTrace["hidden"];
}

/** The first continuation of a context, up to one pass of it. @returns null where there is no text */
export async function traceText(
  engine: Engine,
  [first]: readonly Continuation[],
  progress: Progress,
): Promise<TracedText | null> {
  if (first === undefined) return null;
  const text = { ...first, ids: first.ids.slice(0, MAX_LOGIT_ROWS + 1) };
  await fillCache(engine, text, progress);
  const { hidden } = await traceTarget(engine, text, progress);
  return { engine, position: text.prompt.length, positions: text.ids.length - 1, hidden };
}

/**
 * The states after these blocks of the target, over the states given. Keys and values before the piece are the target's own,
 * those within it the pass's.
 * @param hidden [positions, hiddenSize]
 */
export function runBlocks(
  { engine, position }: TracedText,
  hidden: Float32Array,
  blocks: readonly number[],
): Float32Array {
  const skipped = uniformChoices(engine.spec.layers, "skip");
  const only = skipped.blocks.map((_, b): Choice => (blocks.includes(b) ? "target" : "skip"));
  const choices = { ...skipped, blocks: only };
  return engine.run({ position, input: { hidden }, choices, logitRows: 0 }).hidden.slice();
}

/** Mean over the positions of the cosine between two states. @param a,b [positions, size] */
export function similarity(a: Float32Array, b: Float32Array, size: number): number {
  let total = 0;
  for (let from = 0; from < a.length; from += size) {
    let [ab, aa, bb] = [0, 0, 0];
    for (let i = from; i < from + size; i++) {
      ab += a[i] * b[i];
      aa += a[i] * a[i];
      bb += b[i] * b[i];
    }
    total += aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : 0;
  }
  return (total * size) / a.length;
}
