import { describe, expect, test } from "vitest";
import {
  bestDraftLength,
  breakEven,
  curveFromRate,
  expectedTokens,
  speedup,
  tokensPerSecond,
} from "../../src/solve/index.js";
import { expectFailure } from "../support/failure.js";

describe("the accepted length", () => {
  test.each([
    { name: "nothing drafted: the bonus token alone", curve: [1], tokens: 1 },
    { name: "all accepted: d + 1", curve: [1, 1, 1, 1], tokens: 4 },
    { name: "none accepted", curve: [1, 0, 0], tokens: 1 },
    { name: "a measured curve", curve: [1, 0.75, 0.5, 0.125], tokens: 2.375 },
  ])("$name", ({ curve, tokens }) => expect(expectedTokens(curve)).toBe(tokens));

  test.each([
    { alpha: 0.5, d: 4 },
    { alpha: 0.8, d: 7 },
    { alpha: 0.98, d: 16 },
  ])("is (1 − α^(d+1)) / (1 − α) for α = $alpha, d = $d (eq. 1 of Leviathan et al.)", ({ alpha, d }) => {
    expect(expectedTokens(curveFromRate(alpha, d))).toBeCloseTo((1 - alpha ** (d + 1)) / (1 - alpha), 12);
  });
});

describe("the curve of a rate", () => {
  test("has d + 1 values from 1 down", () => {
    expect(curveFromRate(0.5, 3)).toEqual([1, 0.5, 0.25, 0.125]);
    expect(curveFromRate(0, 2)).toEqual([1, 0, 0]);
    expect(curveFromRate(1, 2)).toEqual([1, 1, 1]);
    expect(curveFromRate(0.3, 0)).toEqual([1]);
  });
});

describe("tokens per second", () => {
  test("of 1.75 tokens in two drafts of 100 µs, 280 µs of verification and 20 µs of loop: 3,500", () => {
    expect(tokensPerSecond({ acceptanceCurve: [1, 0.5, 0.25], draftUs: 100, verifyUs: 280, roundUs: 20 })).toBe(3500);
  });

  test("of plain decoding is one token a step", () => {
    expect(tokensPerSecond({ acceptanceCurve: [1], draftUs: 100, verifyUs: 200, roundUs: 50 })).toBe(4000);
  });

  test("against plain decoding of 240 + 10 µs a step is the speedup", () => {
    expect(speedup(3500, 240, 10)).toBe(0.875);
    expect(speedup(4000, 240, 10)).toBe(1);
  });
});

describe("the best draft length", () => {
  const problem = {
    draftUs: 100,
    roundUs: 0,
    maxDraft: 16,
    curve: (d: number) => curveFromRate(0.5, d),
    verifyUs: () => 400,
  };

  test("is found by hand: 3,000 tokens/s at d = 1, 2,916.7 at d = 2, less after", () => {
    expect(bestDraftLength(problem)).toEqual({ draftTokens: 1, tokensPerSecond: 3000 });
  });

  test("grows with acceptance, to the longest that is allowed when all is accepted", () => {
    const lengths = [0.5, 0.7, 0.9, 0.99, 1].map(
      (alpha) => bestDraftLength({ ...problem, curve: (d) => curveFromRate(alpha, d) }).draftTokens,
    );
    expect(lengths).toEqual(lengths.toSorted((a, b) => a - b));
    expect(lengths.at(-1)).toBe(16);
  });

  test("is found behind a worse one: verification of five tokens is as cheap as of two, of three it is not", () => {
    const verifyUs = (d: number) => (d === 2 || d === 3 ? 900 : 400);
    expect(
      bestDraftLength({ ...problem, curve: (d) => curveFromRate(0.9, d), verifyUs, maxDraft: 4 }).draftTokens,
    ).toBe(4);
  });

  test("is asked of a curve for each length, which need not be a prefix of a longer one", () => {
    const curve = (d: number) => (d === 3 ? [1, 1, 1, 1] : curveFromRate(0, d));
    expect(bestDraftLength({ ...problem, curve })).toEqual({ draftTokens: 3, tokensPerSecond: 4e6 / 700 });
  });

  test("is the shorter of equals", () => {
    const curve = (d: number) => (d === 1 ? [1, 1] : [1, 1, 0.5]);
    expect(bestDraftLength({ ...problem, maxDraft: 2, draftUs: 100, verifyUs: () => 300, curve }).draftTokens).toBe(1);
  });

  test.each([
    { name: "no length allowed", change: { maxDraft: 0 } },
    { name: "a curve one short", change: { curve: (d: number) => curveFromRate(0.5, d - 1) } },
    { name: "a time that is not a number", change: { verifyUs: () => Number.NaN } },
    { name: "a round that takes no time", change: { draftUs: 0, verifyUs: () => 0 } },
  ])("is refused: $name", async ({ change }) => {
    await expectFailure(() => bestDraftLength({ ...problem, ...change }), "INTERNAL", /acceptance curve/);
  });
});

describe("what a draft step may cost", () => {
  const verifyUs = (d: number) => 1000 + 60 * d + (d > 6 ? 400 : 0);
  const times = { verifyUs, roundUs: 30, maxDraft: 12 };
  const fastest = (draftUs: number, curve: (d: number) => number[]) =>
    bestDraftLength({ ...times, draftUs, curve }).tokensPerSecond;

  test.each([0.3, 0.6, 0.9, 0.99])("with less some length is faster, with more none is (rate %d)", (alpha) => {
    const curve = (d: number) => curveFromRate(alpha, d);
    const found = breakEven({ ...times, curve, perTokenUs: 1040 });
    if (found === null) throw new Error("nothing pays");
    expect(fastest(found.draftUs * 0.999, curve)).toBeGreaterThan(1e6 / 1040);
    expect(fastest(found.draftUs * 1.001, curve)).toBeLessThan(1e6 / 1040);
    const at = (draftUs: number) =>
      tokensPerSecond({
        acceptanceCurve: curve(found.draftTokens),
        draftUs,
        verifyUs: verifyUs(found.draftTokens),
        roundUs: 30,
      });
    expect(at(found.draftUs)).toBeCloseTo(1e6 / 1040, 6);
  });

  test("where too few tokens stand nothing pays, whatever it costs", () => {
    const curve = (d: number) => curveFromRate(0.02, d);
    expect(breakEven({ ...times, curve, perTokenUs: 1040 })).toBeNull();
    expect(fastest(1e-9, curve)).toBeLessThan(1e6 / 1040);
  });
});
