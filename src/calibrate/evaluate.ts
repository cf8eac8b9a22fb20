/**
 * Acceptance of a draft on a given text, position by position.
 *
 * Each position t is one draft step (q = 1) over the target's keys and values before t and the draft's own at t. One
 * pass of the target fills the cache; then the steps go from the last position to the first, so that what a step
 * wrote at t never lies before a position that is still to come. A draft with a cache of its own sees its own keys and
 * values of everything before t, and what it writes at t depends on t's text alone: it runs over the text once, as the target
 * does.
 */
import { type Progress, silentProgress } from "../core/progress.js";
import { argmax, type Engine } from "../runtime/engine.js";
import { MAX_LOGIT_ROWS, MAX_PASS_TOKENS } from "../runtime/limits.js";
import { type ChoiceSet, choiceKey, targetChoices } from "../schema/choice.js";

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

/**
 * The same where every draft has a cache of its own: each is run over the whole text, and says what it would draft at the
 * contexts where it is asked.
 */
export async function evaluateStandalone(
  engine: Engine,
  ids: readonly number[],
  first: number,
  choicesAt: (contextTokens: number) => ChoiceSet | null,
  progress: Progress = silentProgress,
): Promise<Evaluation> {
  const { hiddenSize, layers } = engine.spec;
  const positions = ids.length - first;
  const target = await runOver(engine, ids, first, targetChoices(layers), "target", progress);
  const asked = Array.from({ length: positions }, (_, row) => choicesAt(first + row));
  const keys = asked.map((choices) => (choices === null ? null : choiceKey(choices)));
  const draftTop1 = target.top1.slice();
  const cosines = new Array<number>(positions).fill(1);
  for (const [at, choices] of asked.entries()) {
    if (choices === null || keys.indexOf(keys[at]) < at) continue;
    const draft = await runOver(engine, ids, first, choices, "draft", progress);
    for (let row = at; row < positions; row++) {
      if (keys[row] !== keys[at]) continue;
      draftTop1[row] = draft.top1[row];
      const own = (states: Float32Array) => states.subarray(row * hiddenSize, (row + 1) * hiddenSize);
      cosines[row] = cosine(own(draft.hidden), own(target.hidden));
    }
  }
  const hits = draftTop1.filter((token, row) => token === target.top1[row]).length;
  return {
    positions,
    acceptance: hits / positions,
    meanCosine: cosines.reduce((sum, one) => sum + one, 0) / positions,
    targetTop1: target.top1,
    draftTop1,
  };
}

interface States {
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
  const target = await runOver(engine, ids, first, targetChoices(engine.spec.layers), "target", progress);
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

/** The target, or a draft alone, over the whole text, in pieces that the engine's buffers hold. */
async function runOver(
  engine: Engine,
  ids: readonly number[],
  first: number,
  choices: ChoiceSet,
  stage: string,
  progress: Progress,
): Promise<States> {
  const { hiddenSize, vocabSize } = engine.spec;
  const top1: number[] = [];
  const hidden = new Float32Array((ids.length - first) * hiddenSize);
  let position = 0;
  while (position < ids.length) {
    await progress.tick({ stage, done: position, total: ids.length });
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
