/** Ranges of contexts by looking at every single one. Imports nothing from src. */

/** µs at the points of an axis, straight between them, level before the first. */
export function straight(axis: readonly number[], values: readonly number[], n: number): number {
  if (n <= axis[0]) return values[0];
  for (let i = 1; i < axis.length; i++) {
    if (n > axis[i]) continue;
    const share = (n - axis[i - 1]) / (axis[i] - axis[i - 1]);
    return values[i - 1] + share * (values[i] - values[i - 1]);
  }
  throw new Error(`${n} is past the last point`);
}

/**
 * The fewest ranges from 0 to `end`, both included, such that in each of them one option is at every context at least
 * `share` times as fast as the fastest. From every context on, the option that lasts longest.
 * @param speeds (n) speed of each option at a context; null: it is not there
 * @returns the first context of every range
 */
export function fewestRanges(speeds: (n: number) => ReadonlyMap<string, number>, end: number, share: number): number[] {
  const starts: number[] = [];
  let alive = new Set<string>();
  for (let n = 0; n <= end; n++) {
    const here = speeds(n);
    const best = Math.max(...here.values());
    const near = new Set([...here].filter(([, speed]) => speed >= share * best).map(([key]) => key));
    const still = new Set([...alive].filter((key) => near.has(key)));
    if (still.size === 0) starts.push(n);
    alive = still.size === 0 ? near : still;
  }
  return starts;
}
