/** Acceptance of drafts with a cache of their own, counted along a text: what real drafting accepts, round for round. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Continuation, ContinuedPrompts, continuePrompts, fillCache } from "../../src/calibrate/continuation.js";
import { measureByDrafting } from "../../src/calibrate/real-drafting.js";
import { measureDrafts, measureStandalone } from "../../src/calibrate/whole-drafts.js";
import { silentProgress } from "../../src/core/progress.js";
import { OwnCache } from "../../src/decode/drafters/own-cache.js";
import { standaloneDrafter } from "../../src/decode/drafters/standalone.js";
import { decode } from "../../src/decode/loop.js";
import { measureStandaloneDrafts, standaloneDrafts } from "../../src/pipeline/measuring/standalone-drafts.js";
import { systemClock } from "../../src/runtime/device.js";
import type { Engine } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { type ChoiceSet, choiceKey, expandDraft, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { makeCalibration } from "../support/documents.js";
import { fakeEngine } from "../support/fake-model.js";
import { trials } from "../support/long.js";
import { skipping } from "../support/plans.js";

const LAYERS = 12;
const NEW = trials(20, 40);
/** draft lengths that are really drafted */
const LENGTHS = [4, 1, 7].slice(0, trials(1, 3));
const DRAFTS: [string, ChoiceSet][] = [
  ["one MLP skipped", expandDraft(skipping("3.mlp"), LAYERS, "draft")],
  ["two layers skipped", expandDraft(skipping("1.attn", "1.mlp", "6.attn", "6.mlp"), LAYERS, "draft")],
  [
    "everything in int8, four blocks skipped",
    expandDraft({ ...skipping("2.mlp", "4.attn", "5.mlp", "7.mlp"), default: "int8", head: "int8" }, LAYERS, "draft"),
  ],
];

describe("on the embedded model", () => {
  let model: LoadedModel;
  let engine: Engine;
  let own: Engine;
  let texts: Continuation[];

  beforeAll(async () => {
    model = await loadModel("embedded", { provider: "cpu", threads: 1, capacity: 256 });
    engine = model.engine;
    own = engine.withOwnCache?.() as Engine;
    const prompts = [
      [0, 53, 219, 718, 1021, 77, 300, 12],
      Array.from({ length: 70 }, (_, i) => (37 * i * i + 11 * i) % 1000),
    ];
    texts = await continuePrompts(engine, systemClock, prompts, NEW, silentProgress);
  });
  afterAll(() => model?.close());

  test.each(DRAFTS)("%s: every round of real drafting accepts what was counted", async (_name, choices) => {
    const [found] = await measureStandalone(engine, own, texts, [choices], 16, silentProgress);
    let from = 0;
    for (const { prompt, ids } of texts) {
      const hits = found.positions.slice(from, from + ids.length - 1);
      from += ids.length - 1;
      for (const draftTokens of LENGTHS) {
        const policy = () => ({ drafter: standaloneDrafter(choices, new OwnCache(own)), draftTokens });
        const options = { maxTokens: ids.length, endTokens: [], clock: systemClock, policy };
        const { ids: real, rounds } = await decode(engine, prompt, options);
        expect(real).toEqual(ids);
        let at = 0;
        for (const { drafted, accepted, emitted } of rounds) {
          const counted = hits.slice(at, at + drafted);
          const miss = counted.indexOf(0);
          expect(accepted).toBe(miss === -1 ? counted.length : miss);
          at += emitted;
        }
        expect(at).toBe(ids.length - 1);
      }
    }
    expect(found.positions.some((hit) => hit === 1)).toBe(true);
  });

  test("it differs from what is counted over the target's cache, and leaves that cache alone", async () => {
    const [[, choices]] = DRAFTS.slice(1);
    await fillCache(engine, texts[1], silentProgress);
    const before = engine.readCache(5, "key", 0, 100);
    const [alone] = await measureStandalone(engine, own, texts, [choices], 16, silentProgress);
    expect(engine.readCache(5, "key", 0, 100)).toEqual(before);
    const [shared] = await measureDrafts(engine, texts, [choices], 16, silentProgress);
    expect(alone.positions).not.toEqual(shared.positions);
  });
});

describe("planted", () => {
  const int8 = uniformChoices(3, "int8");
  const options = { vocab: 50, missRate: 0.1, ownMissRate: 0.6, context: 2048 };

  test("a draft's own acceptance comes out, by counting and by real drafting", async () => {
    const { engine, clock } = fakeEngine(options);
    const own = engine.withOwnCache();
    const prompts = Array.from({ length: 6 }, (_, i) => [i, 7, 3]);
    const texts = await continuePrompts(engine, clock, prompts, 300, silentProgress);
    const [counted] = await measureStandalone(engine, own, texts, [int8], 8, silentProgress);
    // 1,800 positions: 5 standard errors of the rate are 0.058
    expect(Math.abs(counted.positions.reduce((a, b) => a + b, 0) / counted.positions.length - 0.4)).toBeLessThan(0.058);
    const drafting = { drafter: standaloneDrafter(int8, new OwnCache(own)), draftTokens: 3 };
    const real = await measureByDrafting(engine, clock, prompts, drafting, 300, silentProgress);
    expect(Math.abs(real.curve[1] - 0.4)).toBeLessThan(0.08);
    expect(engine.passes.some(({ choices }) => choiceKey(choices) === choiceKey(targetChoices(3)))).toBe(true);
  });

  test("drafts for a calibration: ladders by the mean loss, each on both parts, hopeless ones on one text alone", async () => {
    const { contexts } = makeCalibration([16, 64]);
    const sets = standaloneDrafts(contexts, 3, ["target", "int8"]);
    expect(new Set(sets.map(choiceKey)).size).toBe(sets.length);
    // int8 throughout; 1 and 2 blocks, 1 layer, beside the target's kernel and beside int8
    expect(sets.map(({ blocks }) => blocks.filter((choice) => choice === "skip").length)).toEqual([
      0, 1, 2, 2, 1, 2, 2,
    ]);
    const { engine, clock } = fakeEngine({ ...options, ownMissRate: 0.9 });
    const good = choiceKey(sets[0]);
    const own = fakeEngine({ ...options, ownMissRate: 0.9 }).engine;
    const both = () =>
      new Map(
        contexts.map(({ at_context }) => {
          const prompts = Array.from({ length: 4 }, (_, i) =>
            Array.from({ length: at_context }, (_, j) => (i + j) % 50),
          );
          return [at_context, new ContinuedPrompts(engine, clock, prompts, 20, null)];
        }),
      );
    const prompts = contexts.map(({ at_context }) => ({ atContext: at_context }));
    const measuring = {
      engine,
      own,
      clock,
      untilUs: Number.POSITIVE_INFINITY,
      positions: 80,
      progress: silentProgress,
    };
    const measured = await measureStandaloneDrafts(measuring, sets, prompts, { choose: both(), report: both() });
    expect(measured.every(({ draft_cache }) => draft_cache === "own")).toBe(true);
    // all are hopeless here: each on one text of choosing at each context, none on text kept back
    expect(measured).toHaveLength(2 * sets.length);
    expect(measured.every(({ part, tokens }) => part === "choose" && tokens === 20)).toBe(true);
    expect(good).toContain("int8");
  });

  test("and good ones on as many positions as were asked for, of both parts", async () => {
    const { engine, clock } = fakeEngine({ ...options, ownMissRate: 0.2 });
    const own = engine.withOwnCache();
    const texts = () =>
      new Map([
        [
          16,
          new ContinuedPrompts(
            engine,
            clock,
            [0, 1, 2, 3, 4].map((i) => new Array(16).fill(i)),
            20,
            null,
          ),
        ],
      ]);
    const limits = { untilUs: Number.POSITIVE_INFINITY, positions: 60, progress: silentProgress };
    const asked = { engine, own, clock, ...limits };
    const parts = { choose: texts(), report: texts() };
    const measured = await measureStandaloneDrafts(asked, [int8], [{ atContext: 16 }], parts);
    expect(measured.map(({ part, tokens }) => [part, tokens])).toEqual([
      ["choose", 60],
      ["report", 60],
    ]);
    const late = { ...asked, untilUs: clock.nowUs() };
    const short = await measureStandaloneDrafts(late, [int8], [{ atContext: 16 }], {
      choose: texts(),
      report: texts(),
    });
    expect(short.map(({ tokens }) => tokens)).toEqual([20, 20]);
  });
});
