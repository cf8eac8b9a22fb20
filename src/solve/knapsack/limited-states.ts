/** The lists behind limitedFrontier: every way through the groups that no other way dominates. */
import { PrefixMinimum } from "./prefix-minimum.js";

export interface Item {
  /** µs, or units of a resolution */
  cost: number;
  loss: number;
  skipped: number;
  /** bytes in the grid's unit */
  units: number;
}

/** Largest sums allowed; 0 for a coordinate that nothing uses. */
export interface Grid {
  skipped: number;
  units: number;
}

/** [size] by rising cost, then by rising loss */
interface States {
  size: number;
  costs: Float64Array;
  losses: Float64Array;
  skipped: Int32Array;
  units: Int32Array;
  /** position in the list before */
  parents: Uint32Array;
  /** position in the group's items */
  picks: Uint16Array;
}

/** The last list, and the way to each of its states. */
export interface Ways {
  size: number;
  costs: Float64Array;
  losses: Float64Array;
  /** [groups] positions in the groups' items */
  trace(state: number): number[];
}

/** @returns undefined where a list grew beyond `maxStates` */
export function searchWays(groups: readonly (readonly Item[])[], grid: Grid, maxStates: number): Ways | undefined {
  const seen = new PrefixMinimum(grid.skipped + 1, grid.units + 1);
  const floors = unreachable(groups, grid);
  const stages: Pick<States, "parents" | "picks">[] = [];
  let list = emptyStates(1);
  list.size = 1; // nothing chosen
  for (const [g, items] of groups.entries()) {
    seen.clear();
    const next = merge(list, items, { grid, floor: floors[g], seen, maxStates });
    if (next === undefined) return undefined;
    stages.push({ parents: next.parents.slice(0, next.size), picks: next.picks.slice(0, next.size) });
    list = next;
  }
  const trace = (state: number) => {
    const picks = new Array<number>(stages.length);
    let at = state;
    for (let g = stages.length - 1; g >= 0; g--) {
      picks[g] = stages[g].picks[at];
      at = stages[g].parents[at];
    }
    return picks;
  };
  return { size: list.size, costs: list.costs, losses: list.losses, trace };
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
    skipped -= Math.max(...items.map((item) => item.skipped));
    units -= Math.max(...items.map((item) => item.units));
  }
  return floors.reverse();
}

interface Merging {
  grid: Grid;
  floor: Grid;
  /** losses of the states so far, by what they skip and hold */
  seen: PrefixMinimum;
  maxStates: number;
}

/** One copy of `from` for each item, shifted by it, merged by rising cost and loss; what is dominated is left out. */
function merge(from: States, items: readonly Item[], { grid, floor, seen, maxStates }: Merging): States | undefined {
  const into = emptyStates(Math.min(maxStates, from.size * items.length));
  const heads = items.map(() => 0);
  let size = 0;
  for (;;) {
    const pick = cheapest(from, items, heads);
    if (pick === null) break;
    const state = heads[pick]++;
    const { cost, loss, skipped, units } = items[pick];
    const [skips, holds] = [from.skipped[state] + skipped, from.units[state] + units];
    if (skips > grid.skipped || holds > grid.units) continue;
    const [row, column] = [Math.max(skips, floor.skipped), Math.max(holds, floor.units)];
    const total = from.losses[state] + loss;
    if (seen.hasAtMost(total, row, column)) continue;
    if (size === maxStates) return undefined;
    seen.add(total, row, column);
    into.costs[size] = from.costs[state] + cost;
    into.losses[size] = total;
    into.skipped[size] = row;
    into.units[size] = column;
    into.parents[size] = state;
    into.picks[size] = pick;
    size++;
  }
  into.size = size;
  return into;
}

/** The item whose copy has the next state by cost, then loss; null where all copies are used up. */
function cheapest(from: States, items: readonly Item[], heads: readonly number[]): number | null {
  let best: number | null = null;
  let [bestCost, bestLoss] = [0, 0];
  for (let i = 0; i < items.length; i++) {
    const head = heads[i];
    if (head >= from.size) continue;
    const cost = from.costs[head] + items[i].cost;
    if (best !== null && cost > bestCost) continue;
    const loss = from.losses[head] + items[i].loss;
    if (best !== null && cost === bestCost && loss >= bestLoss) continue;
    best = i;
    bestCost = cost;
    bestLoss = loss;
  }
  return best;
}

function emptyStates(capacity: number): States {
  return {
    size: 0,
    costs: new Float64Array(capacity),
    losses: new Float64Array(capacity),
    skipped: new Int32Array(capacity),
    units: new Int32Array(capacity),
    parents: new Uint32Array(capacity),
    picks: new Uint16Array(capacity),
  };
}
