/** The steps around the fit, each by itself: filling the cache, taking out slow-downs, timing the loop, what a profile must hold. */

import { describe, expect, test } from "vitest";
import { slowness, steady } from "../../src/profile/fit/drift.js";
import { fitLine, straight } from "../../src/profile/fit/line-fit.js";
import { profileModel } from "../../src/profile/profile.js";
import { fillCache, measureLoop } from "../../src/profile/sweep/before.js";
import { partialPass } from "../../src/profile/sweep/design.js";
import { type Observation, targetPass } from "../../src/profile/sweep/pass.js";
import { uniformChoices } from "../../src/schema/choice.js";
import { Profile } from "../../src/schema/profile.js";
import { seededRandom } from "../../src/stats/random.js";
import { normal, uniform } from "../support/numbers.js";
import { asDocument, planted, plantedTimes } from "./support.js";

const LAYERS = 3;

describe("filling the cache", () => {
  const world = () => planted(LAYERS, plantedTimes(LAYERS, 0));

  test("one token goes into every page, with all attention and no MLP", async () => {
    const { engine } = world();
    expect(await fillCache(engine, 1000, [1, 2, 3])).toBe("touched");
    expect(engine.passes.map(({ position }) => position)).toEqual(Array.from({ length: 63 }, (_, i) => 16 * i)); // 64 numbers a head
    for (const { q, choices } of engine.passes) {
      expect(q).toBe(1);
      expect(choices.blocks).toEqual(["target", "skip", "target", "skip", "target", "skip"]);
    }
  });

  test.each([2 ** -130, Number.NaN, Number.POSITIVE_INFINITY])(
    "where memory holds %s in one place every token is written",
    async (stray) => {
      const { engine } = world();
      const read = engine.readCache.bind(engine);
      engine.readCache = (layer, part, position, count) => {
        const values = read(layer, part, position, count);
        if (layer === LAYERS - 1 && part === "value") values[count - 1] = stray;
        return values;
      };
      expect(await fillCache(engine, 1000, [1, 2, 3])).toBe("prefilled");
      expect(engine.passes.slice(63).map(({ position, q }) => [position, q])).toEqual([
        [0, 512],
        [512, 488],
      ]);
      expect([...read(0, "key", 0, 1000)].every((cell) => cell !== 0)).toBe(true);
    },
  );
});

test("a block that seems to save time costs nothing, and the others give way so that the whole stays what it was", () => {
  const random = seededRandom(3);
  // fixed 50, head 100, attention 30 a layer, MLPs 60, 70 and -10: 360 in all
  const cost = (index: number) => (index % 2 === 0 ? 30 : [60, 70, -10][index >> 1]);
  const observations = [targetPass(LAYERS), ...Array.from({ length: 60 }, () => partialPass(random, LAYERS))].map(
    (pass): Observation => {
      const us = pass.choices.blocks.reduce(
        (sum, choice, index) => sum + (choice === "skip" ? 0 : cost(index)),
        pass.head ? 150 : 50,
      );
      return { ...pass, context: 64, query: 5, us, passes: 1, visit: 0, round: 0 };
    },
  );
  const { fixedUs, headUs, perLayer } = fitLine(observations, LAYERS, straight([64]), {
    wholeTargetUs: new Map([[64, 360]]),
  })(64);
  const [attn, mlp] = [perLayer.attn.target ?? [], perLayer.mlp.target ?? []];
  expect(mlp[2]).toBe(0);
  expect(mlp[1] / mlp[0]).toBeCloseTo(7 / 6, 2);
  expect([...attn, ...mlp].reduce((a, b) => a + b, fixedUs + (headUs.target ?? 0))).toBeCloseTo(360, 1);
});

test("a pass in part leaves out at least one block, whatever is drawn", () => {
  const random = seededRandom(1);
  const parts = Array.from({ length: 300 }, () => partialPass(random, LAYERS).choices.blocks);
  expect(parts.every((blocks) => blocks.includes("skip"))).toBe(true);
  expect(parts.some((blocks) => blocks.filter((choice) => choice === "skip").length === 1)).toBe(true);
});

describe("slow-downs of the whole machine", () => {
  const whole = (visit: number, query: number, us: number): Observation => ({
    ...targetPass(LAYERS),
    context: 64,
    query,
    us,
    passes: 1,
    visit,
    round: 0,
  });
  const draft = (visit: number, us: number): Observation => ({
    choices: uniformChoices(LAYERS, "int8"),
    head: true,
    context: 64,
    query: 1,
    us,
    passes: 4,
    visit,
    round: 0,
  });
  // usual times 100 at q = 1 and 200 at q = 5; visit 2 runs 1.2 times as long, visit 4 three times
  const factors = [1, 1, 1.2, 1, 3];
  const seen = factors.flatMap((f, visit) => [
    whole(visit, 1, 100 * f),
    whole(visit, 5, 200 * f),
    draft(visit, 40 * f),
  ]);

  test("are judged by the whole target alone", () => {
    expect([...slowness(seen)]).toEqual(factors.map((f, visit) => [visit, expect.closeTo(f, 12)]));
    const noisyDrafts = seen.map((o) => (o.passes === 4 ? { ...o, us: 7 * o.us } : o));
    expect(slowness(noisyDrafts)).toEqual(slowness(seen));
  });

  test("are divided out of every time of their visit; a visit far too slow is left out", () => {
    const kept = steady(seen);
    expect(new Set(kept.map(({ visit }) => visit))).toEqual(new Set([0, 1, 2, 3]));
    for (const { passes, query, us } of kept) expect(us).toBeCloseTo(passes === 4 ? 40 : query === 1 ? 100 : 200, 9);
  });
});

describe("a pass of the target is not divided by its own time", () => {
  const noise = 0.04;
  const deviation = (logs: readonly number[]) => Math.sqrt(logs.reduce((sum, x) => sum + x * x, 0) / logs.length);

  // divided by the median of itself and others it would be left with 0, 0.71 and 0.82 of its noise
  test.each([
    { name: "alone in its visit it keeps its noise", queries: [1], times: 1 },
    { name: "beside one other it has the noise of both", queries: [1, 5], times: Math.SQRT2 },
    { name: "beside two others it has that of their middle too", queries: [1, 2, 5], times: Math.sqrt(1.5) },
  ])("$name", ({ queries, times }) => {
    const next = uniform(17);
    const seen = Array.from({ length: 400 }, (_, visit) =>
      queries.map(
        (query): Observation => ({
          ...targetPass(LAYERS),
          ...{ context: 64, query, us: 100 * query * Math.exp(noise * normal(next)), passes: 1, visit, round: 0 },
        }),
      ),
    ).flat();
    for (const query of queries) {
      const logs = steady(seen).flatMap((o) => (o.query === query ? [Math.log(o.us / (100 * query))] : []));
      // 400 of them: a standard error of 3.5 %; three such, and what the usual times themselves are off by
      expect(Math.abs(deviation(logs) / (times * noise) - 1)).toBeLessThan(0.12);
    }
  });
});

test("the decoding loop's own time is what is left of a round when drafting and verifying are taken off", async () => {
  const { engine, clock } = planted(LAYERS, plantedTimes(LAYERS, 0));
  // every look at the clock takes 3 µs: of the looks in a round one lies outside drafting and verifying
  const looking = {
    nowUs: () => {
      clock.advance(3);
      return clock.nowUs();
    },
  };
  expect(await measureLoop(engine, looking, [1, 2, 3])).toEqual({ roundUs: 3, stepUs: 3 });
});

describe("a profile document", async () => {
  const measured = await profileModel({
    ...planted(LAYERS, plantedTimes(LAYERS, 0)),
    contexts: [64, 256],
    queries: [1, 3],
    queryLine: [1, 2, 3],
    maxRounds: 5,
    budgetSeconds: 1e6,
  });
  const valid = asDocument(measured, LAYERS);
  const [first, ...others] = valid.points;
  const problem = (document: unknown): string => Profile.safeParse(document).error?.issues[0].message ?? "none";

  test("of what was measured is valid", () => {
    expect(problem(valid)).toBe("none");
  });

  test.each<[string, Profile, RegExp]>([
    ["lacks a point", { ...valid, points: others }, /no point for 64 tokens of context with 1/],
    ["has a point twice", { ...valid, points: [...valid.points, first] }, /not on the grid, or is there twice/],
    [
      "has a point off its grid",
      { ...valid, points: [...valid.points, { ...first, context_tokens: 65 }] },
      /65 tokens.*not on the grid/,
    ],
    [
      "has another number of layers",
      { ...valid, model: { ...valid.model, layers: 4 } },
      /3 layers, and the model has 4/,
    ],
    [
      "lacks the target's head",
      { ...valid, points: [{ ...first, head_us: {} }, ...others] },
      /target's own cost is missing/,
    ],
    [
      "lacks the target's MLPs",
      { ...valid, points: [{ ...first, mlp_us: {} }, ...others] },
      /target's own costs are missing/,
    ],
    ["has contexts that fall", { ...valid, grid: { ...valid.grid, context_tokens: [256, 64] } }, /do not rise/],
    [
      "verifies fewer lengths than the grid has",
      { ...valid, query_line: { context_tokens: 64, query_tokens: [1, 2], target_us: [5, 6] } },
      /must go to q = 3/,
    ],
    [
      "verifies lengths with a gap",
      { ...valid, query_line: { context_tokens: 64, query_tokens: [1, 3, 4], target_us: [5, 6, 7] } },
      /must be 1, 2, 3/,
    ],
    [
      "lacks the time of one",
      { ...valid, query_line: { context_tokens: 64, query_tokens: [1, 2, 3], target_us: [5, 6] } },
      /as many times as/,
    ],
    ["has no q = 1", { ...valid, grid: { ...valid.grid, query_tokens: [3] } }, /rise from 1/],
  ])("that %s is refused", (_name, document, message) => {
    expect(problem(document)).toMatch(message);
  });
});
