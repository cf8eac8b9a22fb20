/**
 * How much faster one way of decoding is than another, from interleaved pairs.
 *
 * For prompt p with n_p timed tokens (the first comes from the prompt's pass) let u_pk and v_pk be µs a token of the
 * plain and the other run of pair k. The two runs of a pair lie side by side in time, so drift cancels in
 * r_pk = u_pk / v_pk, and the median over pairs r_p drops a burst. With u_p the median of u_pk, the whole is
 *
 *     speedup = Σ_p n_p u_p / Σ_p (n_p u_p / r_p)
 *
 * the time plain decoding takes for all prompts over the time the other way takes. A total and not a median of
 * prompts, because that is what a user waits for and what a plan's prediction is about; and the median of six or
 * eight prompts wastes most of what they say.
 *
 * Where two outputs differ (a tie) their texts part, so times a token are compared; for equal lengths it is the same.
 */
import { median, quantileSorted } from "simple-statistics";
import type { Decoded } from "../decode/loop.js";
import type { Interval } from "../schema/common.js";
import { bootstrap } from "../stats/bootstrap.js";

export interface PromptTiming {
  /** n_p */
  tokens: number;
  /** u_p */
  plainUs: number;
  /** r_p */
  ratio: number;
  /** [pairs] r_pk */
  ratios: number[];
}

const REPLICATES = 10_000;

/** µs a token, the first left out; null where there is no other. */
export function tokenUs({ ids, decodeUs }: Decoded): number | null {
  return ids.length < 2 ? null : decodeUs / (ids.length - 1);
}

/**
 * @param plain [pairs]
 * @param other [pairs], run side by side with `plain`
 * @returns null where an output is a single token, so that no step was timed
 */
export function promptTiming(plain: readonly Decoded[], other: readonly Decoded[]): PromptTiming | null {
  const plainUs: number[] = [];
  const ratios: number[] = [];
  for (const [pair, run] of other.entries()) {
    const u = tokenUs(plain[pair]);
    const v = tokenUs(run);
    if (u === null || v === null) return null;
    plainUs.push(u);
    ratios.push(u / v);
  }
  return { tokens: other[0].ids.length - 1, plainUs: median(plainUs), ratio: median(ratios), ratios };
}

/** µs that plain decoding and the other way take for all prompts. */
export function totalTimes(timings: readonly PromptTiming[]): { tokens: number; plainUs: number; otherUs: number } {
  const total = { tokens: 0, plainUs: 0, otherUs: 0 };
  for (const { tokens, plainUs, ratio } of timings) {
    total.tokens += tokens;
    total.plainUs += tokens * plainUs;
    total.otherUs += (tokens * plainUs) / ratio;
  }
  return total;
}

const overall = (timings: readonly PromptTiming[]): number => {
  const { plainUs, otherUs } = totalTimes(timings);
  return plainUs / otherUs;
};

/**
 * The speedup with its 95 % interval: percentile bootstrap over prompts, each taken whole (Davison and Hinkley 1997,
 * §3.8: resampling within clusters as well would count the noise of the pairs twice). Runs of one prompt are not
 * independent of each other, prompts are. With a single prompt only its pairs can be resampled: the interval then
 * says nothing about other prompts.
 */
export function speedupInterval(timings: readonly PromptTiming[], seed: number): Interval {
  const estimate = overall(timings);
  const draws =
    timings.length === 1
      ? bootstrap(timings[0].ratios, median, { replicates: REPLICATES, seed })
      : bootstrap(timings, overall, { replicates: REPLICATES, seed });
  return around(estimate, draws);
}

/** The estimate itself belongs to its interval, whatever a lopsided sample makes of the percentiles. */
const around = (estimate: number, draws: number[]): Interval => ({
  median: estimate,
  low: Math.min(estimate, quantileSorted(draws, 0.025)),
  high: Math.max(estimate, quantileSorted(draws, 0.975)),
});

/**
 * Tokens per second with its 95 % interval over prompts: all tokens over all time, each prompt with the median of its runs.
 * @param prompts [prompts][runs], each with a token that was timed
 */
export function rateInterval(prompts: readonly (readonly Decoded[])[], seed: number): Interval {
  const timings = prompts.flatMap((runs) => {
    const us = runs.flatMap((run) => tokenUs(run) ?? []);
    return us.length === 0 ? [] : [{ tokens: runs[0].ids.length - 1, us, middle: median(us) }];
  });
  const rate = (units: typeof timings) =>
    (1e6 * units.reduce((sum, { tokens }) => sum + tokens, 0)) /
    units.reduce((sum, { tokens, middle }) => sum + tokens * middle, 0);
  const estimate = rate(timings);
  const draws =
    timings.length === 1
      ? bootstrap(timings[0].us, (us) => 1e6 / median(us), { replicates: REPLICATES, seed })
      : bootstrap(timings, rate, { replicates: REPLICATES, seed });
  return around(estimate, draws);
}
