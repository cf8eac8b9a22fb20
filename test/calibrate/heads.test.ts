/** Ranks of a text under heads, against heads that list its tokens at planted ranks. */
import { describe, expect, test } from "vitest";
import { calibrate } from "../../src/calibrate/calibrate.js";
import { ContinuedPrompts } from "../../src/calibrate/continuation.js";
import { ranksAlong } from "../../src/calibrate/heads.js";
import { HeadsEvidence } from "../../src/calibrate/heads-evidence.js";
import { silentProgress } from "../../src/core/progress.js";
import { Calibration } from "../../src/schema/calibration.js";
import { type Random, seededRandom } from "../../src/stats/random.js";
import { fakeEngine } from "../support/fake-model.js";
import { type PlantedText, plantedHeads } from "../support/planted-heads.js";

const HEADS = 3;
const RANKS = 4;
const CONTINUED = 70; // more than one pass of the heads

const plant = (random: Random, positions: number): PlantedText["ranks"] =>
  Array.from({ length: positions }, () =>
    Array.from({ length: HEADS }, () => {
      const rank = Math.floor(random.float() * (RANKS + 1.5));
      return rank < RANKS ? rank : null;
    }),
  );

/** What is to be found: up to the first that is not listed. */
const cut = (ranks: readonly (number | null)[]): number[] => {
  const end = ranks.indexOf(null);
  return (end === -1 ? ranks : ranks.slice(0, end)) as number[];
};

async function continued(prompts: number[][]) {
  const { engine, clock } = fakeEngine({ context: 900, vocab: 500 });
  const random = seededRandom(3);
  const made = new ContinuedPrompts(engine, clock, prompts, CONTINUED - 1, null);
  const texts: PlantedText[] = [];
  for (let one = await made.next(silentProgress); one !== null; one = await made.next(silentProgress))
    texts.push({ ...one, ranks: plant(random, one.ids.length) });
  return { engine, clock, texts };
}

const KINDS = [
  ["medusa", { kind: "medusa", heads: HEADS, ranks: RANKS }],
  ["hydra", { kind: "hydra", heads: HEADS, ranks: RANKS }],
  ["hydra with a prefix layer", { kind: "hydra", heads: HEADS, ranks: RANKS, prefix: true }],
] as const;

describe.each(KINDS)("heads of %s", (_name, shape) => {
  const long = Array.from({ length: 600 }, (_, i) => (i * 7) % 500); // more than one pass of the target
  test.each([
    ["a short prompt", [5]],
    ["a long one", long],
  ])(
    "list the tokens that follow %s where they were planted, from its first continued token on",
    async (_what, prompt) => {
      const { engine, texts } = await continued([prompt]);
      const [text] = texts;
      const heads = plantedHeads(engine, texts, shape);
      const found = await ranksAlong(engine, heads, text, silentProgress);
      expect(text.ids).toHaveLength(CONTINUED);
      // the last three tokens have fewer than three behind them
      expect(found).toEqual(text.ranks.slice(0, CONTINUED - HEADS).map(cut));
      expect(found.some((ranks) => ranks.length === HEADS)).toBe(true);
    },
  );

  test("leave the text's own keys and values in the cache", async () => {
    const { engine, texts } = await continued([[1, 2, 3]]);
    const heads = plantedHeads(engine, texts, shape);
    const length = 3 + CONTINUED - 1;
    const before = engine.readCache(0, "key", 0, length);
    await ranksAlong(engine, heads, texts[0], silentProgress);
    expect(engine.readCache(0, "key", 0, length)).toEqual(before);
  });
});

test("a text that is no longer than there are heads has no position", async () => {
  const { engine, texts } = await continued([[1, 2, 3]]);
  const heads = plantedHeads(engine, texts, KINDS[0][1]);
  expect(
    await ranksAlong(engine, heads, { prompt: [1, 2, 3], ids: texts[0].ids.slice(0, HEADS) }, silentProgress),
  ).toEqual([]);
  expect(heads.passes).toEqual([]);
});

test("heads are few passes over many rows: one for every 32 positions", async () => {
  const { engine, texts } = await continued([[1, 2, 3]]);
  const heads = plantedHeads(engine, texts, KINDS[0][1]);
  await ranksAlong(engine, heads, texts[0], silentProgress);
  expect(heads.passes).toEqual([32, 32, CONTINUED - HEADS - 64]);
});

describe("a calibration with heads", () => {
  const model = { name: "fake", layers: 3, architecture_sha256: "a".repeat(64), weights_sha256: "b".repeat(64) };
  const prompts = [1, 2, 3, 4, 5, 6].map((first) => [first, 9, 9]);
  const stage = async (positions: number, known: (texts: PlantedText[]) => PlantedText[]) => {
    const { texts, engine } = await continued(prompts);
    const heads = plantedHeads(engine, known(texts), KINDS[0][1]);
    const evidence = new HeadsEvidence([{ heads, path: "heads" }]);
    const { clock } = fakeEngine();
    const result = await calibrate({
      ...{
        engine,
        clock,
        model,
        progress: silentProgress,
        positions,
        continuationTokens: CONTINUED - 1,
        heads: evidence,
      },
      text: { source: "bundled", sha256: "c".repeat(64) },
      prompts: [{ atContext: 3, choose: prompts, report: [[7, 9, 9]] }],
    });
    return { texts, evidence, calibration: result.calibration };
  };

  test("has at least as many positions for heads as for losses, and losses as they are without heads", async () => {
    const { texts, evidence, calibration } = await stage(2 * (CONTINUED - 1), (all) => all);
    const [{ contexts, ...heads }] = evidence.records();
    expect(heads).toEqual({ path: "heads", sha256: "e".repeat(64), kind: "medusa", heads: HEADS, ranks: RANKS });
    expect(calibration.contexts[0].positions).toBe(2 * (CONTINUED - 1));
    expect(contexts).toHaveLength(1);
    expect(contexts[0].positions).toBe(3 * (CONTINUED - HEADS)); // two texts are a little short of it, so a third
    expect(calibration.text.prompts.choose).toBe(2);
    const expected = texts.slice(0, 3).map(({ ranks }) => ranks.slice(0, CONTINUED - HEADS).map(cut));
    const { paths } = contexts[0];
    expect(contexts[0].texts.map((text) => text.map((path) => paths[path].ranks))).toEqual(expected);
    expect(Calibration.parse({ ...calibration, heads: evidence.records() }).heads).toEqual(evidence.records());

    const { engine } = await continued(prompts);
    const without = await calibrate({
      ...{ engine, clock: fakeEngine().clock, model, progress: silentProgress, positions: 2 * (CONTINUED - 1) },
      ...{ continuationTokens: CONTINUED - 1, text: calibration.text },
      prompts: [{ atContext: 3, choose: prompts, report: [[7, 9, 9]] }],
    });
    expect(without.calibration.contexts).toEqual(calibration.contexts);
  });

  test("ends where the text does", async () => {
    const { evidence, calibration } = await stage(Number.POSITIVE_INFINITY, (all) => all);
    expect(calibration.contexts[0].positions).toBe(6 * (CONTINUED - 1));
    expect(evidence.records()[0].contexts[0].positions).toBe(6 * (CONTINUED - HEADS));
  });

  test("says so where the heads know nothing: every position has the empty path", async () => {
    const { evidence } = await stage(10, (all) =>
      all.map((text) => ({ ...text, ranks: text.ranks.map((ranks) => ranks.map(() => null)) })),
    );
    expect(evidence.records()[0].contexts[0].paths).toEqual([{ ranks: [], positions: 2 * (CONTINUED - HEADS) }]);
  });
});

test("of no heads there is nothing to say", () => {
  expect(new HeadsEvidence([]).records()).toEqual([]);
});
