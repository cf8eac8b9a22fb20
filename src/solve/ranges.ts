/**
 * The fewest ranges of contexts such that one option is near the best at every context of each.
 *
 * It is enough to look at knots. Between two neighbouring ones every latency is a straight line in n and every acceptance
 * curve is one and the same, so an option's tokens per second are T / D(n): T the accepted length, D a positive line. How one
 * option compares with another, (T / T') · D'(n) / D(n), is a quotient of two lines, whose derivative has the sign of a
 * constant: it is monotone. So the contexts where an option keeps within 1 % of *another* are all contexts before or after
 * some point, and those where it keeps within 1 % of *every* other, the best included, are one interval. An option that is
 * near the best at two contexts between the same knots is near the best at all contexts between them.
 *
 * Knots are the profiled contexts, and both sides of every place where another calibrated context's curves begin to hold.
 * Whether the best's gain is above the noise is no such quotient; it is looked at every 128 tokens besides.
 */

import type { Option } from "./drafting/option.js";
import { gainIsAboveNoise } from "./gain.js";
import { middle, type Problem } from "./problem.js";

/** A range of contexts, `last` included, and the options that are near the best in all of it; none: plain decoding. */
export interface Range {
  from: number;
  last: number;
  options: readonly Option[];
}

/** An option is near the best within this share of it. */
const NEAR_BEST = 0.99;
/** Tokens between looks at the noise, and at most so many looks. */
const NOISE_STEP = 128;
const NOISE_LOOKS = 64;
/** Stands for plain decoding among the options' keys, which begin with a length. */
const PLAIN = "plain";

/** Keys near the best at a context: PLAIN alone where the best's gain is not above the noise. */
type Near = (n: number) => ReadonlySet<string>;

/**
 * @param contexts those solved at, rising; the last one ends the last range
 * @param begin    where the first range begins
 * @param options  the options at a context
 */
export function mergedRanges(
  problem: Problem,
  contexts: readonly number[],
  begin: number,
  options: (n: number) => readonly Option[],
): Range[] {
  const near = nearBest(problem, options);
  const knots = knotsOf(problem, contexts, begin);
  const ranges = fewest(near, knots);
  for (let i = 1; i < ranges.length; i++) {
    const [before, after] = [ranges[i - 1], ranges[i]];
    const from = meeting(near, knots, contexts, before, after);
    before.last = from - 1;
    after.from = from;
  }
  return ranges.map(({ from, last }) => {
    const keys = throughout(near, knots, from, last);
    return { from, last, options: options(from).filter(({ key }) => keys.has(key)) };
  });
}

function nearBest(problem: Problem, optionsOf: (n: number) => readonly Option[]): Near {
  const known = new Map<number, ReadonlySet<string>>();
  return (n) => {
    let keys = known.get(n);
    if (keys === undefined) {
      const options = optionsOf(n);
      const best = options.reduce<Option | null>((a, b) => (a && a.tokensPerSecond >= b.tokensPerSecond ? a : b), null);
      const gains = best !== null && gainIsAboveNoise(problem, n, best);
      const near = gains ? options.filter((o) => o.tokensPerSecond >= NEAR_BEST * best.tokensPerSecond) : [];
      keys = new Set(gains ? near.map(({ key }) => key) : [PLAIN]);
      known.set(n, keys);
    }
    return keys;
  };
}

function knotsOf({ contexts: calibrated }: Problem, contexts: readonly number[], begin: number): number[] {
  const end = Math.max(begin, contexts[contexts.length - 1]);
  const step = Math.max(NOISE_STEP, Math.ceil((end - begin) / NOISE_LOOKS));
  const looks = Array.from({ length: Math.floor((end - begin) / step) }, (_, i) => begin + (i + 1) * step);
  const curves = calibrated.flatMap(({ to }) => [to - 1, to]);
  const inside = [...contexts, ...curves, ...looks].filter((n) => n > begin && n < end);
  return [...new Set([begin, ...inside, end])].sort((a, b) => a - b);
}

const common = (a: ReadonlySet<string>, b: ReadonlySet<string>): Set<string> =>
  new Set([...a].filter((key) => b.has(key)));

/** Each range goes as far as any option does from where it begins: no other way of cutting has fewer (interval covering). */
function fewest(near: Near, knots: readonly number[]): { from: number; last: number }[] {
  const end = knots[knots.length - 1];
  const ranges: { from: number; last: number }[] = [];
  for (let from = knots[0]; from <= end; ) {
    const last = reach(near, knots, from, near(from));
    ranges.push({ from, last });
    from = last + 1;
  }
  return ranges;
}

/** The last context up to which one of `keys`, all near the best at `from`, is near the best throughout. */
function reach(near: Near, knots: readonly number[], from: number, keys: ReadonlySet<string>): number {
  let alive = keys;
  let at = from;
  for (const knot of knots) {
    if (knot <= from) continue;
    const still = common(alive, near(knot));
    if (still.size === 0) return edge(near, alive, at, knot);
    alive = still;
    at = knot;
  }
  return at;
}

/** The same towards smaller contexts, not beyond `least`. */
function reachBack(
  near: Near,
  knots: readonly number[],
  from: number,
  keys: ReadonlySet<string>,
  least: number,
): number {
  let alive = keys;
  let at = from;
  for (const knot of [...knots.filter((n) => n > least && n < from), least].sort((a, b) => b - a)) {
    if (knot >= at) continue;
    const still = common(alive, near(knot));
    if (still.size === 0) return edge(near, alive, at, knot);
    alive = still;
    at = knot;
  }
  return at;
}

/** Between a context where a key is near the best and one where none is: the last where one is. */
function edge(near: Near, keys: ReadonlySet<string>, inside: number, outside: number): number {
  let [good, bad] = [inside, outside];
  while (Math.abs(bad - good) > 1) {
    const between = Math.trunc((good + bad) / 2);
    if (common(keys, near(between)).size > 0) good = between;
    else bad = between;
  }
  return good;
}

/** Keys near the best from `from` to `last`, both included. */
function throughout(near: Near, knots: readonly number[], from: number, last: number): ReadonlySet<string> {
  const inside = knots.filter((n) => n > from && n < last);
  return [...inside, last].reduce<ReadonlySet<string>>((keys, n) => common(keys, near(n)), near(from));
}

/**
 * Where the second of two ranges begins. Both may have options that are near the best around there; then they meet at the
 * geometric middle of the two contexts around, which are what was measured.
 */
function meeting(
  near: Near,
  knots: readonly number[],
  contexts: readonly number[],
  before: { from: number; last: number },
  after: { from: number; last: number },
): number {
  const latest = after.from;
  const keys = throughout(near, knots, latest, after.last);
  const earliest = reachBack(near, knots, latest, keys, before.from + 1);
  const low = contexts.findLast((n) => n < latest);
  const high = contexts.find((n) => n >= latest);
  const wanted = low === undefined || high === undefined ? latest : middle(low, high);
  return Math.min(latest, Math.max(earliest, wanted));
}
