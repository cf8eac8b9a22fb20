// Naive twin of src/solve: tries every combination. Imports nothing from src.

interface Item {
  id: string;
  costUs: number;
  loss: number;
}
type Groups = readonly { id: string; choices: readonly Item[] }[];

export interface Combination {
  chosen: string[];
  costUs: number;
  loss: number;
}

/** Every combination, its sums added up left to right in group order. */
export function* everyCombination(groups: Groups): Generator<Combination> {
  const pick = groups.map(() => 0);
  while (true) {
    const items = groups.map((group, g) => group.choices[pick[g]]);
    yield {
      chosen: items.map((item) => item.id),
      costUs: items.reduce((sum, item) => sum + item.costUs, 0),
      loss: items.reduce((sum, item) => sum + item.loss, 0),
    };
    let g = groups.length - 1;
    while (g >= 0 && pick[g] === groups[g].choices.length - 1) pick[g--] = 0;
    if (g < 0) return;
    pick[g] += 1;
  }
}

/** Least loss with cost within the budget, and the least cost it can be had for; null where nothing fits. */
export function leastLoss(groups: Groups, budgetUs: number): { loss: number; costUs: number } | null {
  let best: { loss: number; costUs: number } | null = null;
  for (const { costUs, loss } of everyCombination(groups)) {
    if (costUs > budgetUs) continue;
    if (best === null || loss < best.loss || (loss === best.loss && costUs < best.costUs)) best = { loss, costUs };
  }
  return best;
}

/** Every (cost, loss) that no combination dominates, by rising cost. */
export function everyNonDominated(groups: Groups): { costUs: number; loss: number }[] {
  const all = [...everyCombination(groups)].map(({ costUs, loss }) => ({ costUs, loss }));
  all.sort((a, b) => a.costUs - b.costUs || a.loss - b.loss);
  let least = Number.POSITIVE_INFINITY;
  return all.filter(({ loss }) => {
    if (loss >= least) return false;
    least = loss;
    return true;
  });
}
