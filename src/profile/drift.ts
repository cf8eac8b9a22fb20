/**
 * Taking out what slows everything at once. Other processes, or the clock rate, slow a machine down for seconds at a time,
 * far longer than a visit to one context (tens to hundreds of milliseconds). The passes of the whole target within the
 * visit show by how much, and every time of the visit is divided by it. On two cores shared with other busy processes
 * (EPYC, embedded model) this halved the residuals of the fit: 18 % to 8 % at q = 1, 12 % to 4 % at q = 5.
 */
import { median } from "simple-statistics";
import { isTarget } from "./masks.js";
import type { Observation } from "./observation.js";

/** A visit this much slower than the usual one is left out: contention is then no common factor any more. */
const DISTURBED = 1.5;

const cell = ({ context, query }: Observation): string => `${context} ${query}`;

function gather<K>(
  observations: readonly Observation[],
  key: (o: Observation) => K,
  value: (o: Observation) => number,
): Map<K, number[]> {
  const found = new Map<K, number[]>();
  for (const o of observations) {
    const values = found.get(key(o));
    if (values === undefined) found.set(key(o), [value(o)]);
    else values.push(value(o));
  }
  return found;
}

/** How much slower than usual the whole target ran in each visit: 1 is the median of its own cells. */
export function slowness(observations: readonly Observation[]): Map<number, number> {
  const whole = observations.filter(isTarget);
  const usual = new Map([...gather(whole, cell, ({ us }) => us)].map(([key, times]) => [key, median(times)]));
  const shares = gather(
    whole,
    ({ visit }) => visit,
    (o) => o.us / (usual.get(cell(o)) ?? o.us),
  );
  return new Map([...shares].map(([visit, values]) => [visit, median(values)]));
}

/** The observations as a machine at its usual speed would have given them, without those of disturbed visits. */
export function steady(observations: readonly Observation[]): Observation[] {
  const slow = slowness(observations);
  return observations.flatMap((o) => {
    const factor = slow.get(o.visit) ?? 1;
    return factor > DISTURBED ? [] : [{ ...o, us: o.us / factor }];
  });
}
