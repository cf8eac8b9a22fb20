/** Filters are transformers' own, value by value; and a naive twin's on vocabularies of any size. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { filtered, penaliser } from "../../../src/decode/accept/filters.js";
import { greedily } from "../../../src/decode/accept/greedy.js";
import { chain, NOTHING } from "../../../src/decode/drafters/drafter.js";
import type { Filters } from "../../../src/schema/sampling.js";
import { seededRandom } from "../../../src/stats/random.js";
import { naiveProbabilities } from "../../oracle/naive-filters.js";
import { trials } from "../../support/long.js";

interface Fixture {
  versions: Record<string, string>;
  text: number[];
  rows: Record<string, number[]>;
  cases: { row: string; filters: Filters; processors: string[]; probabilities: number[] }[];
}

const fixture = JSON.parse(readFileSync(new URL("../../fixtures/sampling.json", import.meta.url), "utf8")) as Fixture;

const shares = (weights: Float64Array): number[] => {
  const total = weights.reduce((a, b) => a + b, 0);
  return Array.from(weights, (weight) => weight / total);
};

describe("what is left is what transformers leaves", () => {
  const all = fixture.cases.map((one): [string, Fixture["cases"][number]] => [
    `${one.row}: ${JSON.stringify(one.filters)}`,
    one,
  ]);
  test.each(all)("%s", (_name, { row, filters, probabilities }) => {
    const logits = fixture.rows[row];
    const p = shares(filtered(filters)(Float32Array.from(logits), fixture.text, []));
    // which of equally likely tokens top-p takes away first, transformers leaves to a sort that is not stable
    const seen = new Set(filters.repetition_penalty === undefined ? [] : fixture.text);
    const alike = (of: readonly number[]) =>
      of
        .map((x, token) => ({ x, logit: logits[token], seen: seen.has(token) }))
        .sort((a, b) => a.logit - b.logit || Number(a.seen) - Number(b.seen) || a.x - b.x)
        .map(({ x }) => x);
    const hasTies = new Set(logits).size < logits.length && filters.top_p !== undefined;
    const [ours, theirs] = hasTies ? [alike(p), alike(probabilities)] : [p, probabilities];
    expect(ours.map((x) => x > 1e-30)).toEqual(theirs.map((x) => x > 1e-30));
    // theirs are float32 between the filters
    for (const [i, x] of ours.entries()) expect(Math.abs(x - theirs[i])).toBeLessThan(2e-6 + 2e-5 * theirs[i]);
  });

  test("the fixture has all five of them at once, in their order", () => {
    expect(fixture.cases.map(({ processors }) => processors.join(" "))).toContain(
      "RepetitionPenaltyLogitsProcessor TemperatureLogitsWarper TopKLogitsWarper TopPLogitsWarper MinPLogitsWarper",
    );
  });
});

test("and what a naive twin leaves, on larger vocabularies with ties and borders", () => {
  const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
  const filters = fc.record({
    temperature: fc.double({ min: 0.05, max: 4, noNaN: true }),
    repetition_penalty: optional(fc.double({ min: 0.3, max: 2, noNaN: true })),
    top_k: optional(fc.integer({ min: 1, max: 700 })),
    top_p: optional(fc.double({ min: 0.01, max: 1, noNaN: true })),
    min_p: optional(fc.double({ min: 0, max: 1, noNaN: true })),
  });
  const rows = fc.record({
    seed: fc.nat(),
    size: fc.integer({ min: 1, max: 600 }),
    spread: fc.constantFrom(0.1, 2, 9),
  });
  fc.assert(
    fc.property(filters, rows, fc.array(fc.nat(40), { maxLength: 20 }), (named, { seed, size, spread }, tokens) => {
      const random = seededRandom(seed);
      // quarters, so that many are equal
      const logits = Float32Array.from({ length: size }, () => Math.round(4 * spread * random.normal()) / 4);
      const text = tokens.filter((token) => token < size);
      const cut = random.index(text.length + 1);
      const given = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)) as Filters;
      const p = shares(filtered(given)(logits, text.slice(0, cut), text.slice(cut)));
      const twin = naiveProbabilities(logits, given, text);
      // a sum that comes to exactly 1 - p in one order of addition and not in another is nobody's fault: one token of it
      const differing = p.filter((x, i) => x > 1e-300 !== twin[i] > 1e-300).length;
      if (differing > 0) expect({ differing, p: given.top_p }).toEqual({ differing: 1, p: expect.any(Number) });
      else for (const [i, x] of p.entries()) expect(Math.abs(x - twin[i])).toBeLessThan(1e-9);
    }),
    { seed: 20268, numRuns: trials(300, 5000) },
  );
});

test("logits are left as they are, for whoever reads them next", () => {
  const logits = Float32Array.of(3, -1, 2, 0.5);
  filtered({ temperature: 0.5, top_k: 2, top_p: 0.5, min_p: 0.1, repetition_penalty: 2 })(logits, [0, 1], [2]);
  expect(Array.from(logits)).toEqual([3, -1, 2, 0.5]);
});

test("a filter that keeps nothing is refused", () => {
  for (const wrong of [
    { temperature: 0 },
    { temperature: Number.NaN },
    { temperature: -1 },
    { temperature: Number.POSITIVE_INFINITY },
    { temperature: 1, top_k: 0 },
    { temperature: 1, top_k: 1.5 },
    { temperature: 1, top_p: 0 },
    { temperature: 1, top_p: 1.1 },
    { temperature: 1, min_p: 1.1 },
    { temperature: 1, min_p: -0.1 },
    { temperature: 1, repetition_penalty: 0 },
  ])
    expect(() => filtered(wrong)).toThrow(RangeError);
});

describe("a repetition penalty", () => {
  test("falls once on a token, however often it is there, and on drafted ones as well", () => {
    const logits = Float32Array.of(4, -4, 1, 1);
    expect(Array.from(penaliser(2)(logits, [0, 0, 1], [2]))).toEqual([2, -8, 0.5, 1]);
    expect(penaliser(1)(logits, [0], [])).toBe(logits);
  });

  test("in greedy decoding: each drafted token is judged behind those that lead to it", () => {
    const vocab = 3;
    // token 0 is the likeliest everywhere, until it is there
    const rows = Float32Array.from([3, 2, 1, 3, 2, 1, 3, 2, 1, 3, 2, 1]);
    const accept = greedily(4);
    expect(accept.accept(rows, chain([0, 1, 2]), vocab, [])).toEqual({ path: [0, 1, 2], next: 0 });
    expect(accept.accept(rows, chain([0, 0, 0]), vocab, [])).toEqual({ path: [0], next: 1 });
    expect(accept.accept(rows, NOTHING, vocab, [0])).toEqual({ path: [], next: 1 });
    expect(accept.choose(rows.subarray(0, 3), [0], [1])).toEqual({ token: 2, distribution: null });
  });
});
