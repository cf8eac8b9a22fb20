/** Ranges of contexts, latencies and what is decided from them: rounds in, an arm out. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type MadeDraft, madeProblem } from "../../../bench/adapt-simulation.mjs";
import {
  Adaptation,
  type AdaptiveLatency,
  type AdaptiveRange,
  type Arm,
} from "../../../src/decode/adaptive/adaptation.js";
import { Belief } from "../../../src/decode/adaptive/belief.js";
import type { Round } from "../../../src/decode/loop.js";

const { drafts, latency } = madeProblem();
const named = (key: string): MadeDraft => drafts.find((draft) => draft.key === key) as MadeDraft;
const planned: Arm = { draft: named("mixed"), draftTokens: 7 };
const everywhere = (arm: Arm | null): AdaptiveRange[] => [{ to: 1e9, drafts, planned: arm }];

/** A round that takes as long as it should. */
function round(context: number, arm: Arm | null, accepted: number): Round {
  const drafted = arm?.draftTokens ?? 0;
  const draftUs = arm === null ? 0 : arm.draft.drafter.costUs(latency, context, drafted);
  const verifyUs = arm === null ? latency.stepUs(context) : latency.verifyUs(context, drafted);
  const counts = { context, nodes: drafted, drafted, accepted, emitted: accepted + 1 };
  return { ...counts, draftUs, verifyUs, totalUs: draftUs + verifyUs + (arm === null ? 0 : latency.roundUs) };
}

describe("the plan's ranges", () => {
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
    for (let i = 0; i < 30; i++) adaptation.observe(round(10, planned, 0), planned);
    const left = adaptation.decide(50);
    expect(left).not.toEqual(planned);
    const next = adaptation.armAt(150);
    expect([left?.draft.key ?? null, "int8"]).toContain(next?.draft.key ?? null);
    expect(adaptation.difficulty).toBeGreaterThan(3);
  });
});

describe("what is believed of the text does not depend on where ranges end", () => {
  // the same draft has other hazards in the second range, and it is another object
  const later = { ...named("mixed"), hazards: new Array(16).fill(0.06) };
  const ranges: AdaptiveRange[] = [
    { to: 100, drafts: [named("mixed")], planned },
    { to: 1000, drafts: [named("int8"), later], planned: { draft: later, draftTokens: 4 } },
  ];
  const hard = (adaptation: Adaptation, count: number) => {
    for (let i = 0; i < count; i++) adaptation.observe(round(50, planned, 0), planned);
  };

  test("30 rejected rounds are as hard after the range has changed as before, though nothing was decided", () => {
    const adaptation = new Adaptation(ranges, latency);
    adaptation.armAt(50);
    hard(adaptation, 30);
    const before = adaptation.difficulty;
    expect(before).toBeGreaterThan(30);
    adaptation.armAt(150);
    expect(adaptation.difficulty).toBe(before);
  });

  test("30 hard rounds, a decision, 60 easy ones: the change does not bring the hard ones back", () => {
    const adaptation = new Adaptation(ranges, latency);
    adaptation.armAt(50);
    hard(adaptation, 30);
    adaptation.decide(80);
    for (let i = 0; i < 60; i++) adaptation.observe(round(50, planned, 7), planned);
    const before = adaptation.difficulty;
    expect(before).toBeLessThan(1.5);
    adaptation.armAt(150);
    expect(adaptation.difficulty).toBe(before);
  });

  test("a round that is told of after the range has changed counts as if it had been told of before", () => {
    const [prompt, late] = [new Adaptation(ranges, latency), new Adaptation(ranges, latency)];
    prompt.armAt(50);
    hard(prompt, 10);
    prompt.armAt(150);
    late.armAt(50);
    late.armAt(150);
    hard(late, 10);
    expect(late.difficulty).toBe(prompt.difficulty);
    expect(late.decide(150)).toEqual(prompt.decide(150));
  });

  test("a range cut in pieces is decided as one piece is, round for round", () => {
    const steady: AdaptiveLatency = {
      ...latency,
      draftUs: (choices) => latency.draftUs(choices, 0),
      verifyUs: (_n, d) => latency.verifyUs(0, d),
      stepUs: () => latency.stepUs(0),
    };
    const cuts = fc
      .uniqueArray(fc.integer({ min: 1, max: 400 }), { maxLength: 5 })
      .map((all) => all.sort((a, b) => a - b));
    const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 20, maxLength: 60 });
    fc.assert(
      fc.property(cuts, shares, fc.integer({ min: 1, max: 4 }), (to, accepts, every) => {
        const whole = new Adaptation(everywhere(planned), steady);
        const cut = new Adaptation(
          [...to, 1e9].map((end) => ({ to: end, drafts: drafts.slice(), planned })),
          steady,
        );
        let context = 0;
        for (const [i, share] of accepts.entries()) {
          const arm = whole.armAt(context);
          expect(cut.armAt(context)).toEqual(arm);
          const accepted = Math.round(share * (arm?.draftTokens ?? 0));
          const done = round(0, arm, accepted);
          for (const one of [whole, cut]) {
            one.observe({ ...done, context }, arm);
            if (i % every === 0) one.decide(context);
          }
          expect(cut.difficulty).toBe(whole.difficulty);
          context += done.emitted;
        }
      }),
      { seed: 20265, numRuns: 40 },
    );
  });
});

test("latencies are read anew as the context grows, within a range and with no round observed", () => {
  const dearFrom400: AdaptiveLatency = {
    ...latency,
    draftUs: (choices, n) => (n < 400 ? 1 : 10) * latency.draftUs(choices, n),
  };
  const adaptation = new Adaptation(everywhere(planned), dearFrom400);
  expect(adaptation.decide(10)).toEqual(planned);
  expect(adaptation.decide(390)).toEqual(planned);
  expect(adaptation.decide(450)).toBeNull();
});

test("a new range is decided by the latencies of its own drafts", () => {
  const ranges: AdaptiveRange[] = [
    { to: 100, drafts: [named("mixed")], planned },
    { to: 1000, drafts: [named("six skipped")], planned: null },
  ];
  const adaptation = new Adaptation(ranges, latency);
  expect(adaptation.decide(90)).toEqual(planned);
  expect(adaptation.decide(105)).toBeNull();
});

test("a draft is no longer in the next range than is known of it there", () => {
  const int8 = named("int8");
  const ranges: AdaptiveRange[] = [
    { to: 100, drafts: [int8], planned: null },
    { to: 1000, drafts: [{ ...int8, hazards: int8.hazards.slice(0, 2) }], planned: null },
  ];
  const adaptation = new Adaptation(ranges, latency);
  expect(adaptation.decide(10)?.draftTokens).toBeGreaterThan(2);
  expect(adaptation.armAt(150)).toMatchObject({ draft: { key: "int8" }, draftTokens: 2 });
});

test("plain steps that take longer than profiled are left for a draft", () => {
  const adaptation = new Adaptation([{ to: 1e9, drafts: [named("six skipped")], planned: null }], latency);
  expect(adaptation.decide(10)).toBeNull();
  for (let i = 0; i < 60; i++) {
    const step = round(10, null, 0);
    adaptation.observe({ ...step, totalUs: 1.4 * step.totalUs }, null);
  }
  expect(adaptation.decide(10)).toMatchObject({ draft: { key: "six skipped" } });
});

test("one interrupted pass does not drive the plan's draft away", () => {
  const adaptation = new Adaptation(everywhere(planned), latency);
  adaptation.armAt(10);
  for (let i = 0; i < 5; i++) adaptation.observe(round(10, planned, 6), planned);
  const interrupted = round(10, planned, 6);
  adaptation.observe({ ...interrupted, draftUs: 1e8, totalUs: 1e8 + interrupted.totalUs }, planned);
  expect(adaptation.decide(40)).toEqual(planned);
});

test("a round cut short by the output's end tells of its positions up to there, and no more", () => {
  const adaptation = new Adaptation(everywhere(planned), latency);
  adaptation.armAt(10);
  const belief = new Belief();
  for (let i = 0; i < 40; i++) {
    adaptation.observe({ ...round(10, planned, 0), drafted: 2, accepted: 2, emitted: 2 }, planned);
    belief.observe(planned.draft, { drafted: 2, accepted: 2, emitted: 2 });
  }
  expect(adaptation.difficulty).toBe(belief.difficulty());
  expect(adaptation.difficulty).toBeLessThan(1);
});

test("a plan that does not speculate is left alone where nothing promises a gain", () => {
  const poor = [named("six skipped")];
  const adaptation = new Adaptation([{ to: 1e9, drafts: poor, planned: null }], latency);
  adaptation.armAt(10);
  for (let i = 0; i < 50; i++) adaptation.observe(round(10, null, 0), null);
  expect(adaptation.decide(10)).toBeNull();
});
