/** The 90 % interval of a plan's speedup, from the profile's draws, covers the truth in 85 to 95 % of sweeps. */
import { afterAll, describe, expect, test } from "vitest";
import { DRAFTS, MACHINES, sweepOnce } from "./interval-coverage.js";

const SWEEPS = 25;
const ROUNDS = [6, 16];

/** by sweep: the share of its intervals that cover, and every interval by draft */
const found = new Map<string, { shares: number[]; byDraft: Map<string, boolean[]> }>();

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
/** A sweep's intervals are off together, so sweeps are the units. */
const standardError = (shares: readonly number[]): number => {
  const centre = mean(shares);
  return Math.sqrt(mean(shares.map((share) => (share - centre) ** 2)) / (shares.length - 1));
};

describe.each(ROUNDS)("after %i rounds", (rounds) => {
  test.each(Object.keys(MACHINES))("on a machine %s", async (name) => {
    const shares: number[] = [];
    const byDraft = new Map<string, boolean[]>();
    for (let seed = 1; seed <= SWEEPS; seed++) {
      const intervals = await sweepOnce(MACHINES[name], rounds, seed);
      shares.push(mean(intervals.map(({ covers }) => Number(covers))));
      for (const { name: draft, covers } of intervals) byDraft.set(draft, [...(byDraft.get(draft) ?? []), covers]);
    }
    found.set(`${rounds} rounds, ${name}`, { shares, byDraft });
    const margin = 3 * standardError(shares);
    expect(mean(shares)).toBeGreaterThan(0.85 - margin);
    expect(mean(shares)).toBeLessThan(0.95 + margin);
  });
});

test("over all machines, and for every sort of draft", () => {
  expect(found.size).toBe(ROUNDS.length * Object.keys(MACHINES).length);
  const all = [...found.values()];
  const shares = all.flatMap((one) => one.shares);
  expect(mean(shares)).toBeGreaterThanOrEqual(0.85);
  expect(mean(shares)).toBeLessThanOrEqual(0.95);
  for (const draft of Object.keys(DRAFTS)) {
    const covers = all.flatMap(({ byDraft }) => byDraft.get(draft) ?? []).map(Number);
    expect(mean(covers), draft).toBeGreaterThanOrEqual(0.85);
    expect(mean(covers), draft).toBeLessThanOrEqual(0.95);
  }
});

afterAll(() => {
  for (const [name, { shares, byDraft }] of found) {
    const drafts = [...byDraft].map(([draft, covers]) => `${draft} ${(100 * mean(covers.map(Number))).toFixed(0)}`);
    console.log(`${name}: ${(100 * mean(shares)).toFixed(1)} % (${drafts.join(", ")})`);
  }
});
