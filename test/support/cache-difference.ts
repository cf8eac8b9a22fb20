import type { Engine } from "../../src/runtime/engine.js";

/** Greatest difference of two engines' keys and values over their first `count` tokens, all layers. */
export function cacheDifference(a: Engine, b: Engine, count: number): number {
  let worst = 0;
  for (let layer = 0; layer < a.spec.layers; layer++) {
    for (const part of ["key", "value"] as const) {
      const theirs = b.readCache(layer, part, 0, count);
      a.readCache(layer, part, 0, count).forEach((value, i) => {
        worst = Math.max(worst, Math.abs(value - theirs[i]));
      });
    }
  }
  return worst;
}
