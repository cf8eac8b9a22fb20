// Naive twin of src/solve for whole costs: the textbook's table over every cost. Imports nothing from src.

interface Item {
  costUs: number;
  loss: number;
}

/** Every (cost, loss) that no combination dominates, by rising cost: one row of the table after another, all costs in it. */
export function denseFrontier(groups: readonly { choices: readonly Item[] }[]): { costUs: number; loss: number }[] {
  let least: number[] = [0]; // [cost] the least loss of exactly this cost so far
  for (const { choices } of groups) {
    const next = new Array<number>(least.length + Math.max(...choices.map(({ costUs }) => costUs)));
    next.fill(Number.POSITIVE_INFINITY);
    least.forEach((loss, cost) => {
      for (const item of choices) {
        const at = cost + item.costUs;
        if (loss + item.loss < next[at]) next[at] = loss + item.loss;
      }
    });
    least = next;
  }
  let best = Number.POSITIVE_INFINITY;
  return least.flatMap((loss, costUs) => {
    if (loss >= best) return [];
    best = loss;
    return [{ costUs, loss }];
  });
}
