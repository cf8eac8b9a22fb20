/** Seeded knapsacks with limits on sums. */
import type { LimitedGroup, SumLimits } from "../../src/solve/index.js";
import { blocks, type Draw, draw, type Kind, smallInstance } from "./instances.js";

export interface LimitedInstance {
  kind: Kind;
  groups: LimitedGroup[];
  limits: SumLimits;
}

/** Sizes as a model's blocks have them (few, with a common divisor), or with nothing in common. */
const SIZES = [
  [0, 640, 1280, 4480],
  [0, 0, 7, 11],
  [3, 5, 1009],
];

export function limitedInstance(seed: number, mostCombinations: number): LimitedInstance {
  const { kind, groups } = smallInstance(seed, mostCombinations);
  const random = draw(1000 + seed);
  const sizes = SIZES[seed % SIZES.length];
  const limited = groups.map((group) => ({
    ...group,
    choices: group.choices.map((choice) => ({
      ...choice,
      skipped: random.int(0, 2),
      bytes: sizes[random.int(0, sizes.length - 1)],
    })),
  }));
  return {
    kind,
    groups: limited,
    limits: {
      skipped: drawLimit(limited, ({ skipped }) => skipped, random),
      bytes: drawLimit(limited, ({ bytes }) => bytes, random),
    },
  };
}

type Of = (choice: LimitedGroup["choices"][number]) => number;

/** None, nothing at all, exactly what some combination needs or one less, or anything up to more than is needed. */
function drawLimit(groups: readonly LimitedGroup[], of: Of, random: Draw): number | null {
  if (random.chance(0.15)) return null;
  if (random.chance(0.1)) return 0;
  const some = groups.reduce((sum, { choices }) => sum + of(choices[random.int(0, choices.length - 1)]), 0);
  if (random.chance(0.4)) return some;
  if (random.chance(0.3)) return Math.max(0, some - 1);
  const all = groups.reduce((sum, { choices }) => sum + Math.max(...choices.map(of)), 0);
  return 1.2 * all * random.float();
}

/** Blocks of a model with kernels of two sizes: skipped, int4, int8, target; and limits that matter. */
export function limitedBlocks(seed: number, count: number, whole = true): LimitedInstance & { budgetUs: number } {
  const random = draw(3000 + seed);
  const totalUs = random.int(2000, 30_000);
  const groups = blocks(seed, count, 4, totalUs, whole).map(({ id, choices }, g): LimitedGroup => {
    const size = g % 2 === 0 ? 640 : 1280;
    return {
      id,
      choices: choices.map((choice, c) => ({ ...choice, skipped: c === 0 ? 1 : 0, bytes: [0, size, 2 * size, 0][c] })),
    };
  });
  return {
    kind: whole ? "whole" : "fractional",
    groups,
    limits: {
      skipped: random.chance(0.2) ? null : Math.floor(count * 0.6 * random.float()),
      bytes: random.chance(0.2) ? null : Math.floor(count * 1500 * random.float()),
    },
    budgetUs: Math.round(totalUs * (0.4 + 0.6 * random.float())),
  };
}
