/** Real passes over trees on random tiny models: tokens of whole passes, and after every verdict the cache of a fresh prompt. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decode } from "../../src/decode/loop.js";
import type { Architecture } from "../../src/model/spec.js";
import { systemClock } from "../../src/runtime/device.js";
import { argmax } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { targetChoices } from "../../src/schema/choice.js";
import { naiveGreedy } from "../oracle/naive-greedy.js";
import { cacheDifference } from "../support/cache-difference.js";
import { LONG, trials } from "../support/long.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { type Grown, growing, knownTexts } from "../support/tree-drafter.js";

const LAYERS = 4;
const TOKENS = 40;
const CPU = { provider: "cpu", threads: 1, capacity: 256 };
const PROMPTS = [[5, 9, 23, 40, 7], Array.from({ length: 30 }, (_, i) => (i * 13 + 3) % 64)];

const SHAPES: [string, Grown][] = [
  ["of any shape", { nodes: 20, depth: 6, deep: 0.4, right: 0.5, twice: 0.1 }],
  ["wide, and right now and then", { nodes: 30, depth: 2, deep: 0.1, right: 0.1, twice: 0 }],
  [
    "of as many rows as a verification has, half of them right",
    { nodes: 63, depth: 12, deep: 0.6, right: 0.5, twice: 0 },
  ],
  ["always wrong", { nodes: 12, depth: 4, deep: 0.4, right: 0, twice: 0 }],
];

const ARCHITECTURES: Architecture[] = LONG ? ["llama", "mistral", "qwen2", "qwen3"] : ["mistral"];

describe.each(ARCHITECTURES)("a random %s", (architecture) => {
  let model: LoadedModel;
  let twin: LoadedModel;
  /** [prompts] and what follows them, by whole passes */
  let texts: number[][];

  beforeAll(async () => {
    const shape = { layers: LAYERS, headDim: 16, seed: 11, eosTokenIds: [] };
    const window = architecture === "mistral" ? { slidingWindow: 16 } : {};
    const folder = writeTinyCheckpoint(temporaryFolder(), { architecture, ...shape, ...window });
    [model, twin] = [await loadModel(folder, CPU), await loadModel(folder, CPU)];
    const choices = targetChoices(LAYERS);
    const next = (text: readonly number[]) =>
      argmax(twin.engine.run({ position: 0, input: text, choices, logitRows: 1 }).logits, 0, twin.spec.vocabSize);
    texts = PROMPTS.map((prompt) => [...prompt, ...naiveGreedy(next, prompt, TOKENS)]);
  });
  afterAll(() => {
    model?.close();
    twin?.close();
  });

  test.each(SHAPES)("trees %s", async (_name, shape) => {
    let rounds = 0;
    for (let seed = 0; seed < trials(1, 8); seed++) {
      const prompt = PROMPTS[seed % PROMPTS.length];
      const drafter = growing(shape, knownTexts(texts), seed);
      const text = [...prompt];
      let worst = 0;
      const decoded = await decode(model.engine, prompt, {
        ...{ maxTokens: TOKENS, endTokens: [], clock: systemClock },
        policy: () => ({ drafter, draftTokens: 16 }),
        onTokens(tokens) {
          text.push(...tokens);
          twin.engine.run({ position: 0, input: text.slice(0, -1), choices: targetChoices(LAYERS), logitRows: 0 });
          worst = Math.max(worst, cacheDifference(model.engine, twin.engine, text.length - 1));
        },
      });
      expect([...prompt, ...decoded.ids]).toEqual(texts[seed % PROMPTS.length]);
      expect(worst).toBeLessThan(1e-5);
      if (shape.right >= 0.5) expect(decoded.rounds.some(({ accepted }) => accepted > 1)).toBe(true);
      rounds += decoded.rounds.length;
    }
    // over the shapes and architectures at length more than 500
    if (LONG) expect(rounds).toBeGreaterThan(32);
  });
});
