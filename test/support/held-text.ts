import { expect } from "vitest";
import type { Engine } from "../../src/runtime/engine.js";

/**
 * For `onTokens` of a decoding with the fake engine: after every round its first layer's cache holds what the target writes of
 * the text so far, and nothing of a draft's.
 * @returns the text, as it grows
 */
export function heldText(engine: Pick<Engine, "readCache">, prompt: readonly number[]) {
  const text = [...prompt];
  const check = (ids: readonly number[]): void => {
    text.push(...ids);
    // the last token emitted is not in the cache yet; a cell that the target did not write would be negative
    const expected = text.slice(0, -1).map((id) => id + 1);
    for (const part of ["key", "value"] as const)
      expect(Array.from(engine.readCache(0, part, 0, expected.length))).toEqual(expected);
  };
  return { text, check };
}
