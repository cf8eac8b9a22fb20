import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type MadeDraft, madeProblem, makeText, simulate, tickingClock } from "../../bench/adapt-simulation.mjs";
import { Adaptation, type AdaptiveRange, type Arm, rehearse } from "../../src/decode/adapt.js";
import { adaptivePolicy } from "../../src/decode/adaptive-policy.js";
import { Belief, expectation, roundsPerToken } from "../../src/decode/belief.js";
import { type DraftPolicy, decode, type Round } from "../../src/decode/loop.js";
import { type ChoiceSet, uniformChoices } from "../../src/schema/choice.js";
import { fakeNextToken, naiveGreedy } from "../oracle/naive-greedy.js";
import { FakeClock } from "../support/fake-engine.js";
import { fakeEngine } from "../support/fake-model.js";

const { drafts, latency } = madeProblem();
const named = (key: string): MadeDraft => drafts.find((draft) => draft.key === key) as MadeDraft;
const planned: Arm = { draft: named("mixed"), draftTokens: 7 };
const draftOf = (choices: ChoiceSet) => drafts.find((draft) => draft.choices === choices) as MadeDraft;
const fixed = (arm: Arm | null): DraftPolicy => {
  const plan = arm === null ? null : { choices: arm.draft.choices, draftTokens: arm.draftTokens };
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
    draftUs: (c: ChoiceSet, n: number) => (c === planned.draft.choices ? 1.6 : 1) * latency.draftUs(c, n),
  };
  const clock = tickingClock(20);
  const adaptive = adaptivePolicy(new Adaptation(everywhere(planned), latency), clock, fixed(null));
  const run = { text: makeText({ seed: 3 }), draftOf, latency: slow, tokens: 800 };
  const us = simulate({ ...run, policy: adaptive.policy, clock }).us;
  const fixedUs = simulate({ ...run, policy: fixed(planned), clock: tickingClock(5) }).us;
  expect(us).toBeLessThan(1.02 * fixedUs);
});

describe("the belief", () => {
  const curve = { hazards: new Array(8).fill(0.05), spread: 0.3 };
  const other = { ...curve };
  const observed = (rounds: number, accepted: number, belief = new Belief([curve, other])) => {
    for (let i = 0; i < rounds; i++) belief.observe({ draft: 0, drafted: 8, accepted, emitted: accepted + 1 });
    return belief;
  };

  test("begins at the calibration's own rate", () => {
    expect(new Belief([curve]).difficulty()).toBeGreaterThan(0.85);
    expect(new Belief([curve]).difficulty()).toBeLessThan(1.2);
  });

  test("rises with rejections and falls with acceptance, more so with more of them", () => {
    expect(observed(12, 1).difficulty()).toBeGreaterThan(observed(3, 1).difficulty());
    expect(observed(3, 1).difficulty()).toBeGreaterThan(1);
    expect(observed(60, 8).difficulty()).toBeLessThan(new Belief([curve, other]).difficulty());
  });

  test("of one draft moves that of an equal one, though less", () => {
    const tables = [curve, other].map(({ hazards }) => roundsPerToken(hazards)[7]);
    const times = (belief: Belief) => belief.weights().map((weights, k) => expectation(weights, tables[k]));
    const [before, after] = [times(new Belief([curve, other])), times(observed(15, 1))];
    expect(after[1] / before[1]).toBeGreaterThan(1.1);
    expect(after[0] / before[0]).toBeGreaterThan(after[1] / before[1]);
  });

  test("fades with the tokens since, and outlives the drafts it was formed on", () => {
    const belief = observed(15, 1);
    const hard = belief.difficulty();
    belief.weights();
    belief.replaceDrafts([other]);
    expect(belief.difficulty()).toBeCloseTo(hard, 6);
    belief.observe({ draft: null, drafted: 0, accepted: 0, emitted: 4000 });
    expect(belief.difficulty()).toBeCloseTo(new Belief([other]).difficulty(), 2);
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
});

describe("the plan's ranges", () => {
  const round = (context: number): Round => ({
    context,
    nodes: 7,
    drafted: 7,
    accepted: 0,
    emitted: 1,
    draftUs: 50_000,
    verifyUs: 25_000,
    totalUs: 75_000,
  });
  const ranges: AdaptiveRange[] = [
    { to: 100, drafts, planned },
    { to: 200, drafts: [named("int8"), named("mixed")], planned: { draft: named("int8"), draftTokens: 3 } },
  ];

  test("an adaptation that is with the plan follows it from range to range, and covers nothing past the last", () => {
    const adaptation = new Adaptation(ranges, latency);
    expect(adaptation.armAt(10)).toEqual(planned);
    expect(adaptation.armAt(100)).toMatchObject({ draft: { key: "int8" }, draftTokens: 3 });
    expect([adaptation.covers(199), adaptation.covers(200), adaptation.armAt(200)]).toEqual([true, false, null]);
  });

  test("one that left the plan stays with its draft where that is known in the next range too", () => {
    const adaptation = new Adaptation(ranges, latency);
    adaptation.armAt(10);
    for (let i = 0; i < 30; i++) adaptation.observe(round(10), planned);
    const left = adaptation.decide(50);
    expect(left).not.toEqual(planned);
    const next = adaptation.armAt(150);
    expect([left?.draft.key ?? null, "int8"]).toContain(next?.draft.key ?? null);
    expect(adaptation.difficulty).toBeGreaterThan(3);
  });

  test("past the last range the plan itself is asked", () => {
    const asked: number[] = [];
    const { policy } = adaptivePolicy(new Adaptation(ranges, latency), new FakeClock(), (n) => {
      asked.push(n);
      return null;
    });
    expect([policy(150)?.draftTokens, policy(200), policy(4000)]).toEqual([3, null, null]);
    expect(asked).toEqual([200, 4000]);
  });
});

test("a plan that does not speculate is left alone where nothing promises a gain", () => {
  const poor = [named("six skipped")];
  const adaptation = new Adaptation([{ to: 1e9, drafts: poor, planned: null }], latency);
  const plain: Round = {
    context: 10,
    nodes: 0,
    drafted: 0,
    accepted: 0,
    emitted: 1,
    draftUs: 0,
    verifyUs: 21_000,
    totalUs: 21_050,
  };
  adaptation.armAt(10);
  for (let i = 0; i < 50; i++) adaptation.observe(plain, null);
  expect(adaptation.decide(10)).toBeNull();
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
    choices: uniformChoices(layers, key),
    hazards: new Array(8).fill(hazard),
    spread: 0.3,
  });
  const mine = [made("int8", 0.02), made("skip", 0.1)];
  const times = {
    draftUs: (c: ChoiceSet) => (c === mine[0].choices ? 60 : 20),
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
