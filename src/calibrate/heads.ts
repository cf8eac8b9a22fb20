/**
 * How well trained heads know the target's own text: at every position of a continuation the ranks that its next tokens
 * have under heads 1, 2, …, up to the first that its head does not list.
 *
 * No draft is run. The target's states at all positions come from one pass over the continuation, whose keys and values
 * are there already, and the heads look at many of them at once. Each head is told the path of the text itself, since a
 * node is only asked for where all before it were right.
 */
import type { Progress } from "../core/progress.js";
import type { Heads } from "../decode/drafters/heads.js";
import type { Engine } from "../runtime/engine.js";
import { MAX_PASS_TOKENS } from "../runtime/limits.js";
import { targetChoices } from "../schema/choice.js";
import type { Continuation } from "./continuation.js";

/** Rows of one pass of the heads: their logits are rows · heads · vocabulary numbers. */
const BATCH_ROWS = 32;

/**
 * @param continuation whose prompt the cache holds; it holds the continuation afterwards
 * @returns [positions] ranks of the tokens behind each token of the continuation, but for the last ones, which have fewer
 *   tokens behind them than there are heads
 */
export async function ranksAlong(
  engine: Engine,
  heads: Heads,
  continuation: Continuation,
  progress: Progress,
): Promise<number[][]> {
  const positions = Math.max(0, continuation.ids.length - heads.heads);
  if (positions === 0) return [];
  const { prompt, ids } = continuation;
  const text = [...prompt, ...ids];
  // where the first token of the continuation was chosen: behind the prompt's last one
  const first = prompt.length - 1;
  const { hiddenSize } = engine.spec;
  if (heads.states === undefined) {
    const states = await targetStates(engine, text, first, positions, progress);
    return ranksOfStates(heads, { states, hiddenSize, first, ids }, progress);
  }
  const all = await targetStates(engine, text, 0, first + positions, progress);
  if (first > 0) heads.states(0, all.subarray(0, first * hiddenSize));
  const states = all.subarray(first * hiddenSize);
  return ranksOfStates(heads, { states, hiddenSize, first, ids }, progress);
}

/**
 * The same of states that are there already.
 * @param states [positions or more, hiddenSize] where ids[0], ids[1], … were chosen, before the final norm
 * @param first  token of the whole text at which ids[0] was chosen: for heads that look at the states of all of it
 */
export async function ranksOfStates(
  heads: Heads,
  {
    states,
    hiddenSize,
    first,
    ids,
  }: { states: Float32Array; hiddenSize: number; first: number; ids: readonly number[] },
  progress: Progress,
): Promise<number[][]> {
  const positions = Math.max(0, ids.length - heads.heads);
  const rows = heads.states === undefined ? BATCH_ROWS : 1;
  const ranks: number[][] = [];
  for (let from = 0; from < positions; from += rows) {
    const count = Math.min(rows, positions - from);
    const hidden = states.subarray(from * hiddenSize, (from + count) * hiddenSize);
    heads.states?.(first + from, hidden);
    ranks.push(...ranksOfRows(heads, hidden, ids, from, count));
    await progress.tick();
  }
  return ranks;
}

/** [count, hiddenSize] the target's last states at so many tokens of the text, before the final norm. */
async function targetStates(
  engine: Engine,
  text: readonly number[],
  from: number,
  count: number,
  progress: Progress,
): Promise<Float32Array> {
  const { layers, hiddenSize } = engine.spec;
  const states = new Float32Array(count * hiddenSize);
  const choices = targetChoices(layers);
  for (let done = 0; done < count; done += MAX_PASS_TOKENS) {
    const input = text.slice(from + done, from + Math.min(count, done + MAX_PASS_TOKENS));
    states.set(engine.run({ position: from + done, input, choices, logitRows: 0 }).hidden, done * hiddenSize);
    await progress.tick();
  }
  return states;
}

/** @param hidden [count, hiddenSize] states where ids[from], ids[from + 1], … were chosen */
function ranksOfRows(
  heads: Heads,
  hidden: Float32Array,
  ids: readonly number[],
  from: number,
  count: number,
): number[][] {
  const ranks = Array.from({ length: count }, (): number[] => []);
  /** looks for the tokens at one depth where all before it were found */
  const look = (guesses: Int32Array, depth: number, at: (row: number) => number) => {
    for (let row = 0; row < count; row++) {
      if (ranks[row].length < depth) continue;
      const start = at(row);
      const rank = guesses.subarray(start, start + heads.ranks).indexOf(ids[from + row + 1 + depth]);
      if (rank !== -1) ranks[row].push(rank);
    }
  };
  if (heads.guessAll !== undefined) {
    const guesses = heads.guessAll(hidden);
    for (let depth = 0; depth < heads.heads; depth++)
      look(guesses, depth, (row) => (row * heads.heads + depth) * heads.ranks);
    return ranks;
  }
  for (let depth = 0; depth < heads.heads; depth++) {
    const trail = new Int32Array(count * (depth + 1));
    for (let row = 0; row < count; row++)
      for (let i = 0; i <= depth; i++) trail[row * (depth + 1) + i] = ids[from + row + i];
    look(heads.guess(hidden, depth, trail), depth, (row) => row * heads.ranks);
  }
  return ranks;
}
