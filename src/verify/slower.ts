/**
 * Is the candidate slower than the baseline? Decided from runs of both, side by side on one machine.
 *
 * A slot is one prompt decoded A B A B (A: baseline, B: candidate). Prompts differ in how much they gain, which is no
 * noise, so what is compared are passes: one slot of every prompt, and of each side the geometric mean of their times.
 * Timing noise comes in spells, so neighbouring runs are alike; a pass is longer than most spells, and where there are
 * many, neighbouring passes are joined to at most MOST_BATCHES (batch means: Conway 1963). Their ratio has the interval
 * that speedups have (stats/interval.ts), with one-sided limits at 99 % each. A/A noise is the same figure of the baseline
 * against itself, its second run in a slot against its first, and is measured in the same minutes.
 */
import { LEAST_UNITS, ratioInterval, type Unit } from "../stats/interval.js";
import type { SideBySideSlot } from "./side-by-side.js";

/** How much longer the candidate takes, in percent of the baseline's time; negative: it is faster. */
export interface Slowdown {
  slots: number;
  slowdownPercent: number;
  /** one-sided 99 % limits */
  lowPercent: number;
  highPercent: number;
  /** half the distance of the limits */
  halfWidthPercent: number;
  /** what the baseline differs from itself by: the further of the same limits */
  noisePercent: number;
}

/** Pairs are added until the limits are this close to the estimate. */
const PRECISE_PERCENT = 2;
/** A machine's mood within a few seconds is no measure of it. */
export const LEAST_SLOTS = 12;

const CONFIDENCE = 0.99;
const MOST_BATCHES = 16;

/** null where every prompt was met fewer than four times: there are no limits then. */
export function compareSlots(slots: readonly SideBySideSlot[]): Slowdown | null {
  const batches = batchesOf(slots);
  const ratio = intervalOf(
    batches,
    ({ baselineUs }) => baselineUs,
    ({ candidateUs }) => candidateUs,
  );
  const itself = intervalOf(
    batches,
    ({ baselineUs: [first] }) => [first],
    ({ baselineUs: [, second] }) => [second],
  );
  if (ratio.limits === null || itself.limits === null) return null;
  const percent = (factor: number) => 100 * (factor - 1);
  const [low, high] = [percent(ratio.limits.low), percent(ratio.limits.high)];
  return {
    slots: slots.length,
    slowdownPercent: percent(ratio.ratio),
    lowPercent: low,
    highPercent: high,
    halfWidthPercent: (high - low) / 2,
    noisePercent: percent(Math.max(1 / itself.limits.low, itself.limits.high)),
  };
}

/** Whole passes over the prompts, neighbours joined; slots of a pass that time cut short are left out. */
function batchesOf(slots: readonly SideBySideSlot[]): SideBySideSlot[][] {
  const prompts = new Set(slots.map(({ prompt }) => prompt)).size;
  const passes = prompts === 0 ? 0 : Math.floor(slots.length / prompts);
  const count = Math.min(passes, MOST_BATCHES);
  const start = (batch: number) => prompts * Math.floor((batch * passes) / count);
  return Array.from({ length: count }, (_, batch) => slots.slice(start(batch), start(batch + 1)));
}

type Times = (slot: SideBySideSlot) => readonly number[];

function intervalOf(batches: readonly SideBySideSlot[][], one: Times, other: Times) {
  const units = batches.map(
    (batch): Unit => ({ numerator: typicalUs(batch, other), denominator: typicalUs(batch, one) }),
  );
  return ratioInterval(units, CONFIDENCE);
}

/** The geometric mean over slots: a long prompt counts no more than a short one. */
function typicalUs(slots: readonly SideBySideSlot[], times: Times): number {
  const logs = slots.map((slot) => Math.log(times(slot).reduce((sum, us) => sum + us, 0)));
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
}

export type SlowdownVerdict = "regressed" | "fine" | "inconclusive";

export interface SlowdownDecision {
  verdict: SlowdownVerdict;
  /** the criterion that decided, as a sentence */
  because: string;
}

/** Enough is known to stop measuring. */
export const isPrecise = (comparison: Slowdown | null): boolean =>
  comparison !== null && comparison.slots >= LEAST_SLOTS && comparison.halfWidthPercent <= PRECISE_PERCENT;

/** Whether to look if it is enough: at whole passes over the prompts, so that each counts alike. */
export const isTimeToLook = (slots: number, prompts: number): boolean =>
  slots >= Math.max(LEAST_SLOTS, LEAST_UNITS * prompts) && slots % prompts === 0;

/**
 * A regression only where the whole interval lies beyond both the tolerance and this machine's own noise. Fine where it
 * lies within the tolerance, or where it is narrow and begins within it. Whatever else is inconclusive: a slowdown that
 * could be there is never called fine.
 */
export function decideSlower(comparison: Slowdown | null, tolerancePercent: number): SlowdownDecision {
  if (comparison === null)
    return { verdict: "inconclusive", because: `time ended before every prompt was met ${LEAST_UNITS} times` };
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
