/** A kernel of drafts in the target's role: the model is then served as that kernel computes it. */
import type { KernelDefinition, TargetDefinition } from "./kernel.js";

/** @param tieMargin see TargetDefinition */
export const quantisedTarget = <Name extends string>(
  kernel: KernelDefinition<Name>,
  tieMargin: number,
): TargetDefinition<Name> => ({ ...kernel, float: null, tieMargin });
