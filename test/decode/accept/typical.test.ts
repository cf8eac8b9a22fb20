import fc from "fast-check";
import { expect, test } from "vitest";
import { greedy } from "../../../src/decode/accept/greedy.js";
import { sampling } from "../../../src/decode/accept/sampling.js";
import { typical } from "../../../src/decode/accept/typical.js";
import { chain, type Proposal } from "../../../src/decode/drafters/drafter.js";
import { seededRandom } from "../../../src/stats/random.js";

const VOCAB = 4;
const logitsOf = (rows: readonly (readonly number[])[]) => Float32Array.from(rows.flatMap((row) => row.map(Math.log)));
const random = seededRandom(1);
const EVEN = [0.25, 0.25, 0.25, 0.25];
const accept = (rows: readonly (readonly number[])[], proposal: Proposal, options = {}) =>
  typical({ random, distribution: 1, ...options }).accept(logitsOf(rows), proposal, VOCAB, [0]);

test("says that it is lossy; the others are lossless", () => {
  expect(typical({ random, distribution: 1 }).lossless).toBe(false);
  expect([greedy.lossless, sampling({ random, distribution: 1 }).lossless]).toEqual([true, true]);
});

test("where the target is sure, a token stands above epsilon, and no other", () => {
  const sure = [0.87, 0.1, 0.02, 0.01];
  // entropy 0.48 nats: 0.3 e^-0.48 is 0.186, and epsilon the smaller
  expect(accept([sure, EVEN], chain([1])).path).toEqual([0]);
  expect(accept([sure, EVEN], chain([2])).path).toEqual([]);
  expect(accept([sure, EVEN], chain([1]), { epsilon: 0.11 }).path).toEqual([]);
});

test("where it is undecided, less than epsilon will do", () => {
  // entropy 1.29 nats: 0.3 e^-1.29 is 0.083, and 0.5 of it 0.138
  expect(accept([[0.32, 0.32, 0.275, 0.085], EVEN], chain([3])).path).toEqual([0]);
  expect(accept([[0.32, 0.32, 0.275, 0.085], EVEN], chain([3]), { delta: 0.5 }).path).toEqual([]);
});

test("of a tree the longest standing path, of several the likeliest: by trying them all", () => {
  const node = fc.record({ token: fc.nat(VOCAB - 1), parent: fc.nat() });
  const weights = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: VOCAB, maxLength: VOCAB });
  fc.assert(
    fc.property(fc.array(node, { maxLength: 9 }), fc.infiniteStream(weights), (nodes, stream) => {
      const tokens = nodes.map(({ token }) => token);
      const parents = nodes.map(({ parent }, i) => (parent % (i + 1) === 0 ? null : (parent % (i + 1)) - 1));
      const rows = [...stream.take(nodes.length + 1)].map((row) => {
        const total = row.reduce((a, b) => a + b, 0);
        return row.map((x) => x / total);
      });
      const pathTo = (at: number): number[] => [...(parents[at] === null ? [] : pathTo(parents[at] as number)), at];
      const chance = (path: readonly number[]) => path.map((at, i) => rows[i === 0 ? 0 : path[i - 1] + 1][tokens[at]]);
      const asked = (path: number[]) =>
        path.map((_, i) => {
          const row = rows[i === 0 ? 0 : path[i - 1] + 1];
          const entropy = -row.reduce((sum, x) => sum + x * Math.log(x), 0);
          return Math.min(0.3, 0.6 * Math.exp(-entropy));
        });
      const standing = tokens
        .map((_, at) => pathTo(at))
        .filter((path) => chance(path).every((x, i) => x > asked(path)[i]));
      const product = (path: readonly number[]) => chance(path).reduce((a, b) => a * b, 1);
      const { path, next } = accept(rows, { tokens, parents }, { epsilon: 0.3, delta: 0.6 });
      const longest = standing.reduce((most, { length }) => Math.max(most, length), 0);
      expect(path).toHaveLength(longest);
      if (longest > 0) {
        const best = Math.max(...standing.filter(({ length }) => length === longest).map(product));
        expect(standing).toContainEqual([...path]);
        expect(product(path) / best).toBeCloseTo(1, 4); // logits are float32
      }
      expect(next).toBeLessThan(VOCAB);
    }),
    { seed: 20271, numRuns: 400 },
  );
});

test("is lossy indeed: a drafted token comes more often than the target would draw it", () => {
  const p = [0.5, 0.3, 0.1, 0.1];
  let drafted = 0;
  for (let i = 0; i < 1000; i++) drafted += accept([p, EVEN], chain([1])).path.length;
  expect(drafted).toBe(1000);
});
