/** Resampling with replacement, from a seed. */
import { seededRandom } from "./random.js";

const rising = (a: number, b: number): number => a - b;

/** Statistics of samples drawn with replacement, rising. */
export function bootstrap<T>(
  units: readonly T[],
  statistic: (sample: T[]) => number,
  { replicates, seed }: { replicates: number; seed: number },
): number[] {
  const random = seededRandom(seed);
  const draw = () => units[random.index(units.length)];
  return Array.from({ length: replicates }, () => statistic(units.map(draw))).sort(rising);
}

/** The order that minimises a block bootstrap's error (Hall, Horowitz and Jing 1995); less than the series. */
export const blockLength = (length: number): number => Math.min(Math.ceil(length ** (1 / 3)), length - 1);

/**
 * Means of a series resampled in blocks of neighbours, rising: for noise that comes in spells, so that neighbours are
 * alike (circular block bootstrap, Politis and Romano 1992: the end goes on at the beginning).
 */
export function blockMeans(
  series: readonly number[],
  { replicates, seed }: { replicates: number; seed: number },
): number[] {
  const { length } = series;
  const block = blockLength(length);
  const random = seededRandom(seed);
  /** [2 · length + 1] sums of the series' beginnings, twice around */
  const sums = Float64Array.of(0, ...series, ...series);
  for (let i = 1; i < sums.length; i++) sums[i] += sums[i - 1];
  const draw = () => {
    let total = 0;
    for (let taken = 0; taken < length; taken += block) {
      const start = random.index(length);
      total += sums[start + Math.min(block, length - taken)] - sums[start];
    }
    return total / length;
  };
  return Array.from({ length: replicates }, draw).sort(rising);
}
