/**
 * What a draft with a cache of its own pays besides drafting: it reads the prompt itself.
 *
 * A prompt of n tokens is read in passes of READING_TOKENS, without the head. No profile has passes that long, and quantised
 * blocks were timed at q = 1 alone. So the draft's blocks that are not skipped are priced as the target's are, each pass as
 *
 *     t(q) = t(1) + (q − 1) · (t(Q) − t(1)) / (Q − 1)
 *
 * with Q the longest pass profiled, at the context in its middle: weights read once, and so much for every token. What the
 * tokens of an answer bear of it is a straight line between the profiled contexts, as every other cost is (ranges.ts).
 */
import type { ChoiceSet } from "../../schema/choice.js";
import type { LatencyModel } from "../latency.js";

/** Tokens of a pass over a prompt, as the decoder runs it (MAX_PASS_TOKENS). */
const READING_TOKENS = 512;

/** µs of reading a prompt, and of each of its blocks. */
interface Reading {
  fixedUs: number;
  /** [2L] */
  blockUs: Float64Array;
}

/**
 * The latencies where drafts read their prompts, and an answer has so many tokens to bear it.
 * @param contexts that the latencies are known at, rising
 * @param blocks   2L
 */
export function withReading(
  latency: LatencyModel,
  contexts: readonly number[],
  blocks: number,
  answerTokens: number,
): LatencyModel {
  const readings = contexts.map((): Reading | null => null);
  const at = (i: number): Reading => (readings[i] ??= readingOf(latency, contexts[i], blocks));
  const usAt = (set: ChoiceSet, i: number) =>
    set.blocks.reduce((sum, choice, b) => sum + (choice === "skip" ? 0 : at(i).blockUs[b]), at(i).fixedUs);
  const readingUs = (set: ChoiceSet, n: number) => {
    const high = contexts.findIndex((context) => context >= n);
    if (high === 0) return (usAt(set, 0) * n) / Math.max(1, contexts[0]) / answerTokens;
    const i = high === -1 ? contexts.length - 1 : high;
    const share = (n - contexts[i - 1]) / (contexts[i] - contexts[i - 1]);
    return ((1 - share) * usAt(set, i - 1) + share * usAt(set, i)) / answerTokens;
  };
  return { ...latency, readingUs };
}

function readingOf(latency: LatencyModel, n: number, blocks: number): Reading {
  const reading: Reading = { fixedUs: 0, blockUs: new Float64Array(blocks) };
  const longest = latency.maxDraftTokens + 1;
  for (let from = 0; from < n; from += READING_TOKENS) {
    const q = Math.min(READING_TOKENS, n - from);
    const here = latency.at(Math.min(latency.contextTokens.to, from + q / 2));
    // where passes of one token alone were profiled, every token costs as much as one of them
    const along = (us: (q: number) => number) =>
      longest === 1 ? q * us(1) : us(1) + ((q - 1) * Math.max(0, us(longest) - us(1))) / (longest - 1);
    reading.fixedUs += along(here.fixedUs);
    for (let b = 0; b < blocks; b++) reading.blockUs[b] += along((tokens) => here.blockUs(b, "target", tokens));
  }
  return reading;
}
