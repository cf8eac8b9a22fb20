/** Heads along texts written side by side, against the same prompts one by one through the engine. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ContinuedPrompts } from "../../src/calibrate/continuation.js";
import { HeadsEvidence } from "../../src/calibrate/heads-evidence.js";
import { silentProgress } from "../../src/core/progress.js";
import { prefill } from "../../src/decode/loop.js";
import { withHeads } from "../../src/pipeline/drafting/measured.js";
import { canMeasureWidely, cutsOf, measureHeadsWidely } from "../../src/pipeline/measuring/heads-text.js";
import { systemClock } from "../../src/runtime/device.js";
import type { Engine, Pass } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { targetChoices } from "../../src/schema/choice.js";
import { HeadsCalibration } from "../../src/schema/heads-calibration.js";
import { acceptedLengthError } from "../../src/stats/length-error.js";
import { seededRandom } from "../../src/stats/random.js";
import { treeRounds } from "../../src/stats/tree-rounds.js";

const FOLDER = fileURLToPath(new URL("../fixtures/heads/", import.meta.url));
const CONTEXT = {
  ...{ provider: "cpu", threads: 1, ortLibrary: undefined, targetPrecision: undefined },
  ...{ progress: silentProgress, note: () => {} },
};
const HEADS = 3;
const CHAIN = [[0], [0, 0], [0, 0, 0]];

let model: LoadedModel;
beforeAll(async () => {
  model = await loadModel(join(FOLDER, "model"), { provider: "cpu", threads: 1 });
});
afterAll(() => model.close());

const random = seededRandom(9);
const some = (count: number) => Array.from({ length: count }, () => random.index(model.spec.vocabSize));

test("beginnings of a window: more of long ones, all at least half of it", () => {
  expect(cutsOf(128)).toEqual([128, 112, 96]);
  expect(cutsOf(512)).toEqual([512, 480, 448, 416, 384, 352]);
  expect(cutsOf(1536)).toEqual([1536, 1440, 1344, 1248]);
  expect(cutsOf(20)).toEqual([20]);
  expect(cutsOf(1)).toEqual([1]);
});

test("every text's ranks are those that the engine finds, a prompt that was gone along is not again, and windows and kinds are told", () =>
  withHeads([join(FOLDER, "medusa")], model, CONTEXT, async ([located]) => {
    const AT = 36;
    const choose = [some(AT), some(AT), some(AT)];
    const report = [some(AT), some(AT)];
    const prompts = [{ atContext: AT, choose, report, kinds: { choose: [0, 1, 0], report: [1, 0] } }];
    const wide = new HeadsEvidence([located]);
    expect(canMeasureWidely(model, wide, undefined, CONTEXT)).toBe(true);
    const tokens = 24;
    // the first prompt of choosing was gone along before, when losses were measured
    const before = new ContinuedPrompts(model.engine, systemClock, choose.slice(0, 1), tokens, null, [0]);
    const first = await before.next(silentProgress);
    if (first === null) throw new Error("the first prompt gives no text");
    await wide.take(model.engine, AT, "choose", first, silentProgress);
    // the time is up: what is there at least
    const written = await measureHeadsWidely(model, prompts, wide, CONTEXT, { untilUs: 0, tokens });

    // what it wrote behind whole windows is what the target writes by itself
    const again = new ContinuedPrompts(model.engine, systemClock, choose, tokens, null);
    const behind = await again.until(Number.POSITIVE_INFINITY, silentProgress);
    const texts = behind.map(({ prompt }) => written.get(AT)?.(prompt));
    expect(texts).toEqual([undefined, behind[1].ids, behind[2].ids]); // the first was known, and not written again
    expect(written.get(AT)?.(choose[1].slice(0, AT - 16))).toBeUndefined();
    expect(written.get(AT)?.(report[0])).toBeUndefined();

    const asked = (windows: readonly number[][]) =>
      windows.flatMap((ids) => cutsOf(AT).map((length) => ids.slice(0, length)));
    for (const [part, windows] of Object.entries({ choose, report }) as ["choose" | "report", number[][]][]) {
      const record = wide.records()[0].contexts.find((one) => one.part === part);
      if (record === undefined) throw new Error(`nothing of ${part}`);
      const alone = new HeadsEvidence([located]);
      const text = new ContinuedPrompts(model.engine, systemClock, asked(windows), tokens, null);
      await alone.complete(model.engine, AT, part, text, 4000, silentProgress);
      const [expected] = alone.records()[0].contexts;
      const ranks = ({ paths, texts }: typeof record) =>
        texts.map((one) => one.map((path) => paths[path].ranks.join()).join(" "));
      expect([...ranks(record)].sort()).toEqual([...ranks(expected)].sort());
      const counts = treeRounds(record, CHAIN).byText.map((count, i) => ({
        ...count,
        kind: record.kinds?.[i],
        window: record.windows?.[i],
      }));
      expect(wide.error(AT, part)).toBe(acceptedLengthError(counts));
      expect(new Set(record.windows).size).toBe(windows.length);
      expect(record.kinds).toHaveLength(record.texts.length);
    }
    expect(HeadsCalibration.safeParse(wide.records()[0]).success).toBe(true);
    expect(located.heads.heads).toBe(HEADS);
  }));

test("heads that look at the whole text, sampled text and other providers are measured as before", () =>
  withHeads([join(FOLDER, "hydra-prefix")], model, CONTEXT, async ([located]) => {
    expect(canMeasureWidely(model, new HeadsEvidence([located]), undefined, CONTEXT)).toBe(false);
    const none = new HeadsEvidence([]);
    expect(canMeasureWidely(model, none, undefined, CONTEXT)).toBe(false);
    await withHeads([join(FOLDER, "medusa")], model, CONTEXT, async ([medusa]) => {
      const evidence = new HeadsEvidence([medusa]);
      expect(canMeasureWidely(model, evidence, 0.8, CONTEXT)).toBe(false);
      expect(canMeasureWidely(model, evidence, undefined, { provider: "cuda" })).toBe(false);
    });
  }));

test("a text that is known is read and not written again, and the cache holds what it holds behind writing it", async () => {
  const { engine, spec } = model;
  const prompts = [some(20), some(30)];
  const tokens = 24;
  const target = targetChoices(spec.layers);
  const passes: { tokens: number; isTarget: boolean }[] = [];
  const run = (pass: Pass) => {
    const isTarget = pass.choices.blocks.every((choice) => choice === "target");
    passes.push({ tokens: (pass.input as number[]).length, isTarget });
    return engine.run(pass);
  };
  const counting: Engine = Object.create(engine, { run: { value: run } });
  const keys = (count: number) =>
    Array.from({ length: spec.layers }, (_, layer) => [...engine.readCache(layer, "key", 0, count)]).flat();

  const writing = new ContinuedPrompts(engine, systemClock, prompts, tokens, null, [4, 5]);
  const [first, second] = await writing.until(Number.POSITIVE_INFINITY, silentProgress);
  const length = first.prompt.length + first.ids.length - 1;
  // one token a pass, by the target alone: the naive twin of whoever wrote it
  await prefill(engine, first.prompt, target);
  for (const [i, id] of first.ids.slice(0, -1).entries())
    engine.run({ position: first.prompt.length + i, input: [id], choices: target, logitRows: 1 });
  const expected = keys(length);
  // something else lies in the cache before the text is read
  engine.run({ position: 0, input: some(length), choices: target, logitRows: 0 });

  const known = (prompt: readonly number[]) => (prompt.join() === first.prompt.join() ? first.ids : undefined);
  const reading = new ContinuedPrompts(counting, systemClock, prompts, tokens, null, [4, 5], known);
  expect(await reading.next(silentProgress)).toEqual(first);
  expect(passes).toEqual([
    { tokens: first.prompt.length, isTarget: true },
    { tokens: first.ids.length - 1, isTarget: true },
  ]);
  const off = keys(length).map((value, i) => Math.abs(value - expected[i]));
  expect(Math.max(...off)).toBeLessThan(1e-4);
  expect(await reading.next(silentProgress)).toEqual(second);
  expect(reading.positions).toBe(writing.positions);
});
