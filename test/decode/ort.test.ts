/** Real passes of random tiny models: tokens against decoding without a cache, the cache against a fresh prompt. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DraftPolicy, decode, prefill } from "../../src/decode/loop.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import type { Architecture } from "../../src/model/spec.js";
import { systemClock } from "../../src/runtime/device.js";
import { argmax, type Engine } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { type ChoiceSet, expandDraft, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { naiveGreedy } from "../oracle/naive-greedy.js";
import { cacheDifference } from "../support/cache-difference.js";
import { skipping } from "../support/plans.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const LAYERS = 4;
const PROMPT = [5, 9, 23, 40, 7];
const TOKENS = 40;
const CPU = { provider: "cpu", threads: 1 };

const drafts: [string, ChoiceSet, number][] = [
  ["four blocks skipped", expandDraft(skipping("1.attn", "1.mlp", "2.attn", "3.mlp"), LAYERS, "draft"), 4],
  ["every block skipped", uniformChoices(LAYERS, "skip"), 2],
  ["every block and the head in int8", uniformChoices(LAYERS, "int8"), 6],
];

describe.each<Architecture>(["llama", "mistral", "qwen2", "qwen3"])("a random %s", (architecture) => {
  let model: LoadedModel;
  let twin: LoadedModel;
  let expected: number[];
  let target: ChoiceSet;

  beforeAll(async () => {
    const folder = writeTinyCheckpoint(temporaryFolder(), {
      architecture,
      layers: LAYERS,
      headDim: 16,
      seed: 11,
      eosTokenIds: [],
      ...(architecture === "mistral" ? { slidingWindow: 16 } : {}),
    });
    model = await loadModel(folder, CPU);
    twin = await loadModel(folder, CPU);
    target = targetChoices(LAYERS);
    const next = (ids: readonly number[]) => argmax(fresh(twin.engine, ids), 0, twin.spec.vocabSize);
    expected = naiveGreedy(next, PROMPT, TOKENS);
  });
  afterAll(() => {
    model?.close();
    twin?.close();
  });

  /** logits after a text, from an engine that runs it all at once from position 0 */
  const fresh = (engine: Engine, ids: readonly number[]) =>
    engine.run({ position: 0, input: ids, choices: target, logitRows: 1 }).logits;

  test("steps over the cache give the tokens of whole passes", async () => {
    const { ids } = await decode(model.engine, PROMPT, {
      maxTokens: TOKENS,
      endTokens: [],
      policy: null,
      clock: systemClock,
    });
    expect(ids).toEqual(expected);
  });

  test.each(drafts)(
    "with %s: the same tokens, and after every rollback the cache of a fresh prompt",
    async (_name, choices, draftTokens) => {
      const policy: DraftPolicy = () => ({ choices, draftTokens });
      const text = [...PROMPT];
      let worst = 0;
      const { ids, rounds } = await decode(model.engine, PROMPT, {
        maxTokens: TOKENS,
        endTokens: [],
        policy,
        clock: systemClock,
        onTokens(tokens) {
          text.push(...tokens);
          fresh(twin.engine, text);
          worst = Math.max(worst, cacheDifference(model.engine, twin.engine, text.length - 1));
        },
      });
      expect(ids).toEqual(expected);
      expect(worst).toBeLessThan(1e-5);
      const { drafted, accepted } = acceptanceOf(rounds);
      expect(drafted).toBeGreaterThan(0);
      if (draftTokens === 4) expect(accepted).toBeLessThan(drafted); // rejections really happened
    },
  );

  test("a prompt in two pieces leaves the cache of one piece", async () => {
    const ids = Array.from({ length: 60 }, (_, i) => (i * 13) % 64);
    await prefill(twin.engine, ids, target);
    model.engine.run({ position: 0, input: ids.slice(0, 17), choices: target, logitRows: 0 });
    model.engine.run({ position: 17, input: ids.slice(17), choices: target, logitRows: 0 });
    expect(cacheDifference(model.engine, twin.engine, ids.length)).toBeLessThan(1e-5);
  });
});
