/**
 * Exact dominance dynamic programming over lists (Nemhauser and Ullmann 1969, Management Science 15(9)).
 *
 * After g groups the list holds every (cost, loss) that choices in those groups can reach and that no other reach
 * dominates, by rising cost and strictly falling loss. The next list merges one copy of it per choice, shifted by the
 * choice. Each state remembers its parent and its choice, which is all that tracing back needs.
 *
 * Sums are built left to right in group order, so a state's cost *is* the sum a reader of the result would compute,
 * to the last bit; dominance is exact for such sums because rounded addition is monotone (see `nonDominated`).
 */
import { DraftplanError } from "../../core/errors.js";
import type { Candidate } from "./group.js";

/** States by rising cost and strictly falling loss; arrays are longer than `size`. */
export interface StateList {
  size: number;
  costs: Float64Array;
  losses: Float64Array;
  /** [size] position in the list before */
  parents: Uint32Array;
  /** [size] position in the group's candidates */
  picks: Uint16Array;
}

/** What may be left out on the way: nothing for a whole frontier, much for a single budget. */
export interface Pruner {
  /** dearer states are not built; `done` groups are merged */
  costLimit(done: number): number;
  /** removes states in place */
  prune(list: StateList, done: number): void;
}

/** The last list, and the way to each of its states. */
export interface Traced {
  list: StateList;
  /** [count, groups] positions in the groups' candidates that reach the states first, first + 1, … */
  trace(first: number, count: number): Uint16Array;
}

type Stage = Pick<StateList, "parents" | "picks">;

/** 6 bytes each: 400 MB in all lists together. 160 groups of 30,000 states are 4.8 million. */
const MAX_STORED_STATES = 2 ** 26;

/**
 * The last list, or undefined where a list grew beyond `maxStates`.
 * @param groups candidates by rising cost and strictly falling loss, at least one each
 * @throws OUT_OF_MEMORY where no limit was given and the lists do not fit
 */
export function buildLists(
  groups: readonly (readonly Candidate[])[],
  pruner: Pruner,
  maxStates: number,
): Traced | undefined {
  const limit = Math.min(maxStates, MAX_STORED_STATES);
  const stages: Stage[] = [];
  const spares = [emptyList(1024), emptyList(1024)];
  let list = emptyList(1024);
  list.size = 1; // cost 0, loss 0, nothing chosen
  pruner.prune(list, 0);
  let stored = 0;
  for (const [g, candidates] of groups.entries()) {
    const merged = mergeShifted(list, candidates, spares, { costLimit: pruner.costLimit(g + 1), limit });
    if (merged !== undefined) pruner.prune(merged, g + 1);
    stored += merged?.size ?? limit;
    if (merged === undefined || stored > MAX_STORED_STATES) {
      if (maxStates < Number.POSITIVE_INFINITY) return undefined;
      throw tooLarge(stored, g + 1, groups.length);
    }
    stages.push({ parents: merged.parents.slice(0, merged.size), picks: merged.picks.slice(0, merged.size) });
    spares[spares.indexOf(merged)] = list;
    list = merged;
  }
  return { list, trace: (first, count) => traceBack(stages, first, count) };
}

/** Group by group for all states at once: neighbouring states have neighbouring parents, so memory is read in order. */
function traceBack(stages: readonly Stage[], first: number, count: number): Uint16Array {
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

/**
 * One shifted copy of `from` per candidate, merged into one of the two spare lists.
 * Copies are merged one after the other: on full lists (every µs taken) a third faster than all at once, on sparse
 * ones (9,000 of 30,000) a third slower, and half the code.
 * @returns undefined where more than `limit` states came out
 */
function mergeShifted(
  from: StateList,
  candidates: readonly Candidate[],
  spares: readonly StateList[],
  { costLimit, limit }: { costLimit: number; limit: number },
): StateList | undefined {
  let [merged, spare] = spares;
  merged.size = 0;
  for (const [pick, candidate] of candidates.entries()) {
    mergeCopy(merged, from, { ...candidate, pick }, spare);
    [merged, spare] = [spare, merged];
    while (merged.size > 0 && merged.costs[merged.size - 1] > costLimit) merged.size -= 1;
    if (merged.size > limit) return undefined;
  }
  return merged;
}

/** The innermost loop: merges `kept` and a copy of `from`, shifted by the choice, into `into`. */
function mergeCopy(
  kept: StateList,
  from: StateList,
  choice: { costUs: number; loss: number; pick: number },
  into: StateList,
): void {
  reserve(into, kept.size + from.size);
  // Held in locals, which V8 rewards with half the time.
  const { costs: keptCosts, losses: keptLosses, parents: keptParents, picks: keptPicks, size: keptSize } = kept;
  const { costs: fromCosts, losses: fromLosses, size: fromSize } = from;
  const { costs, losses, parents, picks } = into;
  const { costUs, loss, pick } = choice;
  let i = 0;
  let j = 0;
  let size = 0;
  // The heads of the two lists. What the last state dominates is skipped, so the cheaper head is always taken.
  let keptCost = keptSize > 0 ? keptCosts[0] : Number.POSITIVE_INFINITY;
  let newCost = fromSize > 0 ? fromCosts[0] + costUs : Number.POSITIVE_INFINITY;
  while (i < keptSize || j < fromSize) {
    const keptFirst = keptCost <= newCost;
    const cost = keptFirst ? keptCost : newCost;
    const best = keptFirst ? keptLosses[i] : fromLosses[j] + loss;
    // Of equal costs the later loses less and takes the place. They occur between the lists, and within one where
    // adding the choice made two costs the same (5e-324 + 1 is 1).
    if (size > 0 && costs[size - 1] === cost) size -= 1;
    costs[size] = cost;
    parents[size] = keptFirst ? keptParents[i] : j;
    picks[size] = keptFirst ? keptPicks[i] : pick;
    losses[size] = best;
    size += 1;
    while (i < keptSize && keptLosses[i] >= best) i += 1;
    while (j < fromSize && fromLosses[j] + loss >= best) j += 1;
    keptCost = i < keptSize ? keptCosts[i] : Number.POSITIVE_INFINITY;
    newCost = j < fromSize ? fromCosts[j] + costUs : Number.POSITIVE_INFINITY;
  }
  into.size = size;
}

/** Room for `capacity` states; what the list held is lost. */
function reserve(list: StateList, capacity: number): void {
  if (list.costs.length < capacity) Object.assign(list, emptyList(2 * capacity));
}

function emptyList(capacity: number): StateList {
  return {
    size: 0,
    costs: new Float64Array(capacity),
    losses: new Float64Array(capacity),
    parents: new Uint32Array(capacity),
    picks: new Uint16Array(capacity),
  };
}

function tooLarge(states: number, done: number, groups: number): DraftplanError {
  return new DraftplanError({
    code: "OUT_OF_MEMORY",
    at: "solve",
    what: `whole-number costs are never rounded, and after ${done} of ${groups} groups the exact lists hold ${states} states or more`,
    remedy: "give costs in a coarser unit (whole µs rather than ns), or fewer choices",
  });
}
