/** K-means of numbers (Lloyd 1957): the levels that values are rounded to with the least squared error that can be walked to. */

/** A round costs a bisection a level, so nothing is saved by stopping early. */
const MOST_ROUNDS = 10_000;

/**
 * Lloyd's algorithm from the values' own quantiles, so that the same values always give the same levels. A value belongs to
 * its nearest level (of equal levels the first has those below, the last those above), and every level is the mean of its
 * values; a level that none belongs to stays where it is.
 * @param values at least one, finite; they are not changed
 * @returns [count] levels, ascending
 */
export function kMeans(values: Float32Array, count: number): Float64Array {
  const sorted = Float64Array.from(values).sort();
  const sums = new Float64Array(sorted.length + 1); // of the first i values
  for (let i = 0; i < sorted.length; i++) sums[i + 1] = sums[i] + sorted[i];
  let levels = Float64Array.from({ length: count }, (_, k) => sorted[Math.floor(((k + 0.5) * sorted.length) / count)]);
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const next = levels.slice();
    let from = 0;
    for (let k = 0; k < count; k++) {
      const to = k + 1 < count ? countUpTo(sorted, (levels[k] + levels[k + 1]) / 2, from) : sorted.length;
      if (to > from) next[k] = (sums[to] - sums[from]) / (to - from);
      from = to;
    }
    if (next.every((level, k) => level === levels[k])) break;
    levels = next;
  }
  return levels;
}

/** How many of the sorted values are no greater than the limit; at least `from` are. A value in the middle is the lower one's. */
function countUpTo(sorted: Float64Array, limit: number, from: number): number {
  let [low, high] = [from, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The level nearest to a value, the lower one on a tie. */
export function nearestLevel(levels: Float64Array, value: number): number {
  let [low, high] = [0, levels.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (value <= (levels[middle] + levels[middle + 1]) / 2) high = middle;
    else low = middle + 1;
  }
  return levels[low];
}
