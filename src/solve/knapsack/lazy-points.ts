/**
 * Points of a frontier whose lists of choices are made when they are first read.
 *
 * Where every µs of the budget is a point, 30,000 lists of 160 ids are 39 MB, and making them takes three times as long as
 * solving; a caller that ranks points by cost and loss reads a few of them. Until a list is read, its point is a place in the
 * solver's own back pointers, a byte a group.
 *
 * `chosen` is an own, enumerable property of a plain object, so JSON, spreading, structuredClone and deep comparisons see what
 * they would see of a list that was always there. It is the same array each time, and it can be replaced. What tells the
 * two apart is a property descriptor, and console.log, which does not call getters.
 */
import type { ParetoPoint } from "./group.js";
import type { Traced } from "./states.js";

/** Points traced back together: neighbours share most of their way, so a reader who goes in order pays for few passes. */
const TRACED_TOGETHER = 64;

/** The ids of a point, by its place on the frontier. */
type Reader = (at: number) => string[];

/** What is behind a point's `chosen`. */
interface Source {
  read: Reader;
  at: number;
  chosen: string[] | undefined;
}

/** Not enumerable, so no copy or comparison sees it. */
const SOURCE = Symbol("source");

interface LazyPoint extends ParetoPoint {
  [SOURCE]: Source;
}

/**
 * One for all points, so that they keep one hidden class: 30,000 points take 25 ms so, with getters of their own 40 ms, and
 * as instances of a class with Object's prototype 200 ms (EPYC).
 */
const CHOSEN: PropertyDescriptor & ThisType<LazyPoint> = {
  enumerable: true,
  configurable: true,
  get() {
    const source = this[SOURCE];
    source.chosen ??= source.read(source.at);
    return source.chosen;
  },
  set(chosen: string[]) {
    this[SOURCE].chosen = chosen;
  },
};

/** Every point of the last list. Its sums are those of its choices, to the last bit (states.ts). */
export function lazyPoints(ids: readonly (readonly string[])[], { list, trace }: Traced): ParetoPoint[] {
  const read = readerOf(ids, list.size, trace);
  const hidden: PropertyDescriptor = { enumerable: false, value: undefined };
  const points: ParetoPoint[] = [];
  for (let at = 0; at < list.size; at += 1) {
    const point = Object.defineProperty({}, "chosen", CHOSEN) as LazyPoint; // first, so that it comes first in JSON
    point.costUs = list.costs[at];
    point.loss = list.losses[at];
    hidden.value = { read, at, chosen: undefined } satisfies Source;
    points.push(Object.defineProperty(point, SOURCE, hidden));
  }
  return points;
}

/** @param ids [groups][candidates] */
function readerOf(ids: readonly (readonly string[])[], size: number, trace: Traced["trace"]): Reader {
  const groups = ids.length;
  let first = 0;
  let picks: Uint16Array = new Uint16Array(); // [up to TRACED_TOGETHER, groups] of the points from `first` on
  return (at) => {
    if (at < first || (at - first) * groups >= picks.length) {
      first = at - (at % TRACED_TOGETHER);
      picks = trace(first, Math.min(TRACED_TOGETHER, size - first));
    }
    const from = (at - first) * groups;
    // Of the right size from the start: growing it by pushes took twice the time.
    const chosen = new Array<string>(groups);
    for (let g = 0; g < groups; g += 1) chosen[g] = ids[g][picks[from + g]];
    return chosen;
  };
}
