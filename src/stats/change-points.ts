/**
 * Where does a series of measurements change its level?
 *
 * Circular binary segmentation (Olshen, Venkatraman, Lucito and Wigler 2004, Biostatistics 5:557): the stretch of the
 * series that differs most from all the rest, a stretch at either end included, so that a slowdown that was mended later
 * is found as well as one that stayed. What differs is decided by permutation: without a change every order of the
 * measurements is as likely as the one that was seen, whatever their distribution, so that skewed timings and a slow day
 * need no model. Each part is then searched in the same way, and a mark is kept only where the parts on both sides of it
 * differ from each other by the same test.
 *
 * False alarms: a series without a change gets a mark with a chance of at most FALSE_ALARM_RATE; so does every part
 * between two true changes. This holds where measurements are independent of each other; a device that drifts for
 * days has changed, and may be marked.
 *
 * A measurement weighs 1 / (its own noise² + τ²), where τ² is what the series varies by beyond that noise (DerSimonian and
 * Laird 1986). Own noise alone would be too sure: intervals are taken within one run, and runs differ from each other.
 *
 * No JavaScript library was found that does this: those on npm are unmaintained, or assume normal noise of known size.
 */
import { clamp, sum } from "./numbers.js";
import { type Random, seededRandom } from "./random.js";

export interface Observation {
  value: number;
  /** standard deviation of its measurement, in the unit of `value` */
  noise: number;
}

export interface Change {
  /** the first observation after the change */
  index: number;
  /** weighted means of the stretches on both sides, up to the next change */
  before: number;
  after: number;
  /** share of random orders in which the two sides differ as much */
  pValue: number;
}

export interface ChangeOptions {
  seed: number;
  /** differences of means below this are not marked: they are of no use to anyone */
  leastDifference: number;
  /** below this nothing is measured: keeps weights finite where an interval has no width */
  leastNoise: number;
}

export const FALSE_ALARM_RATE = 0.01;
/** With fewer no split can be significant: 2 / (10 choose 5) = 0.8 %, 2 / (9 choose 4) = 1.6 %. */
export const LEAST_OBSERVATIONS = 10;
/** One or two odd measurements are no change of level. */
const LEAST_STRETCH = 3;
/** The search takes time by the square of the length. */
export const MOST_OBSERVATIONS = 1000;

const MOST_ORDERS = 9999;
const LEAST_ORDERS = 999;
/** After so many orders, a share of a quarter of FALSE_ALARM_RATE will not rise above it any more (chance below 2e-5). */
const TELLING_ORDERS = 2000;
/** pairs of ends looked at in all random orders of one series: some tenths of a second */
const MOST_PAIRS = 3e7;

/** Changes in order. @param observations at most the latest MOST_OBSERVATIONS, in order of time */
export function findChanges(observations: readonly Observation[], options: ChangeOptions): Change[] {
  if (observations.length > MOST_OBSERVATIONS)
    throw new RangeError(`${observations.length} observations are more than ${MOST_OBSERVATIONS}`);
  return confirmed(observations, splitPoints(observations, 0, options), options);
}

/** Where a part of the series falls apart, and where its parts do. @param offset of the part within the series */
function splitPoints(part: readonly Observation[], offset: number, options: ChangeOptions): number[] {
  if (part.length < LEAST_OBSERVATIONS) return [];
  const weighted = weigh(part, options.leastNoise);
  const { from, to, statistic } = mostDifferent(weighted);
  const orders = clamp(Math.floor(MOST_PAIRS / part.length ** 2), LEAST_ORDERS, MOST_ORDERS);
  const p = permutationP(weighted, statistic, (order) => mostDifferent(order).statistic, orders, options.seed);
  if (p > FALSE_ALARM_RATE) return [];
  const ends = [from, to].filter((end) => end > 0 && end < part.length);
  const edges = [0, ...ends, part.length];
  const within = edges.slice(1).flatMap((end, i) => splitPoints(part.slice(edges[i], end), offset + edges[i], options));
  return [...ends.map((end) => offset + end), ...within].sort((a, b) => a - b);
}

/** Takes away the least certain mark, of equally certain ones the earliest, until both sides of every mark differ. */
function confirmed(series: readonly Observation[], points: readonly number[], options: ChangeOptions): Change[] {
  const edges = [0, ...points, series.length];
  const changes = points.map((index, i) => {
    const part = series.slice(edges[i], edges[i + 2]);
    return changeAt(part, index - edges[i], index, options);
  });
  const doubtful = changes.filter(
    ({ pValue, before, after }) => pValue > FALSE_ALARM_RATE || Math.abs(after - before) < options.leastDifference,
  );
  if (doubtful.length === 0) return changes;
  const worst = doubtful.reduce((a, b) => (b.pValue > a.pValue ? b : a));
  return confirmed(
    series,
    points.filter((point) => point !== worst.index),
    options,
  );
}

function changeAt(part: readonly Observation[], split: number, index: number, options: ChangeOptions): Change {
  const weighted = weigh(part, options.leastNoise);
  const between = (order: Weighted) => contrast(order, 0, split);
  const pValue = permutationP(weighted, between(weighted), between, MOST_ORDERS, options.seed);
  return { index, before: meanOf(weighted, 0, split), after: meanOf(weighted, split, part.length), pValue };
}

/** Measurements with their weights, and running sums of both; sums have one more entry, and begin with 0. */
interface Weighted {
  values: Float64Array; // [n] distances from the weighted mean
  weights: Float64Array; // [n]
  sums: Float64Array; // [n + 1] of weight · value; the last is 0
  weightSums: Float64Array; // [n + 1]
  mean: number;
}

function weigh(observations: readonly Observation[], leastNoise: number): Weighted {
  const own = observations.map(({ noise }) => Math.max(noise, leastNoise) ** 2);
  const between = varianceBetween(observations, own);
  const weights = Float64Array.from(own, (variance) => 1 / (variance + between));
  const mean = weightedMean(observations, weights);
  const values = Float64Array.from(observations, ({ value }) => value - mean);
  const sums = new Float64Array(values.length + 1);
  const weighted = { values, weights, sums, weightSums: new Float64Array(values.length + 1), mean };
  addUp(weighted);
  return weighted;
}

/** τ², by moments: what is left of the spread after the measurements' own variances. */
function varianceBetween(observations: readonly Observation[], own: readonly number[]): number {
  const weights = own.map((variance) => 1 / variance);
  const total = sum(weights);
  const mean = weightedMean(observations, weights);
  const spread = sum(observations.map(({ value }, i) => weights[i] * (value - mean) ** 2));
  const scale = total - sum(weights.map((weight) => weight ** 2)) / total;
  return Math.max(0, (spread - (observations.length - 1)) / scale);
}

function weightedMean(observations: readonly Observation[], weights: ArrayLike<number>): number {
  let weighted = 0;
  let total = 0;
  observations.forEach(({ value }, i) => {
    weighted += weights[i] * value;
    total += weights[i];
  });
  return weighted / total;
}

function addUp({ values, weights, sums, weightSums }: Weighted): void {
  for (let i = 0; i < values.length; i++) {
    sums[i + 1] = sums[i] + weights[i] * values[i];
    weightSums[i + 1] = weightSums[i] + weights[i];
  }
}

const meanOf = ({ sums, weightSums, mean }: Weighted, from: number, to: number): number =>
  mean + (sums[to] - sums[from]) / (weightSums[to] - weightSums[from]);

/** Spread between a stretch and all the rest: weight · difference of means², by the weights of both. */
function contrast({ sums, weightSums }: Weighted, from: number, to: number): number {
  const total = weightSums[weightSums.length - 1];
  const weight = weightSums[to] - weightSums[from];
  return ((sums[to] - sums[from]) ** 2 * total) / (weight * (total - weight));
}

/**
 * The stretch that differs most from the rest; every part that it leaves has at least LEAST_STRETCH measurements. One that
 * goes to the end is the rest of one that begins at the start, and differs as much.
 */
function mostDifferent(weighted: Weighted): { from: number; to: number; statistic: number } {
  const n = weighted.values.length;
  let best = { from: 0, to: n, statistic: 0 };
  for (let from = 0; from < n; from = from === 0 ? LEAST_STRETCH : from + 1) {
    for (let to = from + LEAST_STRETCH; to <= n - LEAST_STRETCH; to++) {
      const statistic = contrast(weighted, from, to);
      if (statistic > best.statistic) best = { from, to, statistic };
    }
  }
  return best;
}

/** Sums of the same numbers in another order differ in their last digits. */
const ROUNDING = 1e-9;

/** Chance that a random order differs as much; stops once it is clear on which side of FALSE_ALARM_RATE it lies. */
function permutationP(
  weighted: Weighted,
  observed: number,
  statisticOf: (order: Weighted) => number,
  orders: number,
  seed: number,
): number {
  if (observed === 0) return 1;
  const random = seededRandom(seed);
  const order: Weighted = { ...weighted, values: weighted.values.slice(), weights: weighted.weights.slice() };
  order.sums = new Float64Array(weighted.sums.length);
  order.weightSums = new Float64Array(weighted.sums.length);
  const most = FALSE_ALARM_RATE * (orders + 1) - 1;
  let asLarge = 0;
  for (let tried = 1; tried <= orders; tried++) {
    shuffle(order, random);
    addUp(order);
    if (statisticOf(order) >= observed * (1 - ROUNDING)) asLarge++;
    const isClear = tried === TELLING_ORDERS && asLarge < (FALSE_ALARM_RATE * tried) / 4;
    if (asLarge > most || isClear) return (1 + asLarge) / (1 + tried);
  }
  return (1 + asLarge) / (1 + orders);
}

/** Fisher and Yates; a value keeps its weight. */
function shuffle({ values, weights }: Weighted, random: Random): void {
  for (let i = values.length - 1; i > 0; i--) {
    const j = random.index(i + 1);
    [values[i], values[j]] = [values[j], values[i]];
    [weights[i], weights[j]] = [weights[j], weights[i]];
  }
}
