/** A drafted token stands where it is the target's most likely one. */
import { argmax } from "../../runtime/engine.js";
import type { Accept } from "./accept.js";

export const greedy: Accept = {
  lossless: true,
  accept(logits, { tokens, parents }, vocabSize) {
    const path: number[] = [];
    for (let at: number | null = null; ; ) {
      const next = argmax(logits, at === null ? 0 : at + 1, vocabSize);
      const child = tokens.findIndex((token, node) => token === next && parents[node] === at);
      if (child === -1) return { path, next };
      path.push(child);
      at = child;
    }
  },
};
