/** Found on one half of the text, confirmed on the other: a search that tries hundreds accepts nothing by luck. */
import { describe, expect, test } from "vitest";
import { curveOfRounds } from "../../src/calibrate/acceptance-curve.js";
import type { MeasuredDraft } from "../../src/schema/calibration.js";
import { type ChoiceSet, compactDraft, uniformChoices } from "../../src/schema/choice.js";
import { bestDraftLength, curveFromRate, openProblem, type Problem, searchExchanges } from "../../src/solve/index.js";
import { seededRandom } from "../../src/stats/random.js";
import { LONG } from "../support/long.js";
import { AT, DEPTH, synthetic } from "./synthetic.js";

const START: ChoiceSet = uniformChoices(DEPTH, "int8");
const RATE = 0.9;
const POSITIONS = 300;
const BATCHES = 10;

function speed(problem: Problem, set: ChoiceSet, alpha: number): number {
  const { latency, maxDraft } = problem;
  return bestDraftLength({
    draftUs: latency.draftUs(set, AT),
    verifyUs: (d) => latency.verifyUs(AT, d),
    roundUs: latency.roundUs,
    curve: (d) => curveFromRate(alpha, d),
    maxDraft,
  }).tokensPerSecond;
}

/** A calibration that holds every skip to be nearly free, so that the search has many exchanges to try. */
function optimistic(seed: number) {
  const { profile, calibration } = synthetic(seed, 0);
  const free = Array.from({ length: DEPTH }, () => ({ loss: 1e-4, standard_error: 1e-5 }));
  const contexts = calibration.contexts.map(({ attn, mlp, ...context }) => ({
    ...context,
    attn: { ...attn, skip: free },
    mlp: { ...mlp, skip: free },
  }));
  return { profile, calibration: { ...calibration, contexts } };
}

/** The rate at which a draft is exactly as fast as wanted; 1 where it cannot be so fast. */
function rateFor(problem: Problem, set: ChoiceSet, wanted: number): number {
  let [low, high] = [0, 1];
  for (let i = 0; i < 40; i++) {
    const between = (low + high) / 2;
    if (speed(problem, set, between) < wanted) low = between;
    else high = between;
  }
  return high;
}

interface Searched {
  accepted: ChoiceSet[];
  /** drafts measured on each half */
  trials: number;
  confirmations: number;
}

/**
 * One search over texts drawn anew.
 * @param gain share by which each draft is truly faster than the first one
 */
async function search(
  world: ReturnType<typeof optimistic>,
  seed: number,
  chance: number,
  gain: (set: ChoiceSet) => number,
): Promise<Searched> {
  const start: MeasuredDraft = {
    at_context: AT,
    part: "choose",
    draft: compactDraft(START),
    tokens: 600,
    curve: curveFromRate(RATE, 16),
  };
  const problemWith = (measured: readonly MeasuredDraft[]) =>
    openProblem({
      profile: world.profile,
      calibration: { ...world.calibration, measured: [start, ...measured] },
      choices: ["int8", "skip"],
    });
  const problem = problemWith([]);
  const wanted = speed(problem, START, RATE);
  const counts = { trials: 0, confirmations: 0 };
  let [batches, drawn] = [0, 0];
  const half = (which: number) => {
    const text = seededRandom(seed, which);
    const shared = Array.from({ length: POSITIONS }, () => text.float());
    return async (sets: readonly ChoiceSet[]) =>
      sets.map((set) => {
        const alpha = set === START ? RATE : rateFor(problem, set, wanted * (1 + gain(set)));
        const random = seededRandom(seed, which, ++drawn);
        // most of what is hard is hard for every draft
        const hits = shared.map((u) => (random.float() < 0.7 ? u : random.float()) < alpha);
        if (which === 0) counts.trials++;
        else counts.confirmations++;
        return { curve: curveOfRounds([hits], 16, 8), positions: hits.map(Number) };
      });
  };
  const accepted = await searchExchanges({
    problemWith,
    at: AT,
    chance,
    finding: half(0),
    confirming: half(1),
    timeIsUp: () => batches++ >= BATCHES,
  });
  return { accepted: accepted.map(({ set }) => set), ...counts };
}

/** The count that a binomial of so many trials exceeds with a chance of at most 1e-3. */
function binomialBound(trials: number, chance: number): number {
  let term = (1 - chance) ** trials;
  let below = term;
  let count = 0;
  while (below < 1 - 1e-3) {
    count++;
    term *= ((trials - count + 1) / count) * (chance / (1 - chance));
    below += term;
  }
  return count;
}

describe("a whole search", () => {
  test("accepts anything in at most 5 % of searches where no exchange helps", async () => {
    const searches = LONG ? 100 : 24;
    const world = optimistic(1);
    let [accepting, found, trials] = [0, 0, 0];
    for (let seed = 0; seed < searches; seed++) {
      const result = await search(world, seed, 0.05, () => 0);
      if (result.accepted.length > 0) accepting++;
      if (result.confirmations > 0) found++;
      trials += result.trials;
    }
    // the null is a hard one: many searches come upon something that looks better on the half it was found on
    expect(trials / searches).toBeGreaterThan(15);
    expect(found).toBeGreaterThan(searches / 5);
    expect(accepting).toBeLessThanOrEqual(binomialBound(searches, 0.05));
  }, 120_000);

  test("finds an exchange that helps, and what it accepts is one that does", async () => {
    const world = optimistic(2);
    const good = (set: ChoiceSet) => set.blocks[7] === "skip";
    let finding = 0;
    for (let seed = 0; seed < 20; seed++) {
      const { accepted } = await search(world, seed, 0.05, (set) => (good(set) ? 0.25 : 0));
      if (accepted.length > 0 && good(accepted[0])) finding++;
    }
    expect(finding).toBeGreaterThan(10);
  }, 120_000);
});

test("a search that has nothing left to try ends, before its time is up", async () => {
  const { profile, calibration } = synthetic(3, 0);
  const problemWith = (measured: readonly MeasuredDraft[]) =>
    openProblem({ profile, calibration: { ...calibration, measured: [...measured] }, choices: [] });
  const target: MeasuredDraft = {
    ...{ at_context: AT, part: "choose", tokens: 100 },
    ...{ draft: compactDraft(uniformChoices(DEPTH, "target")), curve: curveFromRate(RATE, 4) },
  };
  // no choices: the target is all there is, and it has no neighbours
  let [looks, measured] = [0, 0];
  const measure = async (sets: readonly ChoiceSet[]) => {
    measured++;
    return sets.map(() => ({ curve: curveFromRate(RATE, 4), positions: [1, 1, 0] }));
  };
  const accepted = await searchExchanges({
    ...{ at: AT, chance: 0.05, finding: measure, confirming: measure },
    problemWith: (tried) => problemWith([target, ...tried]),
    timeIsUp: () => looks++ >= 5,
  });
  expect(accepted).toEqual([]);
  expect({ looks, measured }).toEqual({ looks: 1, measured: 0 });
});

test("the bound is the binomial's", () => {
  expect(binomialBound(10, 0.5)).toBe(9); // ten of ten have a chance of 2^-10 < 1e-3, nine or ten of 11 · 2^-10 > 1e-3
  expect(binomialBound(1, 0.05)).toBe(1);
});
