/**
 * Acceptance of a draft on a given text, position by position.
 *
 * Each position t is one draft step (q = 1) over the target's keys and values before t and the draft's own at t. One
 * pass of the target fills the cache; then the steps go from the last position to the first, so that what a step
 * wrote at t never lies before a position that is still to come.
 */
import { type Progress, silentProgress } from "../core/progress.js";
import { argmax, type Engine } from "../runtime/engine.js";
import { MAX_LOGIT_ROWS, MAX_PASS_TOKENS } from "../runtime/limits.js";
import { type ChoiceSet, targetChoices } from "../schema/choice.js";

export interface Evaluation {
  positions: number;
  /** share of positions where the draft's most likely token is the target's */
  acceptance: number;
  /** of the last residual states, before the final norm */
  meanCosine: number;
  /** [positions] */
  targetTop1: number[];
  /** [positions] */
  draftTop1: number[];
}

interface TargetStates {
  /** [positions] */
  top1: number[];
  /** [positions, hiddenSize] */
  hidden: Float32Array;
}

/**
 * @param first    positions before it are context only
 * @param choicesAt what drafts at a context; null: the target itself
 */
export async function evaluateDraft(
  engine: Engine,
  ids: readonly number[],
  first: number,
  choicesAt: (contextTokens: number) => ChoiceSet | null,
  progress: Progress = silentProgress,
): Promise<Evaluation> {
  const { hiddenSize, vocabSize } = engine.spec;
  const positions = ids.length - first;
  const target = await runTarget(engine, ids, first, progress);
  const draftTop1 = target.top1.slice();
  let cosines = 0;
  let hits = 0;
  for (let row = positions - 1; row >= 0; row--) {
    await progress.tick({ stage: "draft steps", done: positions - 1 - row, total: positions });
    const choices = choicesAt(first + row);
    if (choices === null) {
      cosines += 1;
      hits += 1;
      continue;
    }
    const { logits, hidden } = engine.run({ position: first + row, input: [ids[first + row]], choices, logitRows: 1 });
    draftTop1[row] = argmax(logits, 0, vocabSize);
    if (draftTop1[row] === target.top1[row]) hits++;
    cosines += cosine(hidden, target.hidden.subarray(row * hiddenSize, (row + 1) * hiddenSize));
  }
  return {
    positions,
    acceptance: hits / positions,
    meanCosine: cosines / positions,
    targetTop1: target.top1,
    draftTop1,
  };
}

/** The target over the whole text, in pieces that the engine's buffers hold. */
async function runTarget(
  engine: Engine,
  ids: readonly number[],
  first: number,
  progress: Progress,
): Promise<TargetStates> {
  const { hiddenSize, layers, vocabSize } = engine.spec;
  const choices = targetChoices(layers);
  const top1: number[] = [];
  const hidden = new Float32Array((ids.length - first) * hiddenSize);
  let position = 0;
  while (position < ids.length) {
    await progress.tick({ stage: "target", done: position, total: ids.length });
    const scored = position >= first;
    const end = Math.min(scored ? position + MAX_LOGIT_ROWS : Math.min(first, position + MAX_PASS_TOKENS), ids.length);
    const rows = scored ? end - position : 0;
    const result = engine.run({ position, input: ids.slice(position, end), choices, logitRows: rows });
    for (let row = 0; row < rows; row++) top1.push(argmax(result.logits, row, vocabSize));
    if (scored) hidden.set(result.hidden, (position - first) * hiddenSize);
    position = end;
  }
  return { top1, hidden };
}

/** Of two vectors; 0 where one of them has no length. */
function cosine(a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < b.length; i++) {
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa === 0 || bb === 0 ? 0 : dot / Math.sqrt(aa * bb);
}
