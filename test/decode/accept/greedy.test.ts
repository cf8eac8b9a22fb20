import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { greedy } from "../../../src/decode/accept/greedy.js";
import { chain, NOTHING, type Proposal } from "../../../src/decode/drafters/drafter.js";

const VOCAB = 3;
/** logits whose most likely token in each row is the one given */
const logitsOf = (best: readonly number[]) =>
  Float32Array.from(best.flatMap((token) => Array.from({ length: VOCAB }, (_, i) => (i === token ? 1 : 0))));
const accept = (best: readonly number[], proposal: Proposal) => greedy.accept(logitsOf(best), proposal, VOCAB, [0]);

describe("a chain", () => {
  test("stands up to the first token that is not the target's, which is put in its place", () => {
    expect(accept([1, 2, 0, 0], chain([1, 2, 1]))).toEqual({ path: [0, 1], next: 0 });
    expect(accept([1, 2, 0, 0], chain([0, 2, 0]))).toEqual({ path: [], next: 1 });
  });

  test("stands whole with a bonus token where all are the target's", () => {
    expect(accept([1, 2, 0, 2], chain([1, 2, 0]))).toEqual({ path: [0, 1, 2], next: 2 });
  });

  test("of nothing is a plain step", () => {
    expect(accept([2], NOTHING)).toEqual({ path: [], next: 2 });
  });
});

/** Every path from the pending token down, by trying them all; the longest of which every token is the target's. */
function longest(best: readonly number[], { tokens, parents }: Proposal): number[] {
  const pathTo = (node: number): number[] => {
    const parent = parents[node];
    return parent === null ? [node] : [...pathTo(parent), node];
  };
  const right = (path: number[]) => path.every((node, i) => tokens[node] === best[i === 0 ? 0 : path[i - 1] + 1]);
  const paths = tokens.map((_, node) => pathTo(node)).filter(right);
  return paths.reduce((most, path) => (path.length > most.length ? path : most), []);
}

test("of a tree the longest right path stands, and the target's token behind it follows", () => {
  const node = fc.record({ token: fc.nat(VOCAB - 1), parent: fc.nat() });
  fc.assert(
    fc.property(fc.array(node, { maxLength: 12 }), fc.infiniteStream(fc.nat(VOCAB - 1)), (nodes, stream) => {
      // siblings differ in their tokens
      const tokens: number[] = [];
      const parents: (number | null)[] = [];
      for (const { token, parent } of nodes) {
        const at = parent % (tokens.length + 1);
        const place = at === 0 ? null : at - 1;
        if (tokens.some((other, i) => other === token && parents[i] === place)) continue;
        tokens.push(token);
        parents.push(place);
      }
      const best = [...stream.take(tokens.length + 1)];
      const path = longest(best, { tokens, parents });
      expect(accept(best, { tokens, parents })).toEqual({
        path,
        next: best[path.length === 0 ? 0 : path[path.length - 1] + 1],
      });
    }),
    { seed: 20267, numRuns: 500 },
  );
});
