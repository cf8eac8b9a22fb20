import { describe, expect, test } from "vitest";
import { bestRule } from "../../../src/solve/early/best-rule.js";
import { draftedLengths, earlySpeed } from "../../../src/solve/early/lengths.js";
import { guessesOf, scaleOf, tilted } from "../../../src/solve/early/scale.js";
import { seededRandom } from "../../../src/stats/random.js";
import { bestListed, listed, listedSpeed } from "../../oracle/early-stop.js";

const seeds = (count: number) => Array.from({ length: count }, (_, seed) => seed);

function instance(seed: number, bins: number, most: number) {
  const random = seededRandom(seed);
  const acceptance = Array.from({ length: bins }, () => random.float()).sort((a, b) => a - b);
  const shares = Array.from({ length: most }, () => {
    const raw = Array.from({ length: bins }, () => random.float() + 0.01);
    const total = raw.reduce((a, b) => a + b, 0);
    return raw.map((share) => share / total);
  });
  // steps of verification are uneven, as those of tiles are
  const verified = Array.from({ length: most + 1 }, () => 0);
  for (let d = 1, us = 20; d <= most; d++) verified[d] = us += random.index(3) === 0 ? 12 * random.float() : 0.5;
  const costs = { tokenUs: 1 + 9 * random.float(), verifyUs: (d: number) => verified[d], roundUs: random.float() };
  return { random, acceptance, shares, costs };
}

describe("lengths and acceptance of drafts that end early", () => {
  test.each(seeds(20))("are those of every run of confidences, listed (seed %i)", (seed) => {
    const [bins, most] = [2 + (seed % 3), 1 + (seed % 5)];
    const { random, acceptance, shares } = instance(seed, bins, most);
    // what the decoder takes bins for need not be what they are, and equal products must go on alike
    const values = seed % 2 === 0 ? acceptance : acceptance.map((_, b) => 0.5 ** (bins - b));
    const goOnFrom = Array.from({ length: most - 1 }, () => random.float());
    const found = draftedLengths({ most, goOnFrom }, values, { shares, acceptance });
    const goesOn = (run: readonly number[]) =>
      run.reduce((chance, bin) => chance * values[bin], 1) >= goOnFrom[run.length - 1];
    const twin = listed({ most, goesOn }, { shares, acceptance });
    for (const key of ["lengths", "curve"] as const)
      found[key].forEach((value, i) => {
        expect(value).toBeCloseTo(twin[key][i], 12);
      });
    expect(found.lengths.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
  });

  test("behind a rejected token confidences may come otherwise, which changes lengths and no acceptance", () => {
    const acceptance = [0.1, 0.6, 0.9];
    const shares = Array.from({ length: 5 }, () => [0.2, 0.3, 0.5]);
    const rule = { most: 5, goOnFrom: [0.5, 0.5, 0.5, 0.5] };
    const alike = draftedLengths(rule, acceptance, { shares, acceptance });
    const unsure = draftedLengths(rule, acceptance, { shares, acceptance, beyond: [1, 0, 0] });
    expect(unsure.curve).toEqual(alike.curve);
    const mean = (lengths: readonly number[]) => lengths.reduce((sum, share, i) => sum + share * (i + 1), 0);
    expect(mean(unsure.lengths)).toBeLessThan(mean(alike.lengths));
  });
});

describe("the rule of most tokens per time", () => {
  // 2 bins and 4 tokens have 14 places to go on or not: 16,384 rules; 3 bins and 3 tokens 12
  test.each(seeds(6))("is as good as the best of all rules (seed %i)", (seed) => {
    const [bins, most] = seed % 2 === 0 ? [2, 4] : [3, 3];
    const { acceptance, shares, costs } = instance(100 + seed, bins, most);
    const { rule, tokensPerSecond, drafted } = bestRule(acceptance, { shares, acceptance }, costs, most);
    const best = bestListed({ shares, acceptance }, costs, most);
    expect(tokensPerSecond / 1e6 / best).toBeCloseTo(1, 9);
    // and its thresholds do what it promises
    const goesOn = (run: readonly number[]) =>
      run.length < rule.most &&
      run.reduce((chance, bin) => chance * acceptance[bin], 1) >= rule.goOnFrom[run.length - 1];
    expect(listedSpeed({ most, goesOn }, { shares, acceptance }, costs)).toBeCloseTo(best, 9);
    expect(earlySpeed(drafted, costs)).toBe(tokensPerSecond);
  });

  test("where every further token costs the same it goes on while the next is worth its time", () => {
    const acceptance = [0.3, 0.9, 0.99];
    const share = [0.2, 0.3, 0.5];
    const shares = Array.from({ length: 6 }, () => share);
    const costs = { tokenUs: 8, verifyUs: (d: number) => 20 + d, roundUs: 0.1 };
    const { rule, tokensPerSecond } = bestRule(acceptance, { shares, acceptance }, costs, 6);
    const next = share.reduce((sum, w, b) => sum + w * acceptance[b], 0);
    const worth = ((tokensPerSecond / 1e6) * 9) / next;
    const products = (k: number): number[] =>
      k === 0 ? [1] : products(k - 1).flatMap((chance) => acceptance.map((p) => chance * p));
    rule.goOnFrom.forEach((from, i) => {
      expect(products(i + 1).filter((chance) => chance >= from !== chance >= worth)).toEqual([]);
    });
    expect(rule.most).toBeGreaterThan(3);
  });

  test("tokens that bear time of their own are worth less", () => {
    const { acceptance, shares, costs } = instance(7, 3, 6);
    const mean = ({ lengths }: { lengths: readonly number[] }) => lengths.reduce((sum, w, i) => sum + w * (i + 1), 0);
    const [free, burdened] = [0, 30].map((perTokenUs) =>
      bestRule(acceptance, { shares, acceptance }, { ...costs, perTokenUs }, 6),
    );
    expect(burdened.tokensPerSecond).toBeLessThan(free.tokensPerSecond);
    expect(mean(burdened.drafted)).toBeGreaterThanOrEqual(mean(free.drafted));
  });
});

describe("what a table is read as", () => {
  const table = [
    { below: 0.5, positions: 30, accepted: 9, acceptance: 0.3 },
    { below: 0.9, positions: 50, accepted: 40, acceptance: 0.8 },
    { below: 1, positions: 120, accepted: 119, acceptance: 0.99 },
  ];

  test("a plan's scale is the table within half a percent, and products of its values are few", () => {
    const scale = scaleOf(table);
    expect(scale.map(({ below }) => below)).toEqual([0.5, 0.9, 1]);
    scale.forEach(({ acceptance }, i) => {
      expect(Math.abs(Math.log(acceptance / table[i].acceptance))).toBeLessThan(0.00501);
    });
    const never = scaleOf([{ below: 1, positions: 4, accepted: 0, acceptance: 0 }]);
    expect(never[0].acceptance).toBeLessThan(0.001);
  });

  test("without a rule the curve is found again, whatever it is", () => {
    const scale = scaleOf(table);
    const curve = [1, 0.9, 0.74, 0.69, 0.66];
    const guesses = guessesOf(scale, table, curve, 4);
    const { curve: found, lengths } = draftedLengths(
      { most: 4, goOnFrom: [0, 0, 0] },
      scale.map(({ acceptance }) => acceptance),
      guesses,
    );
    found.forEach((a, i) => {
      expect(a).toBeCloseTo(curve[i], 9);
    });
    expect(lengths).toEqual([0, 0, 0, expect.closeTo(1, 12)]);
  });

  test("tilted shares have the mean that is asked for, or the nearest there is", () => {
    const [shares, acceptance] = [
      [0.2, 0.3, 0.5],
      [0.1, 0.6, 0.9],
    ];
    for (const mean of [0.15, 0.4, 0.65, 0.89]) {
      const found = tilted(shares, acceptance, mean);
      expect(found.reduce((sum, w, b) => sum + w * acceptance[b], 0)).toBeCloseTo(mean, 9);
      expect(found.reduce((sum, w) => sum + w, 0)).toBeCloseTo(1, 12);
    }
    expect(tilted(shares, acceptance, 0.65)).toEqual(shares.map((share) => expect.closeTo(share, 9)));
    expect(tilted(shares, acceptance, 1)).toEqual([0, 0, 1].map((share) => expect.closeTo(share, 6)));
    expect(tilted(shares, acceptance, 0)).toEqual([1, 0, 0].map((share) => expect.closeTo(share, 6)));
  });

  test("a table made on other text is counted into a scale's bins by where its own begin", () => {
    const scale = [
      { below: 0.6, acceptance: 0.4 },
      { below: 1, acceptance: 0.95 },
    ];
    const { shares, acceptance, beyond } = guessesOf(
      scale,
      table.map((bin, i) => ({ ...bin, beyond: i === 0 ? 6 : 2 })),
      [1, 0.88],
      1,
    );
    expect(acceptance[0]).toBeCloseTo((0.3 * 30 + 0.8 * 50) / 80, 12);
    expect(acceptance[1]).toBeCloseTo(0.99, 12);
    expect(shares[0].reduce((sum, w, b) => sum + w * acceptance[b], 0)).toBeCloseTo(0.88, 9);
    expect(beyond).toEqual([0.8, 0.2]);
  });
});
