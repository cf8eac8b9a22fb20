import { describe, expect, test } from "vitest";
import { profileModel } from "../../src/profile/profile.js";
import { type Observation, targetPass } from "../../src/profile/sweep/pass.js";
import { precisionReached, stopReason } from "../../src/profile/sweep/stop.js";
import { uniform } from "../support/numbers.js";
import { planted, plantedTimes } from "./support.js";

const LAYERS = 3;
const pass = (round: number, us: number, query = 1): Observation => ({
  ...targetPass(LAYERS),
  ...{ context: 64, query, us, passes: 1, visit: round, round },
});

describe("the precision of a sweep", () => {
  test("is the standard error of the median over rounds, in percent of the mean", () => {
    // rounds of 90, 100, 110: standard deviation 10, standard error 10 / √3, a median's is 1.2533 times that
    const observations = [90, 100, 110].map((us, round) => pass(round, us));
    expect(precisionReached(observations)).toBeCloseTo((1.2533 * 10) / Math.sqrt(3), 6);
  });

  test("takes the passes of a round together: what disturbs one disturbs the others", () => {
    const once = [90, 110].map((us, round) => pass(round, us));
    const often = once.flatMap((o) => [o, o, o, o]);
    expect(precisionReached(often)).toBeCloseTo(precisionReached(once), 9);
  });

  test("is the mean over the points of the grid, and unknown from a single round", () => {
    const both = [90, 110].flatMap((us, round) => [pass(round, us), pass(round, 100, 5)]);
    expect(precisionReached(both)).toBeCloseTo(precisionReached([90, 110].map((us, round) => pass(round, us))) / 2, 9);
    expect(precisionReached([pass(0, 100)])).toBe(Number.POSITIVE_INFINITY);
    expect(precisionReached([])).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("a sweep stops", () => {
  const rule = { minRounds: 5, maxRounds: 20, budgetUs: 1000, precisionPercent: 1 };
  test.each([
    { name: "never before the least number of rounds", rounds: 4, end: 9999, precision: 0, reason: null },
    { name: "when it is precise", rounds: 5, end: 100, precision: 1, reason: "precision" },
    {
      name: "not while it is not, there is time, and rounds are left",
      rounds: 5,
      end: 1000,
      precision: 1.1,
      reason: null,
    },
    { name: "when the next round would take too long", rounds: 5, end: 1001, precision: 1.1, reason: "time" },
    { name: "after the greatest number of rounds", rounds: 20, end: 100, precision: 1.1, reason: "rounds" },
  ])("$name", ({ rounds, end, precision, reason }) => {
    expect(stopReason(rule, rounds, end, () => precision)).toBe(reason);
  });

  test("without a criterion of precision it is not asked for", () => {
    const never = () => {
      throw new Error("asked");
    };
    expect(stopReason({ ...rule, precisionPercent: null }, 7, 100, never)).toBeNull();
  });

  const GRID = { contexts: [64, 256], queries: [1, 2], queryLine: [], draws: 0 };

  test("and the profile says what ended it, and how precise it was", async () => {
    const quiet = planted(LAYERS, plantedTimes(LAYERS, 0));
    const precise = await profileModel({ ...quiet, ...GRID, budgetSeconds: 1e6, precisionPercent: 1 });
    expect(precise.sampling).toMatchObject({ rounds: 5, stopped_by: "precision", precision_percent: 0 });

    const next = uniform(2);
    const noisy = { ...plantedTimes(LAYERS, 0), disturbance: (us: number) => us * (1 + next()) };
    const cut = await profileModel({ ...planted(LAYERS, noisy), ...GRID, budgetSeconds: 3, precisionPercent: 0.1 });
    expect(cut.sampling.stopped_by).toBe("time");
    expect(cut.sampling.precision_percent).toBeGreaterThan(0.1);

    const done = await profileModel({
      ...planted(LAYERS, noisy),
      ...GRID,
      budgetSeconds: 1e6,
      maxRounds: 6,
      precisionPercent: 0.1,
    });
    expect(done.sampling).toMatchObject({ rounds: 6, stopped_by: "rounds" });
  });
});
