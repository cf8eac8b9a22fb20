/** The error of the tokens of a round, against what drawing texts again and again shows. */
import { describe, expect, test } from "vitest";
import { acceptedLengthError, type TextCount } from "../../src/stats/length-error.js";
import { sum } from "../../src/stats/numbers.js";
import { type Random, seededRandom } from "../../src/stats/random.js";

const TRIALS = 600;

/** Means of many draws: how they spread, and what each says of itself. */
function spreadOf(draw: (random: Random) => TextCount[]) {
  const trials = Array.from({ length: TRIALS }, (_, seed) => {
    const counts = draw(seededRandom(41, seed));
    const mean = sum(counts.map(({ tokens }) => tokens)) / sum(counts.map(({ rounds }) => rounds));
    const blind = counts.map(({ rounds, tokens }) => ({ rounds, tokens }));
    return { mean, error: acceptedLengthError(counts) as number, blind: acceptedLengthError(blind) as number };
  });
  const mean = sum(trials.map((trial) => trial.mean)) / TRIALS;
  return {
    spread: Math.sqrt(sum(trials.map((trial) => (trial.mean / mean - 1) ** 2)) / (TRIALS - 1)),
    said: sum(trials.map(({ error }) => error)) / TRIALS,
    blind: sum(trials.map(({ blind }) => blind)) / TRIALS,
  };
}

/** Tokens of some rounds of one text, whose rounds yield so many on average. */
function textOf(random: Random, yielded: number): Pick<TextCount, "rounds" | "tokens"> {
  const rounds = 15 + random.index(20);
  const tokens = sum(Array.from({ length: rounds }, () => Math.max(1, yielded + random.normal())));
  return { rounds, tokens };
}

// the spread of 600 means is known to 3 %, and the delta method over some dozens of texts to some per cent
const NEAR = 0.12;

describe("the error that is told is that of drawing texts anew", () => {
  test("where kinds differ and every kind has as many texts", () => {
    const means = [1.7, 2.4, 2.6, 2.9];
    const { spread, said, blind } = spreadOf((random) =>
      means.flatMap((mean, kind) =>
        Array.from({ length: 6 }, () => ({ ...textOf(random, mean + 0.3 * random.normal()), kind })),
      ),
    );
    expect(Math.abs(said / spread - 1)).toBeLessThan(NEAR);
    expect(blind / spread).toBeGreaterThan(1.3); // how kinds differ taken for chance
  });

  test("where texts behind one window are alike", () => {
    const { spread, said, blind } = spreadOf((random) =>
      Array.from({ length: 24 }, (_, window) => {
        const mean = 2.3 + 0.4 * random.normal();
        return Array.from({ length: 4 }, () => ({ ...textOf(random, mean), window }));
      }).flat(),
    );
    expect(Math.abs(said / spread - 1)).toBeLessThan(NEAR);
    expect(blind / spread).toBeLessThan(0.75); // texts taken for so many of their own
  });
});

test("a kind with one text counts it among all, and one text alone says nothing", () => {
  // 20 and 30 tokens of 10 rounds: 5 off the mean either way, whatever their kinds
  const counts = [
    { rounds: 10, tokens: 20, kind: 0 },
    { rounds: 10, tokens: 30, kind: 1 },
  ];
  expect(acceptedLengthError(counts)).toBeCloseTo((Math.sqrt(50) * Math.SQRT2) / 50, 12);
  const alike = counts.map(({ rounds, tokens }) => ({ rounds, tokens, window: 3 }));
  expect(acceptedLengthError(alike)).toBeNull();
});
