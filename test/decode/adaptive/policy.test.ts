/** The adaptation as a policy of the loop: when it learns and weighs, and what it says it did. */
import { expect, test, vi } from "vitest";
import { type MadeDraft, madeProblem, tickingClock } from "../../../bench/adapt-simulation.mjs";
import { Adaptation, type AdaptiveRange, type Arm } from "../../../src/decode/adaptive/adaptation.js";
import { Belief } from "../../../src/decode/adaptive/belief.js";
import { adaptivePolicy } from "../../../src/decode/adaptive/policy.js";
import { drafterOf, selfDrafter } from "../../../src/decode/drafters/self.js";
import { type DraftPolicy, decode, type Round } from "../../../src/decode/loop.js";
import { uniformChoices } from "../../../src/schema/choice.js";
import { FakeClock } from "../../support/fake-engine.js";
import { fakeEngine } from "../../support/fake-model.js";

const { drafts, latency } = madeProblem();
const named = (key: string): MadeDraft => drafts.find((draft) => draft.key === key) as MadeDraft;
const planned: Arm = { draft: named("mixed"), draftTokens: 7 };
const everywhere: AdaptiveRange[] = [{ to: 1e9, drafts, planned }];
const plain: DraftPolicy = () => null;
const passes = { draftUs: 50_000, verifyUs: 25_000, totalUs: 75_000 };
const round = (context: number, accepted: number): Round => ({
  ...{ context, nodes: 7, drafted: 7, accepted, emitted: accepted + 1 },
  ...passes,
});

test("past the last range the plan itself is asked", () => {
  const asked: number[] = [];
  const ranges = [{ to: 200, drafts, planned }];
  const { policy } = adaptivePolicy(new Adaptation(ranges, latency), new FakeClock(), (n) => {
    asked.push(n);
    return null;
  });
  expect([policy(150)?.draftTokens, policy(200), policy(4000)]).toEqual([7, null, null]);
  expect(asked).toEqual([200, 4000]);
});

test("a range that begins before the arms are weighed again forgets nothing of the one before", () => {
  // weighing costs so much that it is done once, and never again in this test
  const clock = tickingClock(1e9);
  const later = { ...named("mixed"), hazards: new Array(16).fill(0.06) };
  const ranges = [
    { to: 100, drafts, planned },
    { to: 1000, drafts: [later], planned: { draft: later, draftTokens: 7 } },
  ];
  const { policy, summary } = adaptivePolicy(new Adaptation(ranges, latency), clock, plain);
  const belief = new Belief();
  for (let i = 0; i < 40; i++) {
    const context = 60 + 2 * i;
    const draft = context < 100 ? named("mixed") : later;
    policy(context);
    policy.observe?.(round(context, i % 2));
    belief.observe(draft, { drafted: 7, accepted: i % 2, emitted: 1 + (i % 2) });
  }
  const { difficulty, replans } = summary();
  expect(replans).toBeLessThan(2);
  expect(difficulty).toBeGreaterThan(5);
  expect(difficulty).toBeCloseTo(belief.difficulty(), 9);
});

test("a weighing that was interrupted for ten seconds does not end weighing", () => {
  const clock = tickingClock(20);
  const adaptation = new Adaptation(everywhere, latency);
  const decide = adaptation.decide.bind(adaptation);
  let weighed = 0;
  vi.spyOn(adaptation, "decide").mockImplementation((context) => {
    weighed++;
    if (weighed === 3) clock.advance(10e6);
    return decide(context);
  });
  const { policy, summary } = adaptivePolicy(adaptation, clock, plain);
  const asked: string[] = [];
  for (let i = 0; i < 60; i++) {
    const request = policy(10 + i);
    asked.push(request === null ? "plain" : `${drafterOf(request).key} ${request.draftTokens}`);
    policy.observe?.(round(10 + i, 6));
  }
  expect(weighed).toBeGreaterThan(20);
  const changes = asked.filter((arm, i) => i > 0 && arm !== asked[i - 1]).length;
  expect(summary()).toMatchObject({ replans: weighed, switches: changes });
});

test("what the policy itself takes stands in the round, and says nothing about its passes", () => {
  const adaptation = new Adaptation(everywhere, latency);
  const observe = vi.spyOn(adaptation, "observe");
  const { policy } = adaptivePolicy(adaptation, tickingClock(1000), plain);
  for (let i = 0; i < 2; i++) {
    policy(10);
    policy.observe?.(round(10, 6));
  }
  // one look at the clock lies between the two that the first call is timed by
  expect(observe.mock.calls[0][0]).toMatchObject({ draftUs: 49_000, verifyUs: 25_000, totalUs: 74_000 });
});

test("an arm that is the plan's own in one range and not in another is counted apart", () => {
  const ranges: AdaptiveRange[] = [
    { to: 100, drafts, planned },
    { to: 1000, drafts, planned: null },
  ];
  const { policy, summary } = adaptivePolicy(new Adaptation(ranges, latency), tickingClock(20), plain);
  for (let i = 0; i < 150; i++) {
    const request = policy(i);
    const d = request?.draftTokens ?? 0;
    policy.observe?.({ ...round(i, 0), nodes: d, drafted: d, ...(d === 0 ? { draftUs: 0, totalUs: 21_050 } : {}) });
  }
  expect(summary().arms.flatMap(({ arm, planned }) => (arm === null ? [planned] : []))).toEqual([false, true]);
});

test("what an output's end cut off is no evidence: the belief is that of the positions before it", async () => {
  const choices = uniformChoices(3, "int8");
  const drafter = selfDrafter(choices);
  const draft = { key: drafter.key, drafter, hazards: new Array(8).fill(0.1), spread: 0.3 };
  const arm: Arm = { draft, draftTokens: 8 };
  const times = { draftUs: () => 60, verifyUs: () => 200, stepUs: () => 205, roundUs: 2 };
  let cut = 0;
  for (let id = 0; id < 40; id++) {
    const whole = fakeEngine({ missRate: 0.2 });
    const run = { maxTokens: 30, endTokens: [], clock: whole.clock };
    const { ids, rounds } = await decode(whole.engine, [id], { ...run, policy: () => ({ choices, draftTokens: 8 }) });
    if (ids[1] === ids[0] || rounds[0].accepted < 2) continue;
    cut++;
    const { engine, clock } = fakeEngine({ missRate: 0.2 });
    const adaptation = new Adaptation([{ to: 1e9, drafts: [draft], planned: arm }], times);
    const { policy, summary } = adaptivePolicy(adaptation, clock, plain);
    await decode(engine, [id], { maxTokens: 30, endTokens: [ids[1]], policy, clock });
    const belief = new Belief();
    belief.observe(draft, { drafted: 1, accepted: 1, emitted: 1 });
    expect(summary().difficulty).toBe(belief.difficulty());
  }
  expect(cut).toBeGreaterThan(10);
});
