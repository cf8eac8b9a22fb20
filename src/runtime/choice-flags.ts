/** Choices as the graph's inputs have them. */
import type { ChoiceSet, Kernel } from "../schema/choice.js";
import { requireKernels } from "./engine.js";

/**
 * [2L · flags + flags − 1] bytes in the order of `choiceInputNames`.
 * @throws CHOICE_UNAVAILABLE for a kernel that is not among these
 */
export function choiceFlags(choices: ChoiceSet, kernels: readonly Kernel[]): Uint8Array {
  requireKernels(choices, kernels);
  const perBlock = kernels.length; // runs, and one for every kernel but the last
  const flagged = kernels.slice(0, -1);
  const flags = new Uint8Array(choices.blocks.length * perBlock + flagged.length);
  choices.blocks.forEach((choice, block) => {
    flags[block * perBlock] = choice === "skip" ? 0 : 1;
    flagged.forEach((kernel, i) => {
      flags[block * perBlock + 1 + i] = choice === kernel ? 1 : 0;
    });
  });
  flagged.forEach((kernel, i) => {
    flags[choices.blocks.length * perBlock + i] = choices.head === kernel ? 1 : 0;
  });
  return flags;
}
