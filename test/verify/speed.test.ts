import { describe, expect, test } from "vitest";
import { type Decoded, decode } from "../../src/decode/loop.js";
import { uniformChoices } from "../../src/schema/choice.js";
import { predictedSpeedup, predictedSpeedupError } from "../../src/verify/contexts.js";
import { verifyPlan } from "../../src/verify/index.js";
import { promptTiming, rateInterval, speedupInterval } from "../../src/verify/speedup.js";
import { expectFailure } from "../support/failure.js";
import type { FakeEngine } from "../support/fake-engine.js";
import { uniform } from "../support/numbers.js";
import { DRAFT_US, fake, plain, plan, predicted, promptsOf, STEP_US, speculating, times, verifyUs } from "./support.js";

/** 1 token of the prompt's pass and 8 whole rounds of 5 */
const settings = { planPath: "plan.yaml", maxTokens: 41, pairs: 2 };
const ROUND_US = 4 * DRAFT_US + verifyUs(4);
const SPEEDUP = (5 * STEP_US) / ROUND_US;
const int8 = { name: "int8 alone", choices: uniformChoices(3, "int8") };

describe("with exact times", () => {
  test("speedup, rates and acceptance of a draft that never misses are exact", async () => {
    const result = await verifyPlan({
      ...settings,
      ...fake(0),
      plan: plan(speculating(0, 512, 4)),
      prompts: promptsOf(9, 30, 100, 50),
    });
    expect(result.speedup.median).toBeCloseTo(SPEEDUP, 12);
    expect(result.speedup.low).toBeCloseTo(SPEEDUP, 12);
    expect(result.speedup.high).toBeCloseTo(SPEEDUP, 12);
    expect(result.tokens_per_second.target).toBeCloseTo(1e6 / STEP_US, 9);
    expect(result.tokens_per_second.plan).toBeCloseTo(5e6 / ROUND_US, 9);
    const { acceptance, acceptance_curve, accepted_length, tokens } = result;
    expect({ acceptance, acceptance_curve, accepted_length, tokens }).toEqual({
      acceptance: 1,
      acceptance_curve: [1, 1, 1, 1, 1],
      accepted_length: 5,
      tokens: 164,
    });
    expect(result).toMatchObject({ predicted_speedup: null, prediction_error_percent: null });
  });

  test("a right prediction has no error, one that promises a tenth more has 10 %", async () => {
    const verify = (tokensPerSecond: number) => {
      const forecast = predicted({ step: STEP_US, tokensPerSecond });
      return verifyPlan({
        ...settings,
        ...fake(0),
        plan: plan(speculating(0, 512, 4, forecast)),
        prompts: promptsOf(9, 30),
      });
    };
    const right = await verify(5e6 / ROUND_US);
    expect(right.predicted_speedup).toBeCloseTo(SPEEDUP, 12);
    expect(right.prediction_error_percent).toBeCloseTo(0, 9);
    expect((await verify(5.5e6 / ROUND_US)).prediction_error_percent).toBeCloseTo(10, 9);
  });

  test("a machine that was a quarter slower when it was profiled is told from an error of the plan", async () => {
    const slower = predicted({ step: 1.25 * STEP_US, tokensPerSecond: 5e6 / (1.25 * ROUND_US) });
    const result = await verifyPlan({
      ...settings,
      ...fake(0),
      plan: plan(speculating(0, 512, 4, slower)),
      prompts: promptsOf(9, 30),
    });
    expect(result.machine_change_percent).toBeCloseTo(25, 9);
    expect(result.prediction_error_percent).toBeCloseTo(0, 9);
    expect(result.by_context[0].predicted_target_tokens_per_second).toBeCloseTo(1e6 / (1.25 * STEP_US), 9);
    // and the other way round: the machine is as it was, and the plan promised a tenth too much
    const better = predicted({ step: STEP_US, tokensPerSecond: 5.5e6 / ROUND_US });
    const settled = { ...settings, plan: plan(speculating(0, 512, 4, better)), prompts: promptsOf(9, 30) };
    const other = await verifyPlan({ ...settled, ...fake(0) });
    expect(other.machine_change_percent).toBeCloseTo(0, 9);
    expect(other.prediction_error_percent).toBeCloseTo(10, 9);
  });

  test("a draft that always misses is slower by what drafting costs", async () => {
    const result = await verifyPlan({
      ...settings,
      ...fake(1),
      plan: plan(speculating(0, 512, 1)),
      prompts: promptsOf(9),
    });
    // 39 rounds of a rejected draft, then a plain step for the last token
    const planUs = 39 * (DRAFT_US + verifyUs(1)) + STEP_US;
    expect(result.speedup.median).toBeCloseTo((40 * STEP_US) / planUs, 12);
    expect(result).toMatchObject({ lossless: true, acceptance: 0, accepted_length: 1, acceptance_curve: [1, 0] });
  });

  test("the acceptance is that of the fake's misses", async () => {
    const { acceptance } = await verifyPlan({
      ...settings,
      maxTokens: 200,
      ...fake(0.25),
      plan: plan(speculating(0, 512, 4)),
      prompts: promptsOf(9, 30, 60, 100, 150),
    });
    expect(acceptance).toBeGreaterThan(0.7); // 1,000 tokens: 0.75 ± 3 · 0.014
    expect(acceptance).toBeLessThan(0.8);
  });
});

test("a prompt without a time of plain decoding has no weight in what was predicted", async () => {
  const { engine, clock } = fake(0);
  const run = (ids: number[], maxTokens: number, drafts: boolean) =>
    decode(engine, ids, {
      ...{ maxTokens, endTokens: [], clock },
      policy: drafts ? () => ({ choices: int8.choices, draftTokens: 4 }) : null,
    });
  const of = (speedup: number) => predicted({ step: STEP_US, tokensPerSecond: (1e6 * speedup) / STEP_US });
  const segments = [speculating(0, 100, 4, of(2)), speculating(100, 512, 4, of(4))];
  const [early, late] = promptsOf(9, 120).map(({ ids }) => ids);
  const timed = { plain: [await run(early, 21, false)], plan: [await run(early, 21, true)] };
  // plain decoding gave one token, which is the prompt's pass's
  const untimed = { plain: [await run(late, 1, false)], plan: [await run(late, 21, true)] };
  expect(predictedSpeedup(segments, [timed])).toBe(2);
  expect(predictedSpeedup(segments, [timed, untimed])).toBe(2);
  expect(predictedSpeedup(segments, [untimed])).toBeNull();
});

test("what is predicted has the segments' own errors, by the time that is spent in each", async () => {
  const { engine, clock } = fake(0);
  const run = (ids: number[], drafts: boolean) =>
    decode(engine, ids, {
      ...{ maxTokens: 21, endTokens: [], clock },
      policy: drafts ? () => ({ choices: int8.choices, draftTokens: 4 }) : null,
    });
  const of = (speedup: number, error?: number) => {
    const made = predicted({ step: STEP_US, tokensPerSecond: (1e6 * speedup) / STEP_US });
    return error === undefined ? made : { ...made, accepted_length_error: error };
  };
  const [early, late] = promptsOf(9, 120).map(({ ids }) => ids);
  const both = [early, late].map(async (ids) => ({ plain: [await run(ids, false)], plan: [await run(ids, true)] }));
  const prompts = await Promise.all(both);
  const segments = [speculating(0, 100, 4, of(2, 0.03)), speculating(100, 512, 4, of(4, 0.09))];
  // as many tokens in both, each as long by itself: the first takes twice the second's time with the plan
  expect(predictedSpeedupError(segments, prompts)).toBeCloseTo((2 * 0.03 + 0.09) / 3, 2);
  expect(predictedSpeedupError(segments, prompts.slice(0, 1))).toBeCloseTo(0.03, 12);
  const withLatencies = {
    ...of(2, 0.03),
    speedup_interval: { low: 2 * Math.exp(-0.0658), high: 2 * Math.exp(0.0658) },
  };
  expect(predictedSpeedupError([speculating(0, 100, 4, withLatencies)], prompts.slice(0, 1))).toBeCloseTo(0.05, 5);
  expect(predictedSpeedupError([segments[0], speculating(100, 512, 4, of(4))], prompts)).toBeNull();
});

describe("a plan of several segments", () => {
  const forecast = predicted({ step: STEP_US, tokensPerSecond: 5e6 / ROUND_US });
  const segments = [speculating(0, 49, 4, forecast), plain(49, 512)] as const;

  test("reports each segment that was visited, and predicts 1 where it does not speculate", async () => {
    // contexts 29 to 69: 4 rounds of 5 tokens from 29 on, then 20 plain steps
    const result = await verifyPlan({ ...settings, ...fake(0), plan: plan(...segments), prompts: promptsOf(29) });
    const [drafting, stepping] = result.by_context;
    expect(result.by_context).toHaveLength(2);
    expect(drafting).toMatchObject({
      context_tokens: { from: 0, to: 49 },
      rounds: 4,
      accepted_length: 5,
      acceptance: 1,
    });
    expect(drafting.measured_tokens_per_second).toBeCloseTo(5e6 / ROUND_US, 9);
    expect(drafting.predicted_tokens_per_second).toBeCloseTo(5e6 / ROUND_US, 9);
    expect(stepping).toMatchObject({
      rounds: 20,
      accepted_length: null,
      acceptance: null,
      predicted_tokens_per_second: null,
    });
    expect(stepping.measured_tokens_per_second).toBeCloseTo(1e6 / STEP_US, 9);
    expect(stepping.target_tokens_per_second).toBeCloseTo(1e6 / STEP_US, 9);
    expect(result.predicted_speedup).toBeCloseTo(2 / (1 / SPEEDUP + 1), 12);
    expect(result.prediction_error_percent).toBeCloseTo(0, 9);
  });

  test("predicts nothing where a segment visited speculates without a prediction", async () => {
    const silent = plan(speculating(0, 49, 4, forecast), speculating(49, 512, 4));
    const result = await verifyPlan({ ...settings, ...fake(0), plan: silent, prompts: promptsOf(9, 29) });
    expect(result).toMatchObject({ predicted_speedup: null, prediction_error_percent: null });
    expect(result.prompts.map(({ predicted_speedup }) => predicted_speedup === null)).toEqual([false, true]);
  });

  test("past its last segment nothing is drafted, a warning says so, and the tokens are still reported", async () => {
    const warnings: string[] = [];
    const progress = { tick: async () => {}, warn: (code: string) => void warnings.push(code) };
    const result = await verifyPlan({
      ...settings,
      ...fake(0),
      progress,
      plan: plan(segments[0]),
      prompts: promptsOf(29),
    });
    expect(new Set(warnings)).toEqual(new Set(["PAST_LAST_SEGMENT", "FEW_PROMPTS"]));
    expect(
      result.by_context.map(({ context_tokens, rounds }) => [context_tokens.from, context_tokens.to, rounds]),
    ).toEqual([
      [0, 49, 4],
      [49, 512, 20],
    ]);
  });
});

describe("a plan that nowhere speculates", () => {
  test("has speedup exactly 1 and no acceptance, runs once a prompt, and is still judged", async () => {
    const { engine, clock } = fake(0, { times: { ...times, disturbance: (us, pass) => us * (1 + (pass % 5)) } });
    const result = await verifyPlan({
      ...settings,
      engine,
      clock,
      plan: plan(plain(0, 512)),
      prompts: promptsOf(9, 30, 50, 70),
    });
    expect(result).toMatchObject({
      lossless: true,
      acceptance: null,
      acceptance_curve: null,
      accepted_length: null,
      predicted_speedup: null,
    });
    expect(result.speedup).toEqual({ median: 1, low: 1, high: 1 });
    // after the warm-up: reference, run
    expect(labels(engine).slice(2)).toEqual(new Array(4).fill(["plain", "plain"]).flat());
  });

  test("is the plain run of an alternative", async () => {
    const { engine, clock } = fake(0);
    const result = await verifyPlan({
      ...settings,
      engine,
      clock,
      plan: plan(plain(0, 512)),
      prompts: promptsOf(9),
      alternatives: [int8],
    });
    expect(result.speedup).toEqual({ median: 1, low: null, high: null });
    expect(result.alternatives[0].speedup.median).toBeCloseTo(STEP_US / DRAFT_US, 12);
  });
});

/** What the runs were, in order: each begins with a pass at position 0. */
function labels(engine: FakeEngine): string[] {
  const runs: FakeEngine["passes"][] = [];
  for (const pass of engine.passes) {
    if (pass.position === 0) runs.push([]);
    runs[runs.length - 1].push(pass);
  }
  return runs.map((passes) => {
    const heads = new Set(passes.map(({ choices }) => choices.head));
    return heads.size === 2 ? "plan" : heads.has("int8") ? "int8" : "plain";
  });
}

describe("runs are interleaved", () => {
  test("in pairs whose order alternates, and alternates between prompts", async () => {
    const { engine, clock } = fake(0.2);
    await verifyPlan({ ...settings, engine, clock, plan: plan(speculating(0, 512, 4)), prompts: promptsOf(9, 30) });
    expect(labels(engine)).toEqual([
      ...["plain", "plan"], // warm-up
      ...["plain", "plain", "plan", "plan", "plain"], // reference, A B, B A
      ...["plain", "plan", "plain", "plain", "plan"], // reference, B A, A B
    ]);
  });

  test("with an alternative in the same loop", async () => {
    const { engine, clock } = fake(0.2);
    await verifyPlan({
      ...settings,
      engine,
      clock,
      plan: plan(speculating(0, 512, 4)),
      prompts: promptsOf(9),
      alternatives: [int8],
    });
    expect(labels(engine)).toEqual([
      ...["plain", "plan", "int8"],
      ...["plain", "plain", "plan", "int8", "int8", "plan", "plain"],
      "int8", // teacher forced
    ]);
  });

  test("so that a machine growing slower throughout changes nothing by more than a percent", async () => {
    const drift = { ...times, disturbance: (us: number, pass: number) => us * (1 + pass / 1000) };
    const options = { ...settings, pairs: 4, plan: plan(speculating(0, 512, 4)), prompts: promptsOf(9, 30) };
    const { speedup } = await verifyPlan({ ...options, ...fake(0, { times: drift }) });
    expect(Math.abs(speedup.median / SPEEDUP - 1)).toBeLessThan(0.01);
  });

  test("and a burst in one run of three pairs is dropped", async () => {
    const burst = { ...times, disturbance: (us: number, pass: number) => (pass > 130 && pass < 140 ? 20 * us : us) };
    const options = { ...settings, pairs: 3, plan: plan(speculating(0, 512, 4)), prompts: promptsOf(9) };
    const { speedup } = await verifyPlan({ ...options, ...fake(0, { times: burst }) });
    expect(speedup.median).toBeCloseTo(SPEEDUP, 12);
  });
});

describe("an alternative", () => {
  test("that always chooses the target's token agrees entirely", async () => {
    const { alternatives } = await verifyPlan({
      ...settings,
      ...fake(0),
      plan: plan(speculating(0, 512, 4)),
      prompts: promptsOf(9, 30),
      alternatives: [int8],
    });
    expect(alternatives[0]).toMatchObject({ name: "int8 alone", agreement: 1, agreeing_prefix: 41 });
    expect(alternatives[0].tokens_per_second).toBeCloseTo(1e6 / DRAFT_US, 9);
  });

  test("that errs in a tenth agrees in nine tenths given the target's prefix, though its own output parts for good", async () => {
    const options = {
      ...settings,
      maxTokens: 120,
      pairs: 1,
      plan: plan(plain(0, 512)),
      prompts: promptsOf(9, 20, 30, 40, 50, 60, 70, 80),
    };
    const { alternatives } = await verifyPlan({ ...options, ...fake(0.1), alternatives: [int8] });
    expect(alternatives[0].agreement).toBeGreaterThan(0.87); // 960 tokens: 0.9 ± 3 · 0.01
    expect(alternatives[0].agreement).toBeLessThan(0.93);
    expect(alternatives[0].agreeing_prefix).toBeLessThan(40);
  });
});

describe("the interval", () => {
  const run = (tokens: number, decodeUs: number): Decoded => ({
    ids: new Array<number>(tokens + 1).fill(1),
    rounds: [],
    finish: "length",
    promptUs: 0,
    decodeUs,
  });
  const timing = (tokens: number, ...pairs: [plainUs: number, planUs: number][]) => {
    const result = promptTiming(
      pairs.map(([us]) => run(tokens, us)),
      pairs.map(([, us]) => run(tokens, us)),
    );
    if (result === null) throw new Error("no timing");
    return result;
  };

  test("is around the ratio of total times: the totals without each prompt, and Student's t", () => {
    const timings = [
      timing(10, [1000, 500]),
      timing(10, [3000, 3000]),
      timing(10, [1000, 250]),
      timing(10, [1000, 800]),
    ];
    // [prompts] ms of both, a prompt's ten tokens: 6000 / 4550 over all
    const plainMs = [10, 30, 10, 10];
    const planMs = [5, 30, 2.5, 8];
    const ratio = 60 / 45.5;
    const without = plainMs.map((ms, i) => Math.log((60 - ms) / (45.5 - planMs[i]) / ratio));
    const spread = Math.hypot(...without);
    const shares = plainMs.map((ms, i) => (ms / 60 + planMs[i] / 45.5) / 2);
    const freedom = 1 / shares.reduce((sum, share) => sum + share ** 2, 0) - 1;
    expect(freedom).toBeGreaterThan(1);
    expect(freedom).toBeLessThan(2);
    const { median, low, high } = speedupInterval(timings);
    expect(median).toBeCloseTo(ratio, 12);
    const t = Math.log((high ?? 0) / ratio) / spread;
    expect(Math.log(ratio / (low ?? 0)) / spread).toBeCloseTo(t, 9);
    // between the tabled quantiles of two degrees of freedom and of one
    expect(t).toBeGreaterThan(4.303);
    expect(t).toBeLessThan(12.706);
  });

  test("of prompts that all gain alike has no width, and is the figure itself", () => {
    const { median, low, high } = speedupInterval([1, 2, 3, 4].map((us) => timing(10, [1500 * us, 1000 * us])));
    for (const figure of [median, low, high]) expect(figure).toBeCloseTo(1.5, 12);
  });

  test("is none under four prompts, of speed and of tokens per second", () => {
    const three = [timing(10, [1000, 500]), timing(30, [3000, 3000]), timing(10, [1000, 250])];
    expect(speedupInterval(three)).toEqual({ median: 5000 / 3750, low: null, high: null });
    expect(rateInterval([[run(10, 1000)], [run(10, 3000)], [run(30, 1000)]])).toEqual({
      median: (1e6 * 50) / 5000,
      low: null,
      high: null,
    });
    expect(rateInterval([10, 11, 12, 13].map((tokens) => [run(tokens, 1000)])).low).not.toBeNull();
  });

  test("is said to be none by a warning, with what to do", async () => {
    const warnings: string[] = [];
    const progress = {
      tick: async () => {},
      warn: (code: string, text: string) => void warnings.push(`${code}: ${text}`),
    };
    const options = { ...settings, progress, plan: plan(speculating(0, 512, 4)) };
    const three = await verifyPlan({ ...options, ...fake(0), prompts: promptsOf(9, 30, 50) });
    expect(three.speedup).toEqual({ median: expect.closeTo(SPEEDUP, 9), low: null, high: null });
    expect(warnings).toEqual([expect.stringMatching(/^FEW_PROMPTS: 3 of 3 prompts .* takes 4.*--prompts FILE/)]);
    const four = await verifyPlan({ ...options, ...fake(0), prompts: promptsOf(9, 30, 50, 70) });
    expect(four.speedup.low).toBeCloseTo(SPEEDUP, 9);
    expect(warnings).toHaveLength(1);
  });

  /** Trials of which fewer than the first or more than the second are seen with a chance of 1e-4 each. */
  const boundsOf = (trials: number, least: number, most: number) => [
    binomial(trials, least, 1e-4),
    binomial(trials, most, 1 - 1e-4),
  ];

  /** The number that a binomial variable exceeds with the chance 1 - `quantile`, by summing its probabilities. */
  function binomial(trials: number, chance: number, quantile: number): number {
    let logProbability = trials * Math.log1p(-chance); // the probability itself is too small for a number
    let total = 0;
    for (let k = 0; ; k++) {
      total += Math.exp(logProbability);
      if (total >= quantile || k === trials) return k;
      logProbability += Math.log(((trials - k) / (k + 1)) * (chance / (1 - chance)));
    }
  }

  test.each([
    { prompts: 4, noise: 0.01 },
    { prompts: 7, noise: 0.01 },
    { prompts: 7, noise: 0.1 },
    { prompts: 15, noise: 0.1 },
  ])("covers the truth as often as it says: $prompts prompts, noise of $noise", ({ prompts, noise }) => {
    const random = uniform(11 + prompts);
    const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const trials = 2000;
    const spread = 0.1;
    let [covered, coveredRate] = [0, 0];
    for (let trial = 0; trial < trials; trial++) {
      const runs = Array.from({ length: prompts }, () => {
        const speedup = 1.5 * Math.exp(spread * normal());
        const noisy = (us: number) => us * Math.exp(noise * normal());
        return [noisy(15_000), noisy(15_000 / speedup)] as [number, number];
      });
      const { low, high } = speedupInterval(runs.map(([plainUs, planUs]) => timing(10, [plainUs, planUs])));
      // 1 / E[1/s] of log-normal speedups; noise is the same in both times
      const truth = 1.5 * Math.exp(-(spread ** 2) / 2);
      if ((low ?? 9) <= truth && truth <= (high ?? 0)) covered += 1;
      const rate = rateInterval(runs.map(([, planUs]) => [run(10, planUs)]));
      const perSecond = (1000 * 1.5 * Math.exp(-(spread ** 2 + noise ** 2) / 2) * 10) / 15;
      if ((rate.low ?? 9e9) <= perSecond && perSecond <= (rate.high ?? 0)) coveredRate += 1;
    }
    const [fewest, most] = boundsOf(trials, 0.93, 0.97);
    for (const count of [covered, coveredRate]) {
      expect(count).toBeGreaterThanOrEqual(fewest);
      expect(count).toBeLessThanOrEqual(most);
    }
  });
});

describe("an option that cannot be", () => {
  const options = { ...settings, plan: plan(plain(0, 512)), prompts: promptsOf(9) };
  test.each([
    { name: "a single token", changes: { maxTokens: 1 }, code: "OPTION_INVALID" as const, text: "1 tokens" },
    { name: "no pair", changes: { pairs: 0 }, code: "OPTION_INVALID" as const, text: "0 pairs" },
    { name: "no prompt", changes: { prompts: [] }, code: "OPTION_INVALID" as const, text: "none" },
    {
      name: "a prompt beyond the cache",
      changes: { prompts: promptsOf(500) },
      code: "CONTEXT_LIMIT" as const,
      text: "541",
    },
    {
      name: "a token the model has not",
      changes: { prompts: [{ name: "x", ids: [3, 97] }] },
      code: "TOKEN_IDS_INVALID" as const,
      text: "97",
    },
  ])("is refused before anything runs: $name", async ({ changes, code, text }) => {
    const model = fake(0);
    await expectFailure(() => verifyPlan({ ...options, ...model, ...changes }), code, text);
    expect(model.engine.passes).toHaveLength(0);
  });
});
