/**
 * The frontier of (cost, loss) among choices that keep limits: at most so many blocks skipped, at most so many bytes.
 *
 * The dynamic programming of states.ts with two more coordinates. Bytes are counted in their greatest common divisor: the
 * blocks of a model have few sizes, so the grid is small. What is left of a limit that the groups to come cannot exhaust
 * makes no difference, and states that differ in nothing else are one.
 */
import { type Choice, validateGroups } from "./group.js";
import type { ParetoPoint } from "./multiple-choice.js";
import { type Grid, type Item, searchStates, type Traced } from "./states.js";

export interface LimitedChoice extends Choice {
  /** blocks that it skips */
  skipped: number;
  /** whole bytes that it needs beyond the target's own */
  bytes: number;
}

export interface LimitedGroup {
  id: string;
  choices: readonly LimitedChoice[];
}

/** Upper limits of the sums; null: none. */
export interface SumLimits {
  skipped: number | null;
  bytes: number | null;
}

/** States of a list before costs are rounded. */
const MAX_STATES = 2 ** 16;
/** Places of the grid. Beyond it bytes are rounded up: the limit is then kept a little too strictly, never too loosely. */
const MAX_PLACES = 2 ** 20;
/** all rounding of costs together, as a share of the dearest choices; doubled until the lists are short enough */
const ROUNDING_SHARE = 1e-3;

/**
 * Every non-dominated (cost, loss) within the limits, by rising cost and strictly falling loss; none where nothing fits.
 * Where a list would grow beyond `maxStates`, costs are rounded, and points carry the resolution: some may be missing
 * between those returned, but each is real, with its true cost and loss, and within the limits.
 * @throws GROUP_INVALID
 */
export function limitedFrontier(
  groups: readonly LimitedGroup[],
  limits: SumLimits,
  { maxStates = MAX_STATES }: { maxStates?: number } = {},
): ParetoPoint[] {
  validateGroups(groups.map(({ id, choices }) => ({ id, choices: [...choices] })));
  const counting = countingOf(groups, limits);
  const search = (resolutionUs: number | null, mostStates: number) =>
    searchStates(
      groups.map((group) => itemsOf(group, counting, resolutionUs)),
      { maxStates: mostStates, grid: counting.grid },
    );
  const exact = search(null, maxStates);
  if (exact !== undefined) return frontierOf(groups, exact);
  const dearestUs = groups.reduce((sum, group) => sum + most(group, ({ costUs }) => costUs), 0);
  for (let coarser = 1; ; coarser *= 2) {
    const resolutionUs = (coarser * ROUNDING_SHARE * dearestUs) / groups.length;
    // the lists may grow as well, so this ends whatever the grid
    const traced = search(resolutionUs, coarser * maxStates);
    if (traced !== undefined) return frontierOf(groups, traced).map((point) => ({ ...point, resolutionUs }));
  }
}

const most = ({ choices }: LimitedGroup, of: (choice: LimitedChoice) => number): number => Math.max(...choices.map(of));

/** What sums are counted by. */
interface Counting {
  grid: Grid;
  countsSkipped: boolean;
  /** null: bytes are not counted */
  unitBytes: number | null;
}

/** A limit that all groups together cannot exceed is none: nothing is counted, and its coordinate is 0 throughout. */
function countingOf(groups: readonly LimitedGroup[], limits: SumLimits): Counting {
  const tight = (limit: number | null, of: (choice: LimitedChoice) => number): number | null => {
    const all = groups.reduce((sum, group) => sum + most(group, of), 0);
    return limit === null || limit >= all ? null : limit;
  };
  const skipped = tight(limits.skipped, (choice) => choice.skipped);
  const bytes = tight(limits.bytes, (choice) => choice.bytes);
  const counted = { countsSkipped: skipped !== null };
  if (bytes === null) return { ...counted, grid: { skipped: skipped ?? 0, units: 0 }, unitBytes: null };
  const divisor = groups.flatMap(({ choices }) => choices.map((choice) => choice.bytes)).reduce(commonDivisor, 0);
  const places = Math.floor(MAX_PLACES / ((skipped ?? 0) + 1));
  const unitBytes = Math.max(divisor, Math.ceil(bytes / places));
  return { ...counted, grid: { skipped: skipped ?? 0, units: Math.floor(bytes / unitBytes) }, unitBytes };
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** @param resolutionUs costs above the group's cheapest are rounded up to multiples of it; null: costs as they are */
function itemsOf(
  { choices }: LimitedGroup,
  { countsSkipped, unitBytes }: Counting,
  resolutionUs: number | null,
): Item[] {
  const leastUs = Math.min(...choices.map(({ costUs }) => costUs));
  return choices.map(({ costUs, loss, skipped, bytes }) => ({
    costUs: roundedUp(costUs, leastUs, resolutionUs),
    loss,
    skipped: countsSkipped ? skipped : 0,
    units: unitBytes === null ? 0 : Math.ceil(bytes / unitBytes),
  }));
}

function roundedUp(costUs: number, leastUs: number, resolutionUs: number | null): number {
  if (resolutionUs === null) return costUs;
  return costUs === leastUs ? 0 : Math.ceil((costUs - leastUs) / resolutionUs);
}

/** The points that nothing dominates once limits no longer matter, with their true sums. */
function frontierOf(groups: readonly LimitedGroup[], { list, trace }: Traced): ParetoPoint[] {
  const points: ParetoPoint[] = [];
  let least = Number.POSITIVE_INFINITY;
  for (let state = 0; state < list.size; state++) {
    if (list.losses[state] >= least) continue;
    least = list.losses[state];
    points.push(pointOf(groups, trace(state, 1)));
  }
  points.sort((a, b) => a.costUs - b.costUs || a.loss - b.loss); // rounded costs need not be in order
  least = Number.POSITIVE_INFINITY;
  return points.filter(({ loss }) => {
    if (loss >= least) return false;
    least = loss;
    return true;
  });
}

function pointOf(groups: readonly LimitedGroup[], picks: Uint16Array): ParetoPoint {
  const chosen = groups.map(({ choices }, g) => choices[picks[g]]);
  return {
    chosen: chosen.map(({ id }) => id),
    costUs: chosen.reduce((sum, { costUs }) => sum + costUs, 0),
    loss: chosen.reduce((sum, { loss }) => sum + loss, 0),
  };
}
