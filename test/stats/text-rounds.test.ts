/** Rounds along texts, against walking them one by one. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/stats/random.js";
import { acceptingBy, certainly, curveOf, type RoundAt, textRounds } from "../../src/stats/text-rounds.js";

/** [texts][positions] tokens that a lookup would have accepted; 0: it finds nothing */
type Texts = readonly (readonly number[])[];

/** Walks the texts: a lookup of d tokens where it finds something, a plain step where not. */
function walked(texts: Texts, d: number) {
  const found = { lookups: 0, plain: 0, tokens: 0 };
  for (const text of texts)
    for (let at = 0; at < text.length; ) {
      const accepted = Math.min(text[at], d, text.length - at);
      if (text[at] > 0) found.lookups++;
      else found.plain++;
      found.tokens += accepted + 1;
      at += accepted + 1;
    }
  return found;
}

const lookup =
  (texts: Texts, d: number) =>
  (text: number, position: number): RoundAt => {
    const run = Math.min(texts[text][position], d, texts[text].length - position);
    return texts[text][position] > 0
      ? { byLookup: true, drafted: d, accepting: certainly(run) }
      : { byLookup: false, drafted: 0, accepting: [1] };
  };

test("where all is certain, rounds are those of walking along the texts", () => {
  const cases = fc.record({
    texts: fc.array(fc.array(fc.nat(5), { minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 4 }),
    d: fc.integer({ min: 1, max: 6 }),
  });
  fc.assert(
    fc.property(cases, ({ texts, d }) => {
      const lengths = texts.map((text) => text.length);
      const { lookup: found, other } = textRounds(lengths, lookup(texts, d));
      const naive = walked(texts, d);
      expect([found.rounds, other.rounds]).toEqual([naive.lookups, naive.plain]);
      expect(found.reached[0] ?? 0).toBe(naive.lookups);
    }),
    { seed: 3, numRuns: 200 },
  );
});

test("where only a curve is known, counts are the mean of many walks that draw from it", () => {
  const curve = [1, 0.8, 0.5, 0.1];
  const texts = [[0, 0, 3, 0, 0, 0, 2, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0]];
  const at = (text: number, position: number): RoundAt =>
    texts[text][position] > 0
      ? lookup(texts, 4)(text, position)
      : { byLookup: false, drafted: 3, accepting: acceptingBy(curve, texts[text].length - position) };
  const { lookup: looked, other } = textRounds([texts[0].length], at);
  const random = seededRandom(5);
  const walks = 20_000;
  let [lookups, others] = [0, 0];
  for (let walk = 0; walk < walks; walk++)
    for (let position = 0; position < texts[0].length; ) {
      const { byLookup, accepting } = at(0, position);
      if (byLookup) lookups++;
      else others++;
      let left = random.float();
      let accepted = 0;
      while (accepted < accepting.length - 1 && left >= accepting[accepted]) left -= accepting[accepted++];
      position += accepted + 1;
    }
  // the standard error of a count below 20 a walk is below 3 / sqrt(20,000)
  expect(Math.abs(looked.rounds - lookups / walks)).toBeLessThan(5 * (3 / Math.sqrt(walks)));
  expect(Math.abs(other.rounds - others / walks)).toBeLessThan(5 * (3 / Math.sqrt(walks)));
});

test("a round that the text's end cuts short says nothing of positions behind it", () => {
  const { lookup: found } = textRounds([3], lookup([[3, 0, 0]], 8));
  expect(found.reached).toEqual([1, 1, 1]);
  expect(found.kept).toEqual([1, 1, 1]);
});

describe("a curve", () => {
  test("of many rounds is their share of accepted tokens; of few it leans on the pooled rate", () => {
    const many = { rounds: 8000, reached: [8000, 4000], kept: [4000, 1000] };
    expect(curveOf(many, 2)[1]).toBeCloseTo(0.5, 2);
    expect(curveOf(many, 2)[2]).toBeCloseTo(0.125, 2);
    const few = { rounds: 8, reached: [8, 1], kept: [1, 1] };
    expect(curveOf(few, 2)[2] / curveOf(few, 2)[1]).toBeLessThan(0.5);
    expect(curveOf({ rounds: 0, reached: [], kept: [] }, 2)).toEqual([1, 0, 0]);
  });

  test("never rises, and its chances sum to 1 wherever it is cut", () => {
    for (const left of [0, 1, 2, 9])
      expect(acceptingBy([1, 0.7, 0.2], left).reduce((sum, chance) => sum + chance, 0)).toBeCloseTo(1, 12);
  });
});
