/**
 * By what margins arms change, each shown from both sides. Drafts here are always accepted and cost what the context says, so
 * an arm's time a token is known exactly: (costs at the context) / 2, one token drafted.
 */
import { describe, expect, test } from "vitest";
import { Adaptation, type AdaptiveDraft, type AdaptiveLatency } from "../../../src/decode/adaptive/adaptation.js";

const STEP = 1000;
const VERIFY = 1000;

/** @param shares by context, in thousands: time a token of the draft, as a share of a plain step's */
const draft = (key: string, shares: readonly number[]): AdaptiveDraft =>
  ({
    hazards: [0],
    spread: 0.1,
    drafter: {
      key,
      draft: () => [],
      costUs: (_: unknown, n: number) => 2 * STEP * shares[Math.floor(n / 1000)] - VERIFY,
    },
    key,
  }) as never;

const latency = { verifyUs: () => VERIFY, stepUs: () => STEP, roundUs: 0 } as unknown as AdaptiveLatency;

/** The keys that are decided at context 0, 1000, …; the plan steps plainly. `slower`: plain steps as they turn out, by context */
function decided(drafts: readonly AdaptiveDraft[], contexts: number, slower: readonly number[] = []): string[] {
  const adaptation = new Adaptation([{ to: 1e6, drafts, planned: null }], latency);
  return Array.from({ length: contexts }, (_, i) => {
    const n = 1000 * i;
    const counts = { context: n, nodes: 0, drafted: 0, accepted: 0, emitted: 1, draftUs: 0, verifyUs: 0 };
    // so many that nothing else is remembered, but for the few rounds that the profile counts for
    if (slower[i] !== undefined)
      for (let k = 0; k < 400; k++) adaptation.observe({ ...counts, totalUs: STEP * slower[i] }, null);
    return adaptation.decide(n)?.draft.key ?? "plain";
  });
}
/** 400 rounds weigh 32, the profile's own latency 6: what plain steps must take to be held so many times as slow. */
const heldAs = (factor: number) => factor ** ((32 + 6) / 32);

describe("an arm that looked better than the plan's before anything was observed", () => {
  test.each([
    [0.945, "plain"],
    [0.938, "a"],
  ])("has 3 %% less of its lead, and must save 3 %% still: %d times a plain step", (share, key) => {
    // 0.97 / 1.03 = 0.9417
    expect(decided([draft("a", [share])], 1)).toEqual([key]);
  });
});

describe("an arm that looked no better is taken for what was observed alone", () => {
  test.each([
    [1.027, "plain"],
    [1.035, "a"],
  ])("leaving the plan must save 3 %%: plain steps %d times as slow", (factor, key) => {
    // 1 / 0.97 = 1.0309
    expect(decided([draft("a", [1])], 1, [heldAs(factor)])).toEqual([key]);
  });

  test.each([
    [1.017, "plain"],
    [1.024, "a"],
  ])("staying away must save 2 %% still: plain steps %d times as slow", (factor, key) => {
    expect(decided([draft("a", [1, 1])], 2, [heldAs(1.1), heldAs(factor)])).toEqual(["a", key]);
  });
});

test.each([
  [0.894, "a"],
  [0.886, "b"],
])("of two arms that are not the plan's the other must save 1 %%: %d against 0.9 of a plain step", (share, key) => {
  // both lose the same 3 % of their lead
  expect(decided([draft("a", [0.9, 0.9]), draft("b", [0.91, share])], 2)).toEqual(["a", key]);
});
