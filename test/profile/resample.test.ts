import { describe, expect, test } from "vitest";
import { DRAWS, drawRounds } from "../../src/profile/fit/resample.js";
import { type Measured, profileModel } from "../../src/profile/profile.js";
import { Profile } from "../../src/schema/profile.js";
import { seededRandom } from "../../src/stats/random.js";
import { uniform } from "../support/numbers.js";
import { asDocument, type Planted, planted, plantedTimes } from "./support.js";

const LAYERS = 6;
const GRID = { contexts: [64, 1024], queries: [1, 2, 5], queryLine: [], budgetSeconds: 1e6 };

const profiled = (times: Planted["times"], maxRounds: number, seed = 1): Promise<Measured> =>
  profileModel({ ...planted(LAYERS, times), ...GRID, maxRounds, seed });

const everyFactor = ({ points }: Measured): number[] =>
  points.flatMap(({ resampled }) => [
    ...(resampled?.whole_target ?? []),
    ...(resampled?.fixed ?? []),
    ...[resampled?.head, resampled?.attn, resampled?.mlp].flatMap((part) => Object.values(part ?? {}).flat()),
  ]);

const deviation = (values: number[]): number => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
};

describe("draws of rounds", () => {
  test("the first is the sample itself, the others have as many rounds, some twice and some not at all", () => {
    const draws = drawRounds(12, seededRandom(3));
    expect(draws).toHaveLength(DRAWS + 1);
    expect(draws[0]).toEqual(new Array(12).fill(1));
    for (const counts of draws) expect(counts.reduce((a, b) => a + b)).toBe(12);
    expect(new Set(draws.slice(1).flat())).toContain(0);
    expect(Math.max(...draws.slice(1).flat())).toBeGreaterThan(1);
  });

  test("each round is drawn as often as any other", () => {
    const random = seededRandom(4);
    const total = new Array<number>(10).fill(0);
    for (let i = 0; i < 50; i++)
      for (const counts of drawRounds(10, random).slice(1)) counts.forEach((count, round) => (total[round] += count));
    for (const count of total) expect(Math.abs(count / (50 * DRAWS) - 1)).toBeLessThan(0.08);
  });
});

describe("a resampled profile", () => {
  test("of a machine without noise has nothing to draw from: every factor is 1", async () => {
    const measured = await profiled(plantedTimes(LAYERS, 0), 12);
    const factors = everyFactor(measured);
    expect(factors.length).toBe(DRAWS * (2 * (1 + 1 + 3 * 2) + 4)); // two contexts at q = 1, four points beside them
    for (const factor of factors) expect(Math.abs(factor - 1)).toBeLessThan(0.002);
    expect(Profile.safeParse(asDocument(measured, LAYERS)).error).toBeUndefined();
  });

  test("of a noisy one spreads as the median of as many passes does in theory", async () => {
    const next = uniform(5);
    const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    const rounds = 24;
    const noise = 0.05;
    const measured = await profiled(
      { ...plantedTimes(LAYERS, 0), disturbance: (us) => us * (1 + noise * normal()) },
      rounds,
    );
    // two bursts of verification at each length in a round: the median of 2 · 24 passes
    const theory = (1.2533 * noise) / Math.sqrt(2 * rounds);
    const spreads = measured.points
      .filter((point) => point.query_tokens > 1)
      .map(({ resampled }) => deviation(resampled?.whole_target ?? []));
    const mean = spreads.reduce((a, b) => a + b) / spreads.length;
    expect(mean / theory).toBeGreaterThan(0.6);
    expect(mean / theory).toBeLessThan(1.6);
    // parts are known worse than their sum
    const step = measured.points.find((point) => point.query_tokens === 1)?.resampled;
    expect(deviation(step?.attn?.target ?? [])).toBeGreaterThan(deviation(step?.whole_target ?? []));
  });

  test("more rounds make it narrower", async () => {
    const noisy = (seed: number) => {
      const next = uniform(seed);
      return { ...plantedTimes(LAYERS, 0.1), disturbance: (us: number) => us * (1 + 0.2 * next()) };
    };
    const spread = async (rounds: number) =>
      deviation((await profiled(noisy(1), rounds)).points.flatMap(({ resampled }) => resampled?.whole_target ?? []));
    expect(await spread(24)).toBeLessThan(0.75 * (await spread(6)));
  });

  test("is the same for the same seed", async () => {
    const noisy = () => {
      const next = uniform(7);
      return { ...plantedTimes(LAYERS, 0.1), disturbance: (us: number) => us * (1 + 0.2 * next()) };
    };
    expect(everyFactor(await profiled(noisy(), 8))).toEqual(everyFactor(await profiled(noisy(), 8)));
  });

  test("whose points have unequal numbers of draws is refused", async () => {
    const valid = asDocument(await profiled(plantedTimes(LAYERS, 0), 5), LAYERS);
    const [first, ...others] = valid.points;
    const cut = { ...first, resampled: { ...first.resampled, whole_target: [1, 1] } };
    expect(Profile.safeParse({ ...valid, points: [...others, cut] }).error?.issues[0].message).toMatch(/as many draws/);
    const { resampled: _, ...bare } = first;
    expect(Profile.safeParse({ ...valid, points: [bare, ...others] }).error?.issues[0].message).toMatch(
      /as many draws/,
    );
  });
});
