/**
 * Taking out what slows everything at once. Other processes, or the clock rate, slow a machine down for seconds at a time,
 * far longer than a visit to one context (tens to hundreds of milliseconds). The passes of the whole target within the
 * visit show by how much, and every time of the visit is divided by it. On two cores shared with other busy processes
 * (EPYC, embedded model) this halved the residuals of the fit: 18 % to 8 % at q = 1, 12 % to 4 % at q = 5.
 */
import { median } from "simple-statistics";
import { isTarget, type Observation } from "../sweep/pass.js";

/** A visit this much slower than the usual one is left out: contention is then no common factor any more. */
const DISTURBED = 1.5;

const cell = ({ context, query }: Observation): string => `${context} ${query}`;

function gather<K, V = number>(
  observations: readonly Observation[],
  key: (o: Observation) => K,
  value: (o: Observation) => V,
): Map<K, V[]> {
  const found = new Map<K, V[]>();
  for (const o of observations) {
    const values = found.get(key(o));
    if (values === undefined) found.set(key(o), [value(o)]);
    else values.push(value(o));
  }
  return found;
}

/** By visit, the whole target's passes with how much slower than usual each was: 1 is the median of its own cell. */
function targetShares(observations: readonly Observation[]): Map<number, { pass: Observation; share: number }[]> {
  const whole = observations.filter(isTarget);
  const usual = new Map([...gather(whole, cell, ({ us }) => us)].map(([key, times]) => [key, median(times)]));
  return gather(
    whole,
    ({ visit }) => visit,
    (pass) => ({ pass, share: pass.us / (usual.get(cell(pass)) ?? pass.us) }),
  );
}

const middleShare = (shares: readonly { share: number }[]): number => median(shares.map(({ share }) => share));

/** How much slower than usual the whole target ran in each visit. */
export const slowness = (observations: readonly Observation[]): Map<number, number> =>
  new Map([...targetShares(observations)].map(([visit, shares]) => [visit, middleShare(shares)]));

export interface Steadied extends Observation {
  /** what its time was divided by */
  slowness: number;
}

/**
 * The observations as a machine at its usual speed would have given them, without those of disturbed visits.
 *
 * A pass of the target is divided by what the others of its visit show, never by its own time: with one or two of them in a
 * visit it would come out as exactly the usual time, and what is left of the fit would be smaller than the noise.
 */
export function steady<O extends Observation>(observations: readonly O[]): (O & Steadied)[] {
  const byVisit = targetShares(observations);
  const slow = new Map([...byVisit].map(([visit, shares]) => [visit, middleShare(shares)]));
  return observations.flatMap((o) => {
    if ((slow.get(o.visit) ?? 1) > DISTURBED) return [];
    const others = isTarget(o) ? (byVisit.get(o.visit) ?? []).filter(({ pass }) => !isSamePass(pass, o)) : null;
    const factor = others === null ? (slow.get(o.visit) ?? 1) : others.length === 0 ? 1 : middleShare(others);
    return [{ ...o, us: o.us / factor, slowness: factor }];
  });
}

/** The same measurement, though a bootstrap may have drawn it twice. */
const isSamePass = (a: Observation, b: Observation): boolean => a.query === b.query && a.us === b.us;

/** Share of the visits that were too slow to be used, in percent. */
export function leftOutPercent(observations: readonly Observation[]): number {
  const factors = [...slowness(observations).values()];
  return factors.length === 0 ? 0 : (100 * factors.filter((factor) => factor > DISTURBED).length) / factors.length;
}

/**
 * Drift in logarithms of time per round: the median slope over all pairs of rounds of the same cell (Theil 1950, Sen 1968),
 * the whole target being the reference in every visit. A cell is compared with itself alone, so it does not matter that
 * some are visited more often late in the sweep, and a spell of contention shorter than a third of it changes little.
 */
function driftPerRound(observations: readonly Observation[]): number {
  const cells = gather(observations.filter(isTarget), cell, (o) => [o.round, Math.log(o.us)] as const);
  const slopes: number[] = [];
  for (const values of cells.values()) {
    const rounds = [...gatherPairs(values)].map(([round, logs]) => ({ round, log: median(logs), count: logs.length }));
    for (const [i, a] of rounds.entries())
      for (const b of rounds.slice(i + 1)) {
        const slope = (b.log - a.log) / (b.round - a.round);
        for (let pair = 0; pair < a.count * b.count; pair++) slopes.push(slope); // a round that was drawn twice counts twice
      }
  }
  return slopes.length === 0 ? 0 : median(slopes);
}

function gatherPairs(values: readonly (readonly [number, number])[]): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const [round, value] of values) found.set(round, [...(found.get(round) ?? []), value]);
  return found;
}

const lastRound = (observations: readonly Observation[]): number =>
  observations.reduce((last, { round }) => Math.max(last, round), 0);

/** How much slower the last round was than the first by the drift, in percent. */
export const driftPercent = (observations: readonly Observation[]): number =>
  100 * Math.expm1(driftPerRound(observations) * lastRound(observations));

/** The observations as they would have been in the middle of the sweep. */
export function withoutDrift<O extends Observation>(observations: readonly O[]): O[] {
  const slope = driftPerRound(observations);
  const middle = lastRound(observations) / 2;
  return observations.map((o) => ({ ...o, us: o.us * Math.exp(slope * (middle - o.round)) }));
}
