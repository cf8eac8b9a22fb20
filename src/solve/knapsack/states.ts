/**
 * The exact dynamic programming by dominance over lists (Nemhauser and Ullmann 1969, Management Science 15(9)): the one way
 * to a frontier, with limits on sums or without, and to the best choice for a budget.
 *
 * After g groups the list holds every sum that choices of those groups can reach and that no other dominates, by rising cost
 * and, at equal cost, rising loss. The next list merges one copy of it per choice, shifted by that choice. Each state
 * remembers its parent and its choice, which is all that tracing back needs.
 *
 * Without limits on sums a state is dominated by any that costs and loses no more: the merge goes by rising cost, so the
 * least loss so far decides. With them (the knapsack with several constraints: Kellerer, Pferschy and Pisinger 2004,
 * Knapsack Problems, ch. 9 and 11) it must skip and hold no more either: a prefix minimum over a grid of (skipped, bytes).
 *
 * Sums are built left to right in group order, so a state's cost *is* the sum a reader of the result would compute, to the
 * last bit; dominance is exact for such sums because rounded addition is monotone (see `nonDominated`).
 */
import { DraftplanError } from "../../core/errors.js";
import type { Item, StateList } from "./lists.js";
import { PrefixMinimum } from "./prefix-minimum.js";
import { mergeWhole, noPlaces, type Places, placesNeeded } from "./whole-merge.js";

export type { Item, StateList } from "./lists.js";

/** Largest sums allowed; 0 for a coordinate that nothing uses. */
export interface Grid {
  skipped: number;
  units: number;
}

/** What may be left out on the way: nothing for a whole frontier, much for a single budget. */
export interface Pruner {
  /** dearer states are not built; `done` groups are merged */
  costLimit(done: number): number;
  /** removes states in place */
  prune(list: StateList, done: number): void;
}

const NOTHING_PRUNED: Pruner = { costLimit: () => Number.MAX_VALUE, prune: () => undefined };

/** The last list, and the way to each of its states. */
export interface Traced {
  list: Pick<StateList, "size" | "costs" | "losses">;
  /** [count, groups] positions in the groups' items that reach the states first, first + 1, … */
  trace(first: number, count: number): Uint16Array;
}

/** 6 bytes each: 400 MB in all lists together. 160 groups of 30,000 states are 4.8 million. */
const MAX_STORED_STATES = 2 ** 26;

interface Search {
  maxStates: number;
  /** limits on sums; absent: none, and a list is then the shortest there is */
  grid?: Grid;
  /** for lists without a grid */
  pruner?: Pruner;
}

/**
 * The last list, or undefined where a list grew beyond `maxStates`.
 * @param groups at least one item each. Without a grid by rising cost and strictly falling loss
 * @throws OUT_OF_MEMORY where no limit was given and the lists do not fit
 */
export function searchStates(
  groups: readonly (readonly Item[])[],
  { maxStates, grid, pruner = NOTHING_PRUNED }: Search,
): Traced | undefined {
  const limit = Math.min(maxStates, MAX_STORED_STATES);
  const seen = grid && new PrefixMinimum(grid.skipped + 1, grid.units + 1);
  const floors = grid && unreachable(groups, grid);
  const stages: Pick<StateList, "parents" | "picks">[] = [];
  const whole = groups.every((items) => items.every(({ costUs }) => Number.isInteger(costUs)));
  const places = whole ? noPlaces() : null;
  let [list, spare] = [emptyList(1024, grid !== undefined), emptyList(1024, grid !== undefined)];
  list.size = 1; // cost 0, loss 0, nothing chosen
  pruner.prune(list, 0);
  let stored = 0;
  for (const [g, items] of groups.entries()) {
    const fits =
      seen && grid && floors
        ? mergeLimited(list, items, spare, { grid, floor: floors[g], seen, limit })
        : mergeFree(list, items, spare, { places, costLimit: pruner.costLimit(g + 1), limit });
    if (fits) pruner.prune(spare, g + 1);
    stored += fits ? spare.size : limit;
    if (!fits || stored > MAX_STORED_STATES) {
      if (maxStates < Number.POSITIVE_INFINITY) return undefined;
      throw tooLarge(stored, g + 1, groups.length);
    }
    stages.push({ parents: spare.parents.slice(0, spare.size), picks: spare.picks.slice(0, spare.size) });
    [list, spare] = [spare, list];
  }
  return { list, trace: (first, count) => traceBack(stages, first, count) };
}

/** Group by group for all states at once: neighbouring states have neighbouring parents, so memory is read in order. */
function traceBack(stages: readonly Pick<StateList, "parents" | "picks">[], first: number, count: number): Uint16Array {
  const groups = stages.length;
  const traced = new Uint16Array(count * groups);
  const at = Uint32Array.from({ length: count }, (_, i) => first + i);
  for (let g = groups - 1; g >= 0; g -= 1) {
    const { parents, picks } = stages[g];
    for (let i = 0; i < count; i += 1) {
      const state = at[i];
      traced[i * groups + g] = picks[state];
      at[i] = parents[state];
    }
  }
  return traced;
}

/** Without limits on sums: by whichever of the two ways is quicker here; both make the same list. */
function mergeFree(
  from: StateList,
  items: readonly Item[],
  into: StateList,
  { places, costLimit, limit }: { places: Places | null; costLimit: number; limit: number },
): boolean {
  if (from.size === 0) {
    into.size = 0;
    return true;
  }
  const count = places === null ? null : placesNeeded(from, items, costLimit);
  if (places === null || count === null) return merge(from, items, into, costLimit, limit);
  reserve(into, Math.min(limit, count), false);
  return mergeWhole(from, items, into, { places, count, limit });
}

/**
 * One copy of `from` for each item, shifted by it, merged by rising cost; what is dominated is skipped before it becomes
 * a head, so the cheapest head is nearly always taken. The innermost loop of all: of 160 groups of four choices, 30,000 µs,
 * it takes half the time of merging the copies one after another, and on lists where every µs is taken (the longest there
 * are) three quarters (bench/solve.mjs).
 * @returns false where more than `limit` states came out
 */
function merge(from: StateList, items: readonly Item[], into: StateList, costLimit: number, limit: number): boolean {
  const { costs, losses, size } = from;
  const count = items.length;
  reserve(into, Math.min(limit, size * count), false);
  const { costs: newCosts, losses: newLosses, parents, picks } = into;
  const itemCosts = Float64Array.from(items, ({ costUs }) => costUs);
  const itemLosses = Float64Array.from(items, ({ loss }) => loss);
  const heads = new Uint32Array(count);
  const headCosts = Float64Array.from(items, ({ costUs }) => costs[0] + costUs);
  let made = 0;
  let least = Number.POSITIVE_INFINITY;
  for (;;) {
    let pick = 0;
    let cost = headCosts[0];
    for (let i = 1; i < count; i += 1) {
      if (headCosts[i] < cost) {
        cost = headCosts[i];
        pick = i;
      }
    }
    if (cost === Number.POSITIVE_INFINITY || cost > costLimit) break; // all heads are used up, or too dear
    let head = heads[pick];
    const shift = itemLosses[pick];
    const loss = losses[head] + shift;
    if (loss < least) {
      // Of equal costs the later loses less and takes the place. They occur between the copies, and within one where
      // adding the choice made two costs the same (5e-324 + 1 is 1).
      if (made > 0 && newCosts[made - 1] === cost) made -= 1;
      if (made === limit) return false;
      newCosts[made] = cost;
      newLosses[made] = loss;
      parents[made] = head;
      picks[made] = pick;
      made += 1;
      least = loss;
    }
    do head += 1;
    while (head < size && losses[head] + shift >= least);
    heads[pick] = head;
    headCosts[pick] = head < size ? costs[head] + itemCosts[pick] : Number.POSITIVE_INFINITY;
  }
  into.size = made;
  return true;
}

/**
 * [groups] For each group the sums from which the groups after it cannot reach the limits any more: below them states do
 * not differ.
 */
function unreachable(groups: readonly (readonly Item[])[], grid: Grid): Grid[] {
  const floors: Grid[] = [];
  let [skipped, units] = [grid.skipped, grid.units];
  for (const items of groups.toReversed()) {
    floors.push({ skipped: Math.max(0, skipped), units: Math.max(0, units) });
    skipped -= Math.max(...items.map((item) => item.skipped ?? 0));
    units -= Math.max(...items.map((item) => item.units ?? 0));
  }
  return floors.reverse();
}

interface Limited {
  grid: Grid;
  floor: Grid;
  /** losses of the states so far, by what they skip and hold */
  seen: PrefixMinimum;
  limit: number;
}

/** The same with limits on sums, by rising cost and loss. */
function mergeLimited(
  from: StateList,
  items: readonly Item[],
  into: StateList,
  { grid, floor, seen, limit }: Limited,
): boolean {
  seen.clear();
  reserve(into, Math.min(limit, from.size * items.length), true);
  const heads = items.map(() => 0);
  let size = 0;
  for (let pick = cheapest(from, items, heads); pick !== null; pick = cheapest(from, items, heads)) {
    const state = heads[pick]++;
    const { costUs, loss, skipped = 0, units = 0 } = items[pick];
    const [skips, holds] = [from.skipped[state] + skipped, from.units[state] + units];
    if (skips > grid.skipped || holds > grid.units) continue;
    const [row, column] = [Math.max(skips, floor.skipped), Math.max(holds, floor.units)];
    const total = from.losses[state] + loss;
    if (seen.hasAtMost(total, row, column)) continue;
    if (size === limit) return false;
    seen.add(total, row, column);
    into.costs[size] = from.costs[state] + costUs;
    into.losses[size] = total;
    into.skipped[size] = row;
    into.units[size] = column;
    into.parents[size] = state;
    into.picks[size] = pick;
    size++;
  }
  into.size = size;
  return true;
}

/** The item whose copy has the next state by cost, then loss; null where all copies are used up. */
function cheapest(from: StateList, items: readonly Item[], heads: readonly number[]): number | null {
  let best: number | null = null;
  let [bestCost, bestLoss] = [0, 0];
  for (let i = 0; i < items.length; i++) {
    const head = heads[i];
    if (head >= from.size) continue;
    const cost = from.costs[head] + items[i].costUs;
    if (best !== null && cost > bestCost) continue;
    const loss = from.losses[head] + items[i].loss;
    if (best !== null && cost === bestCost && loss >= bestLoss) continue;
    best = i;
    bestCost = cost;
    bestLoss = loss;
  }
  return best;
}

/** Room for `capacity` states; what the list held is lost. */
function reserve(list: StateList, capacity: number, limited: boolean): void {
  if (list.costs.length < capacity) Object.assign(list, emptyList(2 * capacity, limited));
}

const emptyList = (capacity: number, limited: boolean): StateList => ({
  size: 0,
  costs: new Float64Array(capacity),
  losses: new Float64Array(capacity),
  parents: new Uint32Array(capacity),
  picks: new Uint16Array(capacity),
  skipped: new Int32Array(limited ? capacity : 0),
  units: new Int32Array(limited ? capacity : 0),
});

function tooLarge(states: number, done: number, groups: number): DraftplanError {
  return new DraftplanError({
    code: "OUT_OF_MEMORY",
    at: "solve",
    what: `whole-number costs are never rounded, and after ${done} of ${groups} groups the exact lists hold ${states} states or more`,
    remedy: "give costs in a coarser unit (whole µs rather than ns), or fewer choices",
  });
}
