import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type MadeDraft, madeProblem, makeText, simulate, tickingClock } from "../../../bench/adapt-simulation.mjs";
import { Adaptation, type AdaptiveRange, type Arm, rehearse } from "../../../src/decode/adaptive/adaptation.js";
import { adaptivePolicy } from "../../../src/decode/adaptive/policy.js";
import type { Drafter } from "../../../src/decode/drafters/drafter.js";
import { selfDrafter } from "../../../src/decode/drafters/self.js";
import { type DraftPolicy, decode } from "../../../src/decode/loop.js";
import { type ChoiceSet, uniformChoices } from "../../../src/schema/choice.js";
import { fakeNextToken, naiveGreedy } from "../../oracle/naive-greedy.js";
import { fakeEngine } from "../../support/fake-model.js";

const { drafts, latency } = madeProblem();
const named = (key: string): MadeDraft => drafts.find((draft) => draft.key === key) as MadeDraft;
const planned: Arm = { draft: named("mixed"), draftTokens: 7 };
const draftOf = (drafter: Drafter) => drafts.find((draft) => draft.drafter === drafter) as MadeDraft;
const fixed = (arm: Arm | null): DraftPolicy => {
  const plan = arm === null ? null : { drafter: arm.draft.drafter, draftTokens: arm.draftTokens };
  return () => plan;
};
const everywhere = (arm: Arm | null): AdaptiveRange[] => [{ to: 1e9, drafts, planned: arm }];

/** Time of an adaptive generation by that of a fixed arm, on one and the same text. */
function compare(seed: number, tokens: number, factor: (t: number) => number, other: Arm | null = planned) {
  const text = makeText({ seed, factor });
  const clock = tickingClock(20);
  const adaptive = adaptivePolicy(new Adaptation(everywhere(planned), latency), clock, fixed(null));
  const run = { text, draftOf, latency, tokens, seed };
  const adapted = simulate({ ...run, policy: adaptive.policy, clock });
  const plain = simulate({ ...run, policy: fixed(other), clock: tickingClock(5) });
  return { ratio: adapted.us / plain.us, adapted, ...adaptive.summary() };
}
const over = (seeds: number, of: (seed: number) => number): number[] =>
  Array.from({ length: seeds }, (_, i) => of(i + 1));
const median = (values: number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];

describe("a text like the calibration's", () => {
  test.each([256, 512])(
    "of %i tokens takes at most 1.02 times as long as with the fixed plan, on each of 60 texts",
    (tokens) => {
      const ratios = over(60, (seed) => compare(seed, tokens, () => 1).ratio);
      expect(Math.max(...ratios)).toBeLessThan(1.02);
    },
  );
});

describe("a harder text", () => {
  test.each([
    { factor: 3, below: 0.97 },
    { factor: 5, below: 0.87 },
    { factor: 8, below: 0.72 },
    { factor: 30, below: 0.45 },
  ])("rejecting $factor times as often is faster than with the fixed plan", ({ factor, below }) => {
    expect(median(over(25, (seed) => compare(seed, 400, () => factor).ratio))).toBeLessThan(below);
  });

  test("comes near the arm that would have been best in hindsight", () => {
    const arms: (Arm | null)[] = [
      null,
      ...drafts.flatMap((draft) => [2, 3, 5].map((d) => ({ draft, draftTokens: d }))),
    ];
    const ratios = over(8, (seed) => Math.max(...arms.map((arm) => compare(seed, 600, () => 8, arm).ratio)));
    expect(median(ratios)).toBeLessThan(1.13);
  });

  test("in its second half alone is noticed", () => {
    const changing = (t: number) => (t < 300 ? 1 : 8);
    expect(median(over(25, (seed) => compare(seed, 600, changing).ratio))).toBeLessThan(0.9);
  });

  test("that becomes easy again is drafted as before", () => {
    const backAgain = over(10, (seed) => {
      const { adapted } = compare(seed, 1600, (t) => (t < 300 ? 20 : 1));
      const late = adapted.rounds.slice(-20);
      return late.reduce((sum, { drafted }) => sum + drafted, 0) / late.length;
    });
    expect(median(backAgain)).toBeGreaterThan(4);
  });
});

describe("a text that is hard at first and then hardly ever rejects", () => {
  test.each([
    { hard: 40, factor: 12, p90: 1.06 },
    { hard: 60, factor: 40, p90: 0.95 },
  ])("for $hard tokens $factor times is not paid for long", ({ hard, factor, p90 }) => {
    const ratios = over(60, (seed) => compare(seed, 256, (t) => (t < hard ? factor : 0.3)).ratio).sort((a, b) => a - b);
    expect(ratios[54]).toBeLessThan(p90);
  });

  test("and plain for the time being is drafted again", () => {
    const again = over(10, (seed) => {
      const { adapted } = compare(seed, 500, (t) => (t < 60 ? 100 : 0.3));
      return adapted.rounds.slice(-10).filter(({ drafted }) => drafted >= 7).length;
    });
    expect(Math.min(...again)).toBeGreaterThan(4);
  });
});

test("a draft that takes longer than profiled is left for another", () => {
  const slow = {
    ...latency,
    draftUs: (c: ChoiceSet, n: number) => (c === named("mixed").choices ? 1.6 : 1) * latency.draftUs(c, n),
  };
  const clock = tickingClock(20);
  const adaptive = adaptivePolicy(new Adaptation(everywhere(planned), latency), clock, fixed(null));
  const run = { text: makeText({ seed: 3 }), draftOf, latency: slow, tokens: 800 };
  const us = simulate({ ...run, policy: adaptive.policy, clock }).us;
  const fixedUs = simulate({ ...run, policy: fixed(planned), clock: tickingClock(5) }).us;
  expect(us).toBeLessThan(1.02 * fixedUs);
});

test("rounds of one seed give one answer: nothing but what was observed decides", () => {
  const again = () => compare(7, 500, () => 6);
  const [a, b] = [again(), again()];
  expect(a.adapted).toEqual(b.adapted);
});

test("the time of re-planning is in the rounds' time, and is reported", () => {
  const { replanUs, replans, adapted } = compare(5, 400, () => 5);
  expect(replans).toBeGreaterThan(3);
  const passes = adapted.rounds.reduce((sum, r) => sum + r.totalUs, 0);
  expect(replanUs).toBeGreaterThan(0);
  expect(replanUs / passes).toBeLessThan(0.01);
});

test("whatever is adapted, the tokens are those of naive greedy decoding", async () => {
  const VOCAB = 50;
  const layers = 3;
  const made = (key: "int8" | "skip", hazard: number) => ({
    key,
    drafter: selfDrafter(uniformChoices(layers, key)),
    hazards: new Array(8).fill(hazard),
    spread: 0.3,
  });
  const mine = [made("int8", 0.02), made("skip", 0.1)];
  const times = {
    draftUs: ({ head }: ChoiceSet) => (head === "int8" ? 60 : 20),
    verifyUs: (_n: number, d: number) => 200 + 5 * d,
    stepUs: () => 205,
    roundUs: 2,
  };
  const cases = fc.record({
    prompt: fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 20 }),
    maxTokens: fc.integer({ min: 1, max: 200 }),
    missRate: fc.double({ min: 0, max: 1, noNaN: true }),
    endTokens: fc.array(fc.nat(VOCAB - 1), { maxLength: 1 }),
    to: fc.integer({ min: 1, max: 150 }),
  });
  let switched = 0;
  await fc.assert(
    fc.asyncProperty(cases, async ({ prompt, maxTokens, missRate, endTokens, to }) => {
      const arm = { draft: mine[0], draftTokens: 8 };
      const ranges = [
        { to, drafts: mine, planned: arm },
        { to: to + 60, drafts: [mine[1]], planned: null },
      ];
      const { engine, clock } = fakeEngine({ vocab: VOCAB, missRate, layers });
      rehearse(ranges, times);
      const adaptive = adaptivePolicy(new Adaptation(ranges, times), clock, fixed(arm));
      const { ids, rounds } = await decode(engine, prompt, { maxTokens, endTokens, policy: adaptive.policy, clock });
      expect(ids).toEqual(naiveGreedy((context) => fakeNextToken(context, VOCAB), prompt, maxTokens, endTokens));
      expect(rounds.reduce((sum, { emitted }) => sum + emitted, 0)).toBe(Math.max(0, ids.length - 1));
      switched += adaptive.summary().switches;
    }),
    { seed: 20261, numRuns: 80 },
  );
  expect(switched).toBeGreaterThan(5);
});
