/** Drafts that leave out whole layers. */
import type { ChoiceSet } from "../schema/choice.js";

/** Counts worth proposing: all small ones, then wider apart, up to half of the layers. */
export function skipCounts(layers: number): number[] {
  const most = Math.max(1, Math.floor(layers / 2));
  return [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64].filter((count) => count <= most);
}

export const layerSet = (skipped: readonly boolean[]): ChoiceSet => ({
  blocks: skipped.flatMap((skip) => (skip ? ["skip", "skip"] : ["target", "target"]) as ("skip" | "target")[]),
  head: "target",
});
