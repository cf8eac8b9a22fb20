import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { Group } from "../../src/solve/index.js";

export const seeds = (count: number, first = 1): number[] => Array.from({ length: count }, (_, i) => first + i);

export interface Draw {
  /** from..to, both included */
  int(from: number, to: number): number;
  /** [0, 1) */
  float(): number;
  chance(p: number): boolean;
}

export function draw(seed: number): Draw {
  const rng = xoroshiro128plus(seed);
  const float = () => uniformFloat64(rng);
  return { int: (from, to) => uniformInt(rng, from, to), float, chance: (p) => float() < p };
}

/** How costs and losses are drawn. */
export const KINDS = [
  "whole",
  "fractional",
  "coarse (many ties)",
  "loss follows cost",
  "five orders of magnitude",
  "tenths",
] as const;
export type Kind = (typeof KINDS)[number];

function drawItem(kind: Kind, { int, float }: Draw): { costUs: number; loss: number } {
  const smooth = -Math.log(1 - float()) * 0.05;
  switch (kind) {
    case "whole":
      return { costUs: int(1, 400), loss: smooth };
    case "fractional":
      return { costUs: 400 * float(), loss: smooth };
    case "coarse (many ties)":
      return { costUs: int(0, 4), loss: int(0, 4) };
    case "loss follows cost": {
      const costUs = 400 * float();
      return { costUs, loss: (400 - costUs) / 1000 };
    }
    case "five orders of magnitude":
      return { costUs: 10 ** (5 * float() - 2), loss: 10 ** (-5 * float()) };
    case "tenths": // sums that depend on the order of addition
      return { costUs: int(0, 40) / 10, loss: int(0, 40) / 10 };
  }
}

export interface Instance {
  kind: Kind;
  groups: Group[];
  budgetUs: number;
}

/**
 * Groups whose combinations number at most `mostCombinations`, zeros among them, and a budget of some interest.
 * @param shape so many groups of so many choices; undefined: up to 14 groups of up to 4
 */
export function smallInstance(
  seed: number,
  mostCombinations: number,
  shape?: { groups: number; choices: number },
): Instance {
  const random = draw(seed);
  const kind = KINDS[seed % KINDS.length];
  const groups: Group[] = [];
  let combinations = 1;
  for (let g = shape?.groups ?? random.int(1, 14); g > 0; g -= 1) {
    const count = shape?.choices ?? random.int(1, 4);
    if (combinations * count > mostCombinations) break;
    combinations *= count;
    groups.push(drawGroup(`b${groups.length}`, count, kind, random));
  }
  return { kind, groups, budgetUs: drawBudget(groups, random) };
}

function drawGroup(id: string, count: number, kind: Kind, random: Draw): Group {
  return {
    id,
    choices: seeds(count, 0).map((c) => {
      const item = drawItem(kind, random);
      return {
        id: `c${c}`,
        costUs: random.chance(0.1) ? 0 : item.costUs,
        loss: random.chance(0.1) ? 0 : item.loss,
      };
    }),
  };
}

/** Anything between the extremes, below them, or exactly what some combination costs. */
function drawBudget(groups: readonly Group[], random: Draw): number {
  const total = (of: (costs: number[]) => number) =>
    groups.reduce((sum, group) => sum + of(group.choices.map((choice) => choice.costUs)), 0);
  const least = total((costs) => Math.min(...costs));
  const most = total((costs) => Math.max(...costs));
  const some = total((costs) => costs[random.int(0, costs.length - 1)]);
  if (random.chance(0.1)) return least * random.float();
  if (random.chance(0.1)) return least;
  if (random.chance(0.3)) return some;
  return least + (most - least) * random.float();
}

/** Blocks of a model: the target costs most and loses nothing, skipping costs nothing, losses and costs in between. */
export function blocks(seed: number, count: number, choices: number, totalUs: number, whole = true): Group[] {
  const random = draw(seed);
  return seeds(count, 0).map((g) => ({
    id: `b${g}`,
    choices: seeds(choices, 0).map((c) => {
      const share = (c / (choices - 1)) * (0.8 + 0.4 * random.float());
      const costUs = (totalUs / count) * share;
      const loss = c === choices - 1 ? 0 : -Math.log(1 - random.float()) * 0.05 * (choices - c);
      return { id: `c${c}`, costUs: whole ? Math.round(costUs) : costUs, loss };
    }),
  }));
}

/** Sums of the choices named, left to right. */
export function recompute(
  groups: readonly { id: string; choices: readonly Group["choices"][number][] }[],
  chosen: readonly string[],
): { costUs: number; loss: number } {
  const items = groups.map((group, g) => {
    const item = group.choices.find((choice) => choice.id === chosen[g]);
    if (item === undefined) throw new Error(`group ${group.id} has no choice ${chosen[g]}`);
    return item;
  });
  return {
    costUs: items.reduce((sum, item) => sum + item.costUs, 0),
    loss: items.reduce((sum, item) => sum + item.loss, 0),
  };
}
