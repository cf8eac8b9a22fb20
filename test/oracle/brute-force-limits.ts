// Naive twin of the knapsack under limits: tries every combination and looks at what it skips and holds. Imports nothing
// from src.
import { everyNonDominated } from "./brute-force-knapsack.js";

interface LimitedItem {
  id: string;
  costUs: number;
  loss: number;
  skipped: number;
  bytes: number;
}
type LimitedGroups = readonly { id: string; choices: readonly LimitedItem[] }[];

type Point = { costUs: number; loss: number };

/** The points that no other one dominates, by rising cost. */
export const nonDominated = (points: readonly Point[]): Point[] =>
  points.length === 0
    ? []
    : everyNonDominated([{ id: "all", choices: points.map(({ costUs, loss }, i) => ({ id: `${i}`, costUs, loss })) }]);

/** Every combination of one item of each list. */
function* everyPick<Item>(lists: readonly (readonly Item[])[]): Generator<Item[]> {
  if (lists.length === 0) return yield [];
  const [first, ...rest] = lists;
  for (const item of first) for (const others of everyPick(rest)) yield [item, ...others];
}

const sum = <Item>(items: readonly Item[], of: (item: Item) => number): number =>
  items.reduce((total, item) => total + of(item), 0);

/** Every non-dominated (cost, loss) of combinations that skip and hold no more than this; null: any number. */
export function withinSums(groups: LimitedGroups, skipped: number | null, bytes: number | null): Point[] {
  const found: Point[] = [];
  for (const items of everyPick(groups.map(({ choices }) => choices))) {
    if (skipped !== null && sum(items, (item) => item.skipped) > skipped) continue;
    if (bytes !== null && sum(items, (item) => item.bytes) > bytes) continue;
    found.push({ costUs: sum(items, ({ costUs }) => costUs), loss: sum(items, ({ loss }) => loss) });
  }
  return nonDominated(found);
}

/** What a draft may be, in the words of the command line. */
export interface Rules {
  wholeLayers: boolean;
  /** [blocks] */
  kept: readonly boolean[];
  maxSkip: number | null;
  mostBytes: number | null;
  /** of block `index` (the head's is the number of blocks) under a choice */
  bytesOf(index: number, choice: string): number;
}

/** @param chosen in block order, the head last */
export function keepsRules(chosen: readonly string[], rules: Rules): boolean {
  const blocks = chosen.slice(0, -1);
  if (rules.wholeLayers)
    for (let layer = 0; layer < blocks.length / 2; layer++)
      if (blocks[2 * layer] !== blocks[2 * layer + 1]) return false;
  if (blocks.some((choice, index) => rules.kept[index] && choice === "skip")) return false;
  if (rules.maxSkip !== null && blocks.filter((choice) => choice === "skip").length > rules.maxSkip) return false;
  let bytes = 0;
  for (const [index, choice] of chosen.entries()) bytes += rules.bytesOf(index, choice);
  return rules.mostBytes === null || bytes <= rules.mostBytes;
}

/** Every non-dominated (cost, loss) of drafts that keep the rules. */
export function withinRules(
  groups: readonly { choices: readonly { id: string; costUs: number; loss: number }[] }[],
  rules: Rules,
): Point[] {
  const found: Point[] = [];
  for (const items of everyPick(groups.map(({ choices }) => choices))) {
    const chosen = items.map(({ id }) => id);
    if (!keepsRules(chosen, rules)) continue;
    found.push({ costUs: sum(items, ({ costUs }) => costUs), loss: sum(items, ({ loss }) => loss) });
  }
  return nonDominated(found);
}
