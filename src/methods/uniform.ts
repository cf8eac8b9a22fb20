/** Whole layers left out at even distances, chosen by nothing: what any choice has to beat. */
import { layerSet, skipCounts } from "./layers.js";
import type { Propose } from "./types.js";

/** Layers left out at even distances, the first and the last kept where there are others. */
export function evenlySkipped(layers: number, count: number): boolean[] {
  const skipped = new Array<boolean>(layers).fill(false);
  for (let i = 0; i < count; i++) skipped[Math.round(((i + 1) * (layers - 1)) / (count + 1))] = true;
  return skipped;
}

export const uniform: Propose = async ({ engine, contexts }) =>
  contexts.flatMap(({ atContext }) =>
    skipCounts(engine.spec.layers).map((count) => ({
      atContext,
      set: layerSet(evenlySkipped(engine.spec.layers, count)),
    })),
  );
