/** Lookups as arms: what is watched of them, what is believed, what their rounds are expected to take. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tickingClock } from "../../../bench/adapt-simulation.mjs";
import { Adaptation } from "../../../src/decode/adaptive/adaptation.js";
import type { AdaptiveDraft } from "../../../src/decode/adaptive/arms.js";
import { COUNT, MEMORY_TOKENS, roundsPerToken } from "../../../src/decode/adaptive/belief.js";
import { certainUs, expectedUs } from "../../../src/decode/adaptive/expected-time.js";
import { LookupBeliefs } from "../../../src/decode/adaptive/lookup-belief.js";
import { LookupWatch } from "../../../src/decode/adaptive/lookup-watch.js";
import { adaptivePolicy } from "../../../src/decode/adaptive/policy.js";
import type { DraftState } from "../../../src/decode/drafters/drafter.js";
import { lookupDrafter } from "../../../src/decode/drafters/lookup.js";
import { drafterOf } from "../../../src/decode/drafters/self.js";
import { seededRandom } from "../../../src/stats/random.js";
import { naiveLookup, naiveMatch } from "../../oracle/naive-lookup.js";

test("what is watched is what a lookup would have proposed, by comparing everything with everything", () => {
  const cases = fc.array(fc.array(fc.nat(2), { minLength: 1, maxLength: 5 }), { minLength: 2, maxLength: 20 });
  fc.assert(
    fc.property(cases, ([prompt, ...rounds]) => {
      const watch = new LookupWatch(4, 6);
      watch.begin(prompt);
      const text = [...prompt];
      for (const tokens of rounds) {
        const { tokens: matched } = naiveMatch(text, 1, 4);
        const proposed = naiveLookup(text, 1, 4, 6);
        let right = 0;
        while (right < tokens.length && proposed[right] === tokens[right]) right++;
        const rejected = right < tokens.length && right < proposed.length;
        watch.extend(tokens);
        expect(watch.last).toEqual({ matched, right, rejected });
        text.push(...tokens);
      }
    }),
    { seed: 20202, numRuns: 60 },
  );
});

test("the share of matches is a beta's mean about the calibration's, of what faded with the tokens since", () => {
  const beliefs = new LookupBeliefs();
  const curve = { key: "lookup", hazards: [0.3, 0.2], spread: 0.5 };
  const rounds = Array.from({ length: 60 }, (_, i) => ({ matched: i % 3 === 0 ? 4 : 1, emitted: 1 + (i % 4) }));
  for (const { matched, emitted } of rounds)
    beliefs.observe({ matched, right: 0, rejected: matched === 4 }, emitted, new Map([[2, curve]]));
  let [found, all, since] = [0, 0, 0];
  for (const { matched, emitted } of [...rounds].reverse()) {
    all += Math.exp(-since / MEMORY_TOKENS);
    if (matched >= 2) found += Math.exp(-since / MEMORY_TOKENS);
    since += emitted;
  }
  const { match } = beliefs.of({ minMatch: 2, curve, match: 0.25 });
  expect(match).toBeCloseTo((found + 8 * 0.25) / (all + 8), 9);
});

test("a lookup that is rejected at once is believed harder, one that is right easier", () => {
  const curve = { key: "lookup", hazards: [0.3, 0.3, 0.3], spread: 0.5 };
  const meanAfter = (right: number, rejected: boolean) => {
    const beliefs = new LookupBeliefs();
    for (let i = 0; i < 20; i++) beliefs.observe({ matched: 3, right, rejected }, right + 1, new Map([[2, curve]]));
    const { weights } = beliefs.of({ minMatch: 2, curve, match: 0.5 });
    return weights.reduce((sum, w, j) => sum + w * j, 0);
  };
  const before = new LookupBeliefs().of({ minMatch: 2, curve, match: 0.5 });
  const prior = before.weights.reduce((sum, w, j) => sum + w * j, 0);
  expect(meanAfter(0, true)).toBeGreaterThan(prior + 1);
  expect(meanAfter(3, false)).toBeLessThan(prior - 1);
});

describe("the expected time a token", () => {
  /** grid point of x = 0, where hazards are the calibration's */
  const CENTRE = 12;
  const one = (at: number) => Float64Array.from({ length: COUNT }, (_, j) => (j === at ? 1 : 0));

  /** Time of a round over its tokens, by every way it can end. */
  function enumerated(kinds: { chance: number; us: number; hazards: number[] }[]): number {
    let [us, tokens] = [0, 0];
    for (const kind of kinds) {
      us += kind.chance * kind.us;
      let reached = kind.chance;
      kind.hazards.forEach((hazard, i) => {
        tokens += reached * (1 - Math.exp(-hazard)) * (i + 1);
        reached *= Math.exp(-hazard);
      });
      tokens += reached * (kind.hazards.length + 1);
    }
    return us / tokens;
  }
  const own = [0.2, 0.5, 0.1];
  const looked = [0.1, 0.4];
  const times = { ownUs: 900, lookupUs: 400 };
  const tables = (o: number[] | null, l: number[] | null) => ({
    own: o === null ? null : roundsPerToken(o)[o.length - 1],
    lookup: l === null ? null : roundsPerToken(l)[l.length - 1],
  });

  test.each([
    ["a drafter by itself", tables(own, null), [{ chance: 1, us: 900, hazards: own }]],
    [
      "a lookup alone",
      tables(null, looked),
      [
        { chance: 0.3, us: 400, hazards: looked },
        { chance: 0.7, us: 900, hazards: [] },
      ],
    ],
    [
      "a lookup in front of a drafter",
      tables(own, looked),
      [
        { chance: 0.3, us: 400, hazards: looked },
        { chance: 0.7, us: 900, hazards: own },
      ],
    ],
  ])("of %s is that of all ways its rounds can end", (_name, table, kinds) => {
    const lookup = { match: 0.3, weights: one(CENTRE) };
    expect(expectedUs(times, table, one(CENTRE), lookup)).toBeCloseTo(enumerated(kinds), 9);
    expect(certainUs(times, table, CENTRE, CENTRE, 0.3)).toBeCloseTo(enumerated(kinds), 9);
  });

  test("is a mean over what the text may be like", () => {
    const half = Float64Array.from({ length: COUNT }, (_, j) => (j === 8 || j === 16 ? 0.5 : 0));
    const table = tables(null, looked);
    const each = [8, 16].map((at) => certainUs(times, table, CENTRE, at, 0.3));
    expect(expectedUs(times, table, one(CENTRE), { match: 0.3, weights: half })).toBeCloseTo(
      (each[0] + each[1]) / 2,
      9,
    );
  });
});

describe("a plan of plain decoding", () => {
  const latency = {
    draftUs: () => 8000,
    verifyUs: (_n: number, d: number) => 20_000 + 800 * d,
    stepUs: () => 20_050,
    roundUs: 60,
  };
  const ngramTokens = { min: 2, max: 8 };
  const drafter = lookupDrafter(ngramTokens);
  /** what the calibration makes of it: it hardly ever matches */
  const arm: AdaptiveDraft = {
    ...{ key: drafter.key, drafter, hazards: new Array(12).fill(0.4), spread: 0.6 },
    lookup: {
      ...{ minMatch: 2, maxNgram: 8, alone: true, draftTokens: 12, match: 0.03 },
      curve: { key: "lookup from 2", hazards: new Array(12).fill(0.4), spread: 0.6 },
    },
  };

  /** As decode() does over a text that is known; µs of each token's share of its round. */
  function run(text: readonly number[], prompt: number) {
    const clock = tickingClock(5);
    const adaptation = new Adaptation([{ to: 1e9, drafts: [arm], planned: null }], latency);
    const { policy, summary } = adaptivePolicy(adaptation, clock, () => null);
    for (const one of policy.drafters ?? [])
      one.begin?.(text.slice(0, prompt), { tick: async () => {}, warn: () => {} });
    const usOf: number[] = [];
    for (let end = prompt; end < text.length; ) {
      const from = clock.peekUs();
      const request = policy(end - 1);
      const state = { text: text.slice(0, end) } as unknown as DraftState;
      const tokens = request === null ? [] : drafterOf(request).draft(state, request.draftTokens).tokens;
      const drafted = Math.min(tokens.length, text.length - end - 1);
      let accepted = 0;
      while (accepted < drafted && tokens[accepted] === text[end + accepted]) accepted++;
      const between = clock.peekUs();
      clock.advance(drafted === 0 ? 20_000 : latency.verifyUs(end, drafted));
      const after = clock.peekUs();
      clock.advance(60);
      const emitted = text.slice(end, end + accepted + 1);
      for (const one of policy.drafters ?? []) one.extend?.(emitted);
      const us = clock.peekUs() - from;
      const counts = { context: end - 1, nodes: drafted, drafted, accepted, emitted: emitted.length };
      policy.observe?.({ ...counts, draftUs: between - from, verifyUs: after - between, totalUs: us });
      for (let i = 0; i < emitted.length; i++) usOf.push(us / emitted.length);
      end += emitted.length;
    }
    return { usOf, summary: summary() };
  }
  const mean = (of: readonly number[]) => of.reduce((sum, us) => sum + us, 0) / of.length;

  test("takes to a lookup where the text begins to repeat itself, and leaves it where it does no more", () => {
    const random = seededRandom(20203);
    const fresh = (count: number) => Array.from({ length: count }, () => Math.floor(random.float() * 5000));
    const page = fresh(300);
    const text = [...page, ...page, ...fresh(300)];
    const { usOf, summary } = run(text, 10);
    const [first, copied, last] = [usOf.slice(0, 290), usOf.slice(330, 590), usOf.slice(590)];
    expect(mean(copied)).toBeLessThan(0.3 * 20_050);
    expect(mean(first)).toBeLessThan(1.01 * 20_050);
    // nothing matches there any more, so a lookup costs nothing either
    expect(mean(last)).toBeLessThan(1.02 * 20_050);
    expect(summary.switches).toBeGreaterThan(0);
  });

  test("stays plain where matches are accidents", () => {
    const random = seededRandom(20204);
    const text = Array.from({ length: 900 }, () => Math.floor(random.float() * 6));
    const { usOf } = run(text, 10);
    expect(mean(usOf)).toBeLessThan(1.03 * 20_050);
  });
});
