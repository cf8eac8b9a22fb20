/**
 * How safe a block's choice is against the noise of the losses: what the best draft as quick as this one loses more
 * where that block does something else, beside the standard error of that difference.
 */
import type { CalibrationContext } from "../schema/calibration.js";
import { blockKind, blockLayer, type Choice, type HeadKernel } from "../schema/choice.js";
import type { Group } from "./knapsack/group.js";
import { leastLoss } from "./knapsack/multiple-choice.js";

export interface Margin {
  /** what the block does in that other draft */
  choice: string;
  /** Σ ℓ of that draft above this one's; below 0 the surrogate alone would choose otherwise */
  loss: number;
  /** of that difference, as if every loss had been measured by itself */
  standardError: number;
}

/** Standard error of a choice's loss, by group: blocks in order, then the head. The target loses nothing for certain. */
export function lossErrors(context: CalibrationContext, layers: number): (group: number, choice: string) => number {
  return (group, choice) => {
    if (choice === "target") return 0;
    const loss =
      group === 2 * layers
        ? context.head[choice as HeadKernel]
        : context[blockKind(group)][choice as Exclude<Choice, "target">]?.[blockLayer(group)];
    return loss?.standard_error ?? 0;
  };
}

/**
 * @param ids   choice ids in group order
 * @param group whose choice is ruled out
 * @returns null where no other draft is as quick
 */
export function marginOf(
  groups: readonly Group[],
  ids: readonly string[],
  group: number,
  errorOf: (group: number, choice: string) => number,
): Margin | null {
  const others = groups.map(({ id, choices }, g) => ({
    id,
    choices: g === group ? choices.filter((choice) => choice.id !== ids[g]) : choices,
  }));
  const chosen = groups.map(({ choices }, g) => choices.filter(({ id }) => id === ids[g])[0]);
  const budgetUs = chosen.reduce((sum, { costUs }) => sum + costUs, 0);
  const leastUs = others.reduce((sum, { choices }) => sum + Math.min(...choices.map(({ costUs }) => costUs)), 0);
  if (others[group].choices.length === 0 || leastUs > budgetUs) return null;
  const other = leastLoss(others, budgetUs);
  const squares = ids.map((choice, g) =>
    choice === other.chosen[g] ? 0 : errorOf(g, choice) ** 2 + errorOf(g, other.chosen[g]) ** 2,
  );
  return {
    choice: other.chosen[group],
    loss: other.loss - chosen.reduce((sum, { loss }) => sum + loss, 0),
    standardError: Math.sqrt(squares.reduce((sum, square) => sum + square, 0)),
  };
}
