import { describe, expect, test } from "vitest";
import {
  type Slowdown as Comparison,
  compareSlots as compareOrNot,
  decideSlower as decide,
  isPrecise,
  isTimeToLook,
  LEAST_SLOTS,
  type SideBySideSlot as Slot,
} from "../../src/verify/index.js";
import { uniform } from "../support/numbers.js";

/** Normal numbers by Box and Muller, drawn apart from src. */
function normal(seed: number): () => number {
  const next = uniform(seed);
  return () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
}

function compareSlots(slots: readonly Slot[]): Comparison {
  const comparison = compareOrNot(slots);
  if (comparison === null) throw new Error("too few passes");
  return comparison;
}

interface World {
  seed: number;
  slots: number;
  prompts?: number;
  /** the candidate's time over the baseline's */
  slowdown?: number;
  /** standard deviation of one run's log time */
  noise: number;
  /** correlation of neighbouring runs */
  spell?: number;
  /** standard deviation of the prompts' own log ratios */
  spread?: number;
}

/** Slots of a machine whose runs are disturbed by an AR(1) process: as slow as the run before, more or less. */
function simulate({ seed, slots, prompts = 5, slowdown = 1, noise, spell = 0, spread = 0 }: World): Slot[] {
  const random = normal(seed);
  const own = Array.from({ length: prompts }, () => spread * random());
  const centre = own.reduce((a, b) => a + b, 0) / prompts;
  let state = noise * random();
  const run = (logUs: number) => {
    state = spell * state + Math.sqrt(1 - spell ** 2) * noise * random();
    return Math.exp(logUs + state);
  };
  return Array.from({ length: slots }, (_, slot) => {
    const prompt = slot % prompts;
    const base = 10 + prompt;
    const other = base + Math.log(slowdown) + own[prompt] - centre;
    if (slot % 2 === 0) {
      const [a, b, c, d] = [run(base), run(other), run(base), run(other)];
      return { prompt, baselineUs: [a, c], candidateUs: [b, d] };
    }
    const [a, b, c, d] = [run(other), run(base), run(other), run(base)];
    return { prompt, baselineUs: [b, d], candidateUs: [a, c] };
  });
}

describe("the comparison", () => {
  test("of equal times is nothing, exactly", () => {
    const slots = simulate({ seed: 1, slots: 20, noise: 0 });
    const comparison = compareSlots(slots);
    expect(comparison).toEqual({
      slots: 20,
      slowdownPercent: expect.closeTo(0, 9),
      lowPercent: expect.closeTo(0, 9),
      highPercent: expect.closeTo(0, 9),
      halfWidthPercent: expect.closeTo(0, 9),
      noisePercent: expect.closeTo(0, 9),
    });
  });

  test("prompts that gain differently widen nothing", () => {
    const { slowdownPercent, halfWidthPercent } = compareSlots(
      simulate({ seed: 2, slots: 25, noise: 0, spread: 0.1, slowdown: 1.07 }),
    );
    expect(slowdownPercent).toBeCloseTo(7, 6);
    expect(halfWidthPercent).toBeCloseTo(0, 6);
  });

  test("of independent noise has the width that theory gives: t σ / √slots", () => {
    // a slot's ln((B1 + B2) / (A1 + A2)) has the variance σ²/2 + σ²/2; 80 passes make 16 batches, whose spread is taken
    // without one at a time (a factor of √(16/15)); a standard deviation of 16 is 0.9835 of the true one on average
    const t15 = 2.602; // Student's quantile of 0.99
    const theory = (100 * t15 * 0.05 * Math.sqrt(16 / 15) * 0.9835) / Math.sqrt(400);
    const runs = 40;
    let total = 0;
    for (let seed = 1; seed <= runs; seed++)
      total += compareSlots(simulate({ seed, slots: 400, noise: 0.05 })).halfWidthPercent;
    // one width spreads by 1 / √(2 · 15) of itself: four standard errors of 40
    expect(Math.abs(total / runs / theory - 1)).toBeLessThan(4 / Math.sqrt(30 * runs));
  });

  test("noise in spells is not taken for independent: the interval covers the truth", () => {
    let below = 0;
    const runs = 500;
    for (let seed = 0; seed < runs; seed++) {
      const { lowPercent } = compareSlots(simulate({ seed, slots: 40, noise: 0.05, spell: 0.8, slowdown: 1.03 }));
      if (lowPercent > 3) below += 1;
    }
    expect(below).toBeLessThanOrEqual(13); // 1 % in theory; of 500 draws more than 13 are seen once in 400 times
  });

  test("and is no wider than it must be: of 500 limits some lie beyond the truth", () => {
    let beyond = 0;
    for (let seed = 0; seed < 500; seed++) {
      const { lowPercent, highPercent } = compareSlots(simulate({ seed, slots: 60, noise: 0.05 }));
      if (lowPercent > 0 || highPercent < 0) beyond += 1;
    }
    expect(beyond).toBeGreaterThan(0); // 2 % in theory, at least 1 %: none in 500 is seen once in 150 times
    expect(beyond).toBeLessThanOrEqual(20); // more than 20 once in 700 times
  });

  test("leaves out a pass that time cut short", () => {
    const slots = simulate({ seed: 5, slots: 33, noise: 0.1 });
    expect({ ...compareSlots(slots), slots: 30 }).toEqual(compareSlots(slots.slice(0, 30)));
  });

  test("a machine's own noise is what its baseline differs from itself by", () => {
    const quiet = compareSlots(simulate({ seed: 6, slots: 30, noise: 0.01 }));
    const loud = compareSlots(simulate({ seed: 6, slots: 30, noise: 0.1 }));
    expect(loud.noisePercent).toBeGreaterThan(5 * quiet.noisePercent);
    // one that slows down by a fifth within every slot is not fit to measure on
    const drifting = simulate({ seed: 7, slots: 30, noise: 0.01 }).map(
      (slot): Slot => ({ ...slot, baselineUs: [slot.baselineUs[0], 1.2 * slot.baselineUs[1]] }),
    );
    expect(compareSlots(drifting).noisePercent).toBeGreaterThan(19);
  });

  test("is none where a prompt was met fewer than four times, and nothing is decided", () => {
    const slots = simulate({ seed: 1, slots: 20, noise: 0 });
    expect(compareOrNot(slots)).not.toBeNull();
    for (const few of [[], slots.slice(0, 1), slots.slice(0, 19)]) expect(compareOrNot(few)).toBeNull();
    expect(isPrecise(null)).toBe(false);
    expect(decide(null, 5)).toEqual({ verdict: "inconclusive", because: expect.stringMatching(/met 4 times/) });
    // looked at after whole passes, of which there must be four and 12 slots
    expect([12, 15, 20, 21, 25].map((count) => isTimeToLook(count, 5))).toEqual([false, false, true, false, true]);
    expect([4, 8, 12].map((count) => isTimeToLook(count, 1))).toEqual([false, false, true]);
  });
});

describe("the decision", () => {
  const comparison = (low: number, high: number, more: Partial<Comparison> = {}): Comparison => ({
    slots: 20,
    slowdownPercent: (low + high) / 2,
    lowPercent: low,
    highPercent: high,
    halfWidthPercent: (high - low) / 2,
    noisePercent: 1,
    ...more,
  });

  test.each<[string, Comparison, string, RegExp]>([
    ["all beyond the tolerance", comparison(6, 9), "regressed", /beyond the tolerance \(5\.0 %\)/],
    ["all beyond it, however wide", comparison(6, 30), "regressed", /beyond the tolerance/],
    ["all within it", comparison(-2, 1), "fine", /within the tolerance/],
    ["faster", comparison(-30, -20), "fine", /within the tolerance/],
    ["narrow and begins within it", comparison(3, 6.9), "fine", /begins within/],
    ["wide and reaches beyond it", comparison(1, 9), "inconclusive", /wider than ± 2 %/],
    [
      "beyond the tolerance but not beyond the noise",
      comparison(8, 11, { noisePercent: 9 }),
      "inconclusive",
      /not beyond this machine's own noise \(9\.0 %\)/,
    ],
    ["beyond the noise too", comparison(10, 12, { noisePercent: 9 }), "regressed", /own noise \(9\.0 %\)/],
    ["of too few slots", comparison(10, 12, { slots: 11 }), "inconclusive", /11 of at least 12/],
  ])("%s", (_name, of, verdict, because) => {
    const decision = decide(of, 5);
    expect(decision.verdict).toBe(verdict);
    expect(decision.because).toMatch(because);
  });

  test("measuring stops when the interval is narrow, not before the least number of slots", () => {
    expect(isPrecise(comparison(0, 4))).toBe(true);
    expect(isPrecise(comparison(0, 4.1))).toBe(false);
    expect(isPrecise(comparison(0, 1, { slots: LEAST_SLOTS - 1 }))).toBe(false);
  });

  /** As the command does it: slots are added until it is precise or 60 are done. */
  function checked(world: Omit<World, "slots">) {
    const all = simulate({ ...world, slots: 60 });
    for (let count = 20; ; count += 5) {
      const comparison = compareSlots(all.slice(0, count));
      if (isPrecise(comparison) || count >= 60) return decide(comparison, 5).verdict;
    }
  }

  test.each([
    { name: "quiet", noise: 0.02, spell: 0 },
    { name: "noisy", noise: 0.08, spell: 0 },
    { name: "noisy in spells", noise: 0.08, spell: 0.9 },
  ])(
    "on a $name machine the same plan is never a regression, and one 10 % slower is never fine",
    ({ noise, spell }) => {
      for (let seed = 1; seed <= 25; seed++) {
        expect(checked({ seed, noise, spell, spread: 0.02 })).not.toBe("regressed");
        expect(checked({ seed, noise, spell, spread: 0.02, slowdown: 1.1 })).not.toBe("fine");
      }
    },
  );

  test("on a quiet machine 10 % is caught, not left open", () => {
    for (let seed = 1; seed <= 20; seed++) expect(checked({ seed, noise: 0.02, slowdown: 1.1 })).toBe("regressed");
  });
});
