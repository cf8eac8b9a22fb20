import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Belief, type Curve, expectation, roundsPerToken } from "../../../src/decode/adaptive/belief.js";
import { naiveDifficulty, naiveWeights } from "../../oracle/naive-belief.js";

const curve: Curve = { key: "one", hazards: new Array(8).fill(0.05), spread: 0.3 };
const other: Curve = { ...curve, key: "other" };
const observed = (rounds: number, accepted: number, belief = new Belief()) => {
  for (let i = 0; i < rounds; i++) belief.observe(curve, { drafted: 8, accepted, emitted: accepted + 1 });
  return belief;
};

test("begins at the calibration's own rate", () => {
  expect(new Belief().difficulty()).toBeGreaterThan(0.85);
  expect(new Belief().difficulty()).toBeLessThan(1.2);
});

test("rises with rejections and falls with acceptance, more so with more of them", () => {
  expect(observed(12, 1).difficulty()).toBeGreaterThan(observed(3, 1).difficulty());
  expect(observed(3, 1).difficulty()).toBeGreaterThan(1);
  expect(observed(60, 8).difficulty()).toBeLessThan(new Belief().difficulty());
});

test("of one draft moves that of an equal one, though less", () => {
  const tables = [curve, other].map(({ hazards }) => roundsPerToken(hazards)[7]);
  const times = (belief: Belief) => belief.weights([curve, other]).map((weights, k) => expectation(weights, tables[k]));
  const [before, after] = [times(new Belief()), times(observed(15, 1))];
  expect(after[1] / before[1]).toBeGreaterThan(1.1);
  expect(after[0] / before[0]).toBeGreaterThan(after[1] / before[1]);
});

test("expected rounds a token are those of the curve, at the calibration's rate", () => {
  const at = roundsPerToken(curve.hazards).map((table) => Array.from(table)[12]); // x = 0
  const naive = curve.hazards.map((_, i) => {
    let tokens = 1;
    for (let k = 1; k <= i + 1; k++) tokens += Math.exp(-0.05 * k);
    return 1 / tokens;
  });
  at.forEach((value, i) => {
    expect(value).toBeCloseTo(naive[i], 12);
  });
});

describe("fades by itself", () => {
  test("to what was believed at first, with no question asked in between", () => {
    const belief = observed(30, 0);
    belief.observe(null, { drafted: 0, accepted: 0, emitted: 4000 });
    expect(belief.difficulty()).toBeCloseTo(new Belief().difficulty(), 6);
  });

  test("so that what was hard and then was easy is easy, whether it was asked about meanwhile or not", () => {
    const unasked = observed(60, 8, observed(30, 0));
    const asked = observed(30, 0);
    expect(asked.difficulty()).toBeGreaterThan(5);
    asked.weights([curve, other]);
    observed(60, 8, asked);
    asked.weights([other]);
    expect(asked.difficulty()).toBe(unasked.difficulty());
    expect(asked.difficulty()).toBeLessThan(1.5);
  });
});

test("is what summing everything again gives, whatever drafts were run at whatever contexts", () => {
  // two contexts, at which the same drafts have other hazards
  const curves: Curve[] = [
    { key: "a", hazards: [0.02, 0.05, 0.1, 0.1], spread: 0.3 },
    { key: "b", hazards: [0.3, 0.2, 0.2, 0.2], spread: 0.25 },
    { key: "a", hazards: [0.04, 0.04, 0.2, 0.1], spread: 0.3 },
    { key: "c", hazards: [0.01, 0.01, 0.01, 0.01], spread: 0.5 },
  ];
  const round = fc
    .record({ of: fc.option(fc.constantFrom(...curves)), drafted: fc.integer({ min: 1, max: 4 }), share: fc.nat(4) })
    .map(({ of: draft, drafted, share }) => {
      const accepted = draft === null ? 0 : Math.min(drafted, share);
      return { draft, drafted: draft === null ? 0 : drafted, accepted, emitted: accepted + 1 };
    });
  fc.assert(
    fc.property(fc.array(round, { maxLength: 25 }), fc.array(fc.boolean(), { maxLength: 25 }), (rounds, asked) => {
      const belief = new Belief();
      rounds.forEach(({ draft, ...counts }, i) => {
        belief.observe(draft, counts);
        if (asked[i]) belief.weights(curves.slice(0, 2));
      });
      expect(belief.difficulty()).toBeCloseTo(naiveDifficulty(rounds), 6);
      belief.weights(curves).forEach((weights, k) => {
        const naive = naiveWeights(rounds, curves[k]);
        weights.forEach((weight, j) => {
          expect(weight).toBeCloseTo(naive[j], 6);
        });
      });
    }),
    { seed: 20264, numRuns: 60 },
  );
});
