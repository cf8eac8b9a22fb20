/** The inputs of the graph that carry a pass's choices: their names, and their values. */
import { BLOCK_KINDS, type ChoiceSet, type Kernel, kernelOf } from "../../schema/choice.js";

/** Inputs that carry the choices, in the order of `choiceFlags`. */
export function choiceInputNames(layers: number, kernels: readonly Kernel[]): string[] {
  const flags = kernels.slice(0, -1);
  const names: string[] = [];
  for (let layer = 0; layer < layers; layer++) {
    for (const kind of BLOCK_KINDS) names.push(`run.${layer}.${kind}`, ...flags.map((k) => `${layer}.${kind}.${k}`));
  }
  return [...names, ...flags.map((k) => `head.${k}`)];
}

/** Those of them that inner `If`s ask; the outermost ask for the first kernel, or whether the block runs if there is one only. */
export function innerFlags(layers: number, kernels: readonly Kernel[]): string[] {
  const isOuter = (name: string) =>
    kernels.length === 1 ? name.startsWith("run.") : !name.startsWith("run.") && name.endsWith(`.${kernels[0]}`);
  return choiceInputNames(layers, kernels).filter((name) => !isOuter(name));
}

/**
 * [2L · flags + flags − 1] bytes in the order of `choiceInputNames`.
 * @param kernels what the graph holds; every kernel that is chosen is among them
 */
export function choiceFlags(choices: ChoiceSet, kernels: readonly Kernel[]): Uint8Array {
  const perBlock = kernels.length; // runs, and one for every kernel but the last
  const flagged = kernels.slice(0, -1);
  const flags = new Uint8Array(choices.blocks.length * perBlock + flagged.length);
  choices.blocks.forEach((choice, block) => {
    flags[block * perBlock] = choice === "skip" ? 0 : 1;
    flagged.forEach((kernel, i) => {
      flags[block * perBlock + 1 + i] = kernelOf(choice) === kernel ? 1 : 0;
    });
  });
  flagged.forEach((kernel, i) => {
    flags[choices.blocks.length * perBlock + i] = choices.head === kernel ? 1 : 0;
  });
  return flags;
}
