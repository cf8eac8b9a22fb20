/**
 * The same lists for whole-number costs of a small range: one cell for every cost, least loss in it. No list has to be merged,
 * so where nearly every µs is on the frontier this takes a third of the time (bench/solve.mjs).
 */
import type { Candidate } from "./group.js";
import type { Traced } from "./pareto-list.js";

/** Cells of all groups together, a byte each. */
const MOST_CELLS = 2 ** 26;
const MOST_CHOICES = 256;

/**
 * @param candidates of each group, by rising cost and falling loss
 * @returns undefined where costs are no whole numbers, or too many
 */
export function denseLists(candidates: readonly (readonly Candidate[])[]): Traced | undefined {
  const least = candidates.reduce((sum, [cheapest]) => sum + cheapest.costUs, 0);
  const range = candidates.reduce((sum, list) => sum + list[list.length - 1].costUs, 0) - least;
  const fits = (range + 1) * candidates.length <= MOST_CELLS; // false for NaN, too
  if (!fits || !candidates.every((list) => list.length <= MOST_CHOICES && list.every(isWhole))) return undefined;
  const { losses, picks } = fill(candidates, range);
  const cells = frontierCells(losses);
  return {
    list: {
      size: cells.length,
      costs: Float64Array.from(cells, (cell) => least + cell),
      losses: Float64Array.from(cells, (cell) => losses[cell]),
      parents: new Uint32Array(),
      picks: new Uint16Array(),
    },
    trace: (first, count) => traceBack(candidates, picks, cells.subarray(first, first + count)),
  };
}

const isWhole = ({ costUs }: Candidate): boolean => Number.isSafeInteger(costUs);

/** losses [range + 1], Infinity where no choices cost so much; picks [groups][range + 1] */
function fill(candidates: readonly (readonly Candidate[])[], range: number) {
  let losses = new Float64Array(range + 1).fill(Number.POSITIVE_INFINITY);
  let spare = new Float64Array(range + 1);
  losses[0] = 0;
  let reach = 0;
  const picks = candidates.map((list) => {
    const picked = new Uint8Array(range + 1);
    const [cheapest] = list;
    const before = reach;
    reach += list[list.length - 1].costUs - cheapest.costUs;
    for (let cell = 0; cell <= reach; cell++) spare[cell] = losses[cell] + cheapest.loss;
    for (let pick = 1; pick < list.length; pick++)
      addChoice(spare, losses, picked, { ...list[pick], pick }, cheapest, before);
    spare.fill(Number.POSITIVE_INFINITY, reach + 1);
    [losses, spare] = [spare, losses];
    return picked;
  });
  return { losses, picks };
}

/** The innermost loop. */
function addChoice(
  into: Float64Array,
  from: Float64Array,
  picked: Uint8Array,
  { costUs, loss, pick }: Candidate & { pick: number },
  cheapest: Candidate,
  before: number,
): void {
  const shift = costUs - cheapest.costUs;
  for (let cell = 0; cell <= before; cell++) {
    const sum = from[cell] + loss;
    if (sum < into[cell + shift]) {
      into[cell + shift] = sum;
      picked[cell + shift] = pick;
    }
  }
}

/** Cells that lose less than every cheaper one. */
function frontierCells(losses: Float64Array): Uint32Array {
  const cells: number[] = [];
  let least = Number.POSITIVE_INFINITY;
  for (let cell = 0; cell < losses.length; cell++) {
    if (losses[cell] >= least) continue;
    least = losses[cell];
    cells.push(cell);
  }
  return Uint32Array.from(cells);
}

function traceBack(
  candidates: readonly (readonly Candidate[])[],
  picks: readonly Uint8Array[],
  cells: Uint32Array,
): Uint16Array {
  const groups = candidates.length;
  const traced = new Uint16Array(cells.length * groups);
  const at = cells.slice();
  for (let g = groups - 1; g >= 0; g--) {
    const shifts = Float64Array.from(candidates[g], ({ costUs }) => costUs - candidates[g][0].costUs);
    const picked = picks[g];
    for (let i = 0; i < at.length; i++) {
      const pick = picked[at[i]];
      traced[i * groups + g] = pick;
      at[i] -= shifts[pick];
    }
  }
  return traced;
}
