/** Several ways of decoding by turns, A B C A B C, from one prompt that is read once. */
import type { Progress } from "../core/progress.js";
import { type Decoded, type DecodeOptions, type DraftPolicy, decode, prefillFor } from "../decode/loop.js";
import type { Clock, Engine } from "../runtime/engine.js";
import type { OutputLimits } from "./target-passes.js";

export interface InterleaveOptions extends OutputLimits {
  engine: Engine;
  clock: Clock;
  progress: Progress;
  /** the decoder under test */
  decode?: typeof decode;
  /** how tokens of the policy's run in that turn are chosen; left out: the likeliest are taken */
  samplingOf?: ((policy: number, turn: number) => DecodeOptions["sampling"]) | undefined;
}

/**
 * Every policy once a turn, all from one prompt in the cache: decoding writes behind it only.
 * @param orders   [turns] the policies' order in each turn
 * @param warmUp   tokens that each policy decodes first, in turn −1, which nobody sees; 0: none
 * @returns [policies][turns]
 */
export async function interleaveRuns(
  options: InterleaveOptions,
  prompt: readonly number[],
  policies: readonly DraftPolicy[],
  orders: readonly (readonly number[])[],
  warmUp = 0,
): Promise<Decoded[][]> {
  const { engine, clock, maxTokens, endTokens, progress } = options;
  const prefilled = await prefillFor(engine, prompt, policies, progress);
  const run = (i: number, turn: number, most: number) => {
    const sampling = options.samplingOf?.(i, turn);
    const own = { clock, maxTokens: most, endTokens, policy: policies[i], prefilled, progress };
    return (options.decode ?? decode)(engine, prompt, sampling === undefined ? own : { ...own, sampling });
  };
  if (warmUp > 0) for (const i of policies.keys()) await run(i, -1, Math.min(warmUp, maxTokens));
  return byTurns(policies.length, orders, (i, turn) => run(i, turn, maxTokens));
}

/**
 * The one loop that every measurement of several ways of decoding is made by.
 * @param count  ways of decoding
 * @param orders [turns] their order in each turn
 * @param before awaited before each turn
 * @returns [count][turns]
 */
export async function byTurns<Run>(
  count: number,
  orders: readonly (readonly number[])[],
  run: (which: number, turn: number) => Promise<Run>,
  before: (turn: number) => Promise<void> = async () => {},
): Promise<Run[][]> {
  const runs: Run[][] = Array.from({ length: count }, () => []);
  for (const [turn, order] of orders.entries()) {
    await before(turn);
    for (const which of order) runs[which].push(await run(which, turn));
  }
  return runs;
}

/** 0 to count - 1, backwards in odd turns: over two of them each comes as often before any other as after it. */
export const thereAndBack = (count: number, turn: number): number[] => {
  const order = Array.from({ length: count }, (_, i) => i);
  return turn % 2 === 0 ? order : order.reverse();
};

/** 0 to count - 1, beginning at `first`: over `count` turns each comes as often before any other as after it, so drift cancels. */
export const rotated = (count: number, first: number): number[] =>
  Array.from({ length: count }, (_, i) => (first + i) % count);
