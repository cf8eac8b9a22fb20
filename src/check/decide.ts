/**
 * Is the candidate slower than the baseline? Decided from runs of both, side by side on one machine.
 *
 * A slot is one prompt decoded A B A B (A: baseline, B: candidate); its statistic is ln(ΣB / ΣA). Timing noise comes in
 * spells, so neighbouring slots are alike: means are bootstrapped in blocks of neighbours (circular block bootstrap,
 * Politis and Romano 1992). Prompts differ in how much they gain, which is no noise, so only the distance from the
 * prompt's own mean is resampled. A/A noise is the same statistic of the baseline against itself, its second run in a slot
 * against its first, and is measured in the same minutes.
 *
 * Limits are one-sided at 99 % each. Few slots make a bootstrap too sure of itself, so its spread is widened as Student's t
 * widens the normal's, and by what a mean over blocks loses of the variance. Without both the limits of 40 slots with
 * noise in spells missed the truth in 3 % of simulations.
 */
import { mean, probit, quantileSorted } from "simple-statistics";
import { blockLength, blockMeans } from "../stats/bootstrap.js";
import { studentQuantile } from "../stats/student.js";

/** One prompt decoded A B A B; the same tokens each time. */
export interface Slot {
  /** which prompt: slots of one prompt share a mean */
  prompt: number;
  /** [2] µs, in the order they were run */
  baselineUs: readonly [number, number];
  /** [2] µs */
  candidateUs: readonly [number, number];
}

/** How much longer the candidate takes, in percent of the baseline's time; negative: it is faster. */
export interface Comparison {
  slots: number;
  slowdownPercent: number;
  /** one-sided 99 % limits */
  lowPercent: number;
  highPercent: number;
  /** half the distance of the limits */
  halfWidthPercent: number;
  /** what the baseline differs from itself by, one-sided 99 % limit of its absolute value */
  noisePercent: number;
}

/** Pairs are added until the limits are this close to the estimate. */
export const PRECISE_PERCENT = 2;
/** A bootstrap of fewer blocks says little. */
export const LEAST_SLOTS = 12;

const CONFIDENCE = 0.99;
const REPLICATES = 2000;

/** @throws RangeError where there are fewer than two slots */
export function compareSlots(slots: readonly Slot[], seed: number): Comparison {
  if (slots.length < 2) throw new RangeError(`${slots.length} slots cannot be compared`);
  const sum = ([a, b]: readonly [number, number]) => a + b;
  const ratios = slots.map((slot) => Math.log(sum(slot.candidateUs) / sum(slot.baselineUs)));
  const own = slots.map(({ baselineUs: [first, second] }) => Math.log(second / first));
  const { estimate, residuals, freedom } = withinPrompts(slots, ratios);
  const lost = slots.length / (slots.length - blockLength(slots.length));
  const widening = studentQuantile(CONFIDENCE, freedom) / probit(CONFIDENCE);
  const draws = blockMeans(residuals, { replicates: REPLICATES, seed }).map(
    (value) => value * widening * Math.sqrt(lost),
  );
  const low = estimate + quantileSorted(draws, 1 - CONFIDENCE);
  const high = estimate + quantileSorted(draws, CONFIDENCE);
  const noise = blockMeans(own, { replicates: REPLICATES, seed: seed + 1 }).map(Math.abs);
  const percent = (logRatio: number) => 100 * Math.expm1(logRatio);
  return {
    slots: slots.length,
    slowdownPercent: percent(estimate),
    lowPercent: percent(low),
    highPercent: percent(high),
    halfWidthPercent: (percent(high) - percent(low)) / 2,
    noisePercent: percent(
      quantileSorted(
        noise.sort((a, b) => a - b),
        CONFIDENCE,
      ),
    ),
  };
}

/** The mean of the prompts' means, and what is left of each slot without its prompt's. */
function withinPrompts(slots: readonly Slot[], values: readonly number[]) {
  const prompts = new Map<number, number[]>();
  slots.forEach(({ prompt }, i) => {
    const indices = prompts.get(prompt) ?? [];
    prompts.set(prompt, [...indices, i]);
  });
  const residuals = values.map(() => 0);
  const means: number[] = [];
  for (const indices of prompts.values()) {
    const centre = mean(indices.map((i) => values[i]));
    means.push(centre);
    for (const i of indices) residuals[i] = values[i] - centre;
  }
  // a mean taken out shrinks what is left; where every prompt came once nothing would be left at all
  const freedom = slots.length - prompts.size;
  if (freedom < 1) return { estimate: mean(means), residuals: values.map((v) => v - mean([...values])), freedom: 1 };
  const scale = Math.sqrt(slots.length / freedom);
  return { estimate: mean(means), residuals: residuals.map((value) => value * scale), freedom };
}

export type Verdict = "regressed" | "fine" | "inconclusive";

export interface Decision {
  verdict: Verdict;
  /** the criterion that decided, as a sentence */
  because: string;
}

/** Enough is known to stop measuring. */
export const isPrecise = ({ slots, halfWidthPercent }: Comparison): boolean =>
  slots >= LEAST_SLOTS && halfWidthPercent <= PRECISE_PERCENT;

/** Whether to look if it is enough: at whole passes over the prompts, so that each counts alike. */
export const isTimeToLook = (slots: number, prompts: number): boolean => slots >= LEAST_SLOTS && slots % prompts === 0;

/**
 * A regression only where the whole interval lies beyond both the tolerance and this machine's own noise. Fine where it
 * lies within the tolerance, or where it is narrow and begins within it. Whatever else is inconclusive: a slowdown that
 * could be there is never called fine.
 */
export function decide(comparison: Comparison, tolerancePercent: number): Decision {
  const { lowPercent, highPercent, noisePercent, halfWidthPercent, slots } = comparison;
  const limit = Math.max(tolerancePercent, noisePercent);
  const fixed = (percent: number) => `${percent.toFixed(1)} %`;
  const interval = `${fixed(lowPercent)} to ${fixed(highPercent)} slower`;
  const barrier = noisePercent > tolerancePercent ? "this machine's own noise" : "the tolerance";
  if (slots < LEAST_SLOTS)
    return { verdict: "inconclusive", because: `time ended after ${slots} of at least ${LEAST_SLOTS} slots` };
  if (lowPercent > limit)
    return { verdict: "regressed", because: `all of ${interval} lies beyond ${barrier} (${fixed(limit)})` };
  if (highPercent <= tolerancePercent)
    return { verdict: "fine", because: `all of ${interval} lies within the tolerance (${fixed(tolerancePercent)})` };
  if (lowPercent > tolerancePercent) {
    const noisy = `${interval} lies beyond the tolerance, but not beyond ${barrier} (${fixed(limit)})`;
    return { verdict: "inconclusive", because: noisy };
  }
  if (halfWidthPercent <= PRECISE_PERCENT)
    return { verdict: "fine", because: `${interval} begins within the tolerance (${fixed(tolerancePercent)})` };
  const wide = `${interval} is wider than ± ${PRECISE_PERCENT} % and the time is over`;
  return { verdict: "inconclusive", because: wide };
}
