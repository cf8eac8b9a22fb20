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
import { median } from "simple-statistics";
import type { Decoded } from "../decode/loop.js";
import type { Interval } from "../schema/common.js";
import { ratioInterval, type Unit } from "../stats/interval.js";

export interface PromptTiming {
  /** n_p */
  tokens: number;
  /** u_p */
  plainUs: number;
  /** r_p */
  ratio: number;
}

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
  return { tokens: other[0].ids.length - 1, plainUs: median(plainUs), ratio: median(ratios) };
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

/** The speedup with its 95 % interval over prompts; without one where fewer than four were timed (stats/interval.ts). */
export const speedupInterval = (timings: readonly PromptTiming[]): Interval =>
  interval(
    timings.map(({ tokens, plainUs, ratio }) => ({
      numerator: tokens * plainUs,
      denominator: (tokens * plainUs) / ratio,
    })),
  );

/**
 * Tokens per second with its 95 % interval over prompts: all tokens over all time, each prompt with the median of its runs.
 * @param prompts [prompts][runs], each with a token that was timed
 */
export function rateInterval(prompts: readonly (readonly Decoded[])[]): Interval {
  const units = prompts.flatMap((runs) => {
    const us = runs.flatMap((run) => tokenUs(run) ?? []);
    if (us.length === 0) return [];
    const tokens = runs[0].ids.length - 1;
    return [{ numerator: tokens, denominator: (tokens * median(us)) / 1e6 }];
  });
  return interval(units);
}

function interval(units: readonly Unit[]): Interval {
  const { ratio, limits } = ratioInterval(units);
  return { median: ratio, low: limits?.low ?? null, high: limits?.high ?? null };
}
