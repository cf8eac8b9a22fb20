/**
 * Where the next visits go. The mean squared error of k cells under a fixed number of visits is least where a cell gets
 * them in proportion to its weight times its standard deviation (Neyman 1934). Cells that the noise hits alike get alike.
 *
 * A plan is judged by the time of its draft steps and of its verification, each relative to itself: so the deviations are
 * relative ones, and contexts weigh the same. Few rounds tell a deviation badly, so each is drawn towards the pool's, and
 * where the largest is not EVEN times the smallest all cells get alike: following chance costs more than it gains (even
 * noise of 5 %, ten seeds: 12 % more error than a uniform sweep without this). Partial passes are kept in: without them
 * the parts at q > 1 were 1.4 % off on a machine without noise.
 */
import { median } from "simple-statistics";
import { isTarget, type Random } from "./masks.js";
import type { Observation } from "./observation.js";

/** Every so many rounds all cells are visited, so that drift is followed in each. */
export const FULL_EVERY = 3;
/** Observations the pooled variance counts for. */
const PRIOR = 8;
/** From the median absolute deviation to the standard deviation of normal noise; outliers count little. */
const MAD_TO_SD = 1.4826;
const LEAST = 3;
/** Relative deviations below it come from floating point. */
const ROUNDING = 1e-6;
/** Ratio of deviations below which a difference is taken for chance. */
const EVEN = 2.5;

export interface Shares {
  /** [contexts] chance of a visit */
  contexts: number[];
  /** [contexts][verification lengths] chance of a burst's verification within the visit */
  lengths: number[][];
}

interface Variance {
  value: number;
  count: number;
}

/** Relative variance, each mask about its own median: what differs between masks is no noise. */
function variance(observations: readonly Observation[]): Variance {
  const cells = new Map<string, number[]>();
  for (const o of observations) {
    const key = `${o.head} ${o.choices.head} ${o.choices.blocks.join()}`;
    const cell = cells.get(key);
    if (cell === undefined) cells.set(key, [o.us]);
    else cell.push(o.us);
  }
  const off = [...cells.values()]
    .filter(({ length }) => length >= LEAST)
    .flatMap((us) => {
      const centre = median(us);
      return us.map((one) => Math.abs(one / centre - 1));
    });
  return off.length === 0
    ? { value: 0, count: 0 }
    : { value: Math.max(0, MAD_TO_SD * median(off) - ROUNDING) ** 2, count: off.length };
}

/** Standard deviations, the badly known ones near the pool's. */
function deviations(cells: readonly Variance[]): number[] {
  const count = cells.reduce((sum, c) => sum + c.count, 0);
  const pooled = count === 0 ? 0 : cells.reduce((sum, c) => sum + c.value * c.count, 0) / count;
  return cells.map((c) => Math.sqrt((c.value * c.count + PRIOR * pooled) / (c.count + PRIOR)));
}

function normalised(scores: readonly number[]): number[] {
  if (Math.max(...scores) <= EVEN * Math.min(...scores)) return scores.map(() => 1 / scores.length);
  const sum = scores.reduce((a, b) => a + b, 0);
  return scores.map((score) => (sum > 0 ? score / sum : 1 / scores.length));
}

/** @param lengths query lengths above 1 */
export function neymanShares(
  observations: readonly Observation[],
  contexts: readonly number[],
  lengths: readonly number[],
): Shares {
  const byPlace = new Map<string, Observation[]>();
  for (const o of observations) {
    if (o.query > 1 && !isTarget(o)) continue;
    const key = `${o.context} ${o.query}`;
    const cell = byPlace.get(key);
    if (cell === undefined) byPlace.set(key, [o]);
    else cell.push(o);
  }
  const places = contexts.flatMap((n) => [1, ...lengths].map((q) => byPlace.get(`${n} ${q}`) ?? []));
  const sd = deviations(places.map(variance));
  const rows = contexts.map((_, i) => sd.slice(i * (1 + lengths.length), (i + 1) * (1 + lengths.length)));
  // a round is about half drafting, half one verification: the lengths share the second half
  const ofVisit = rows.map(([draft, ...verify]) =>
    verify.length === 0 ? draft : Math.sqrt((draft ** 2 + mean(verify.map((s) => s ** 2))) / 2),
  );
  return { contexts: normalised(ofVisit), lengths: rows.map(([, ...verify]) => normalised(verify)) };
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/**
 * So many indices in proportion to their shares, at random: systematic sampling, so that a count is off its expectation by
 * less than one, and equal shares give every index once.
 */
export function drawByShare(random: Random, shares: readonly number[], count: number): number[] {
  const drawn: number[] = [];
  let reached = 0;
  let next = random.float() / count;
  shares.forEach((share, index) => {
    reached += share;
    while (drawn.length < count && next < reached - 1e-12) {
      drawn.push(index);
      next += 1 / count;
    }
  });
  while (drawn.length < count) drawn.push(shares.length - 1);
  return random.shuffle(drawn);
}
