import { describe, expect, test } from "vitest";
import { targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { self } from "../../src/solve/drafter.js";
import { acceptedLengthError, gainIsAboveNoise, speedOf } from "../../src/solve/gain.js";
import { curveFromRate, isFaster, openProblem, type Problem, pairedStandardError } from "../../src/solve/index.js";
import { LAYERS, makeCalibration, makeProfile } from "../support/documents.js";
import { draw } from "./instances.js";

const set = uniformChoices(LAYERS, "int8");
const problem = openProblem({ profile: makeProfile(), calibration: makeCalibration(), choices: ["int8", "skip"] });
const N = 256;
const speedup = (alpha: number, d: number) =>
  (speedOf(problem.latency, N, set, curveFromRate(alpha, d)) * problem.latency.stepUs(N)) / 1e6;

/** A profile whose resamples are slower and faster by so much, for drafts only. */
const noisy = (share: number): Problem => ({
  ...problem,
  resampled: () =>
    [-1, -0.5, 0.5, 1].map((x) => ({
      ...problem.latency,
      stepUs: (n: number) => problem.latency.stepUs(n) * (1 + share * x),
      draftUs: problem.latency.draftUs.bind(problem.latency),
      verifyUs: problem.latency.verifyUs.bind(problem.latency),
      roundUs: problem.latency.roundUs,
    })) as never,
});

describe("the error of an accepted length", () => {
  test("is that of drawing curves again from so many positions, within a quarter", () => {
    const [alpha, d, tokens] = [0.85, 5, 300];
    const random = draw(3);
    const lengths = Array.from({ length: 4000 }, () => {
      let hits = 0;
      for (let i = 0; i < tokens; i++) if (random.chance(alpha)) hits++;
      return curveFromRate(hits / tokens, d).reduce((a, b) => a + b, 0);
    });
    const mean = lengths.reduce((a, b) => a + b, 0) / lengths.length;
    const deviation = Math.sqrt(lengths.reduce((sum, x) => sum + (x - mean) ** 2, 0) / lengths.length);
    const found = acceptedLengthError({ drafter: self(set), curve: curveFromRate(alpha, d), tokens });
    expect(found / (deviation / mean)).toBeGreaterThan(0.75);
    expect(found / (deviation / mean)).toBeLessThan(1.25);
  });

  test("is not nothing where there was no miss, falls with more positions, and is 0 where nothing was measured", () => {
    const error = (tokens: number | null) =>
      acceptedLengthError({ drafter: self(set), curve: curveFromRate(1, 8), tokens });
    expect(error(100)).toBeGreaterThan(0.01);
    expect(error(10_000)).toBeLessThan(error(100) / 5);
    expect(error(null)).toBe(0);
  });
});

describe("whether to speculate", () => {
  /** The rate at which d = 4 gains so much. */
  const rateFor = (wanted: number): number => {
    let [low, high] = [0.01, 0.9999];
    for (let i = 0; i < 60; i++) {
      const middle = (low + high) / 2;
      if (speedup(middle, 4) < wanted) low = middle;
      else high = middle;
    }
    return high;
  };
  const option = (wanted: number, tokens: number | null) => ({
    drafter: self(set),
    curve: curveFromRate(rateFor(wanted), 4),
    tokens,
  });

  test("never without a gain, and by 2 % where nothing is known of the noise", () => {
    expect(gainIsAboveNoise(problem, N, option(0.99, 1e6))).toBe(false);
    expect(gainIsAboveNoise(noisy(1e-6), N, option(0.99, 1e9))).toBe(false);
    expect(gainIsAboveNoise(problem, N, option(1.015, null))).toBe(false);
    expect(gainIsAboveNoise(problem, N, option(1.03, null))).toBe(true);
  });

  test("the fewer positions, the more must be gained", () => {
    expect(gainIsAboveNoise(problem, N, option(1.05, 1e6))).toBe(true);
    expect(gainIsAboveNoise(problem, N, option(1.05, 60))).toBe(false);
  });

  test("the gain must exceed 1.28 standard errors, the one-sided 90 %: of latencies, and of acceptance", () => {
    // of four draws at -1, -½, ½ and 1 times a share, the standard deviation is √(5/8) of it
    const deviation = Math.sqrt(5 / 8);
    const normal90 = 1.2815515655446004;
    const gain = 1.06;
    const errorAt = (standardErrors: number) => (1 - 1 / gain) / standardErrors;
    const decidedAt = (standardErrors: number) =>
      gainIsAboveNoise(noisy(errorAt(standardErrors) / deviation), N, option(gain, null));
    expect([0.9, 1.25, normal90 - 0.01, normal90 + 0.01, 1.32, 1.6].map(decidedAt)).toEqual([
      false,
      false,
      false,
      true,
      true,
      true,
    ]);
    // by acceptance alone: as many positions as make its error so many standard errors of the gain
    const sure = noisy(1e-9);
    const byPositions = (standardErrors: number) => {
      let [few, many] = [1, 1e9];
      while (many - few > 1) {
        const tokens = Math.floor((few + many) / 2);
        if (acceptedLengthError(option(gain, tokens)) > errorAt(standardErrors)) few = tokens;
        else many = tokens;
      }
      return gainIsAboveNoise(sure, N, option(gain, many));
    };
    expect([0.9, 1.25, 1.32, 1.6].map(byPositions)).toEqual([false, false, true, true]);
  });

  test("a profile with resamples decides by them: a small gain counts where it is sure, a large one not where it is not", () => {
    expect(gainIsAboveNoise(noisy(0.002), N, option(1.015, 1e9))).toBe(true);
    expect(gainIsAboveNoise(noisy(0.1), N, option(1.05, 1e9))).toBe(false);
    expect(gainIsAboveNoise(noisy(0.01), N, option(1.05, 1e9))).toBe(true);
  });
});

describe("two drafts over the same positions", () => {
  test("only positions where they differ are noise", () => {
    const a = Array.from({ length: 400 }, (_, i) => (i % 4 === 0 ? 0 : 1));
    expect(pairedStandardError(a, a)).toBeCloseTo(0.5 / 400, 12);
    const b = a.map((x, i) => (i % 40 === 0 ? 1 : x));
    // ten differences of one
    expect(pairedStandardError(b, a)).toBeCloseTo(Math.sqrt(10 - 10 / 40 + 0.25) / 400, 10);
  });

  const draft = (choices: typeof set, positions: number[]) => {
    const rate = positions.reduce((x, y) => x + y, 0) / positions.length;
    return { set: choices, positions, curve: curveFromRate(rate, 16) };
  };
  const hits = (misses: number[], length: number) => Array.from({ length }, (_, i) => (misses.includes(i) ? 0 : 1));
  const target = { ...targetChoices(LAYERS), blocks: targetChoices(LAYERS).blocks.with(5, "skip") };

  test("a draft that is cheaper and misses nothing more is faster; the same draft is not faster than itself", () => {
    const [slow, fast] = [draft(target, hits([3, 50], 400)), draft(set, hits([3, 50], 400))];
    expect(isFaster(problem, N, fast, slow, 0.05)).toBe(true);
    expect(isFaster(problem, N, slow, fast, 0.05)).toBe(false);
    expect(isFaster(problem, N, fast, fast, 0.05)).toBe(false);
  });

  test("one miss fewer is noise, a hundred are not", () => {
    const some = Array.from({ length: 120 }, (_, i) => 3 * i);
    const before = draft(set, hits(some, 400));
    expect(isFaster(problem, N, draft(set, hits(some.slice(1), 400)), before, 0.05)).toBe(false);
    expect(isFaster(problem, N, draft(set, hits(some.slice(100), 400)), before, 0.05)).toBe(true);
  });
});
