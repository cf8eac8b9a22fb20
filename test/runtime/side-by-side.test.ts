/** Texts side by side against the same texts one by one, run by the engine and by plain greedy decoding. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/model/open.js";
import { argmax } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { openSideBySide } from "../../src/runtime/side-by-side/open.js";
import type { SideBySide } from "../../src/runtime/side-by-side/texts.js";
import { targetChoices } from "../../src/schema/choice.js";
import { seededRandom } from "../../src/stats/random.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();
const CAPACITY = 48;

/** Plain greedy decoding by the engine: tokens behind the prompt, with the states (before the final norm) that chose them. */
function alone({ engine, spec }: LoadedModel, prompt: readonly number[], count: number) {
  const ids: number[] = [];
  const states: Float32Array[] = [];
  let [position, input] = [0, [...prompt]];
  while (ids.length < count) {
    const { logits, hidden } = engine.run({ position, input, choices: targetChoices(spec.layers), logitRows: 1 });
    states.push(hidden.slice((input.length - 1) * spec.hiddenSize, input.length * spec.hiddenSize));
    position += input.length;
    input = [argmax(logits, 0, spec.vocabSize)];
    ids.push(input[0]);
  }
  return { ids, states };
}

async function normed(path: string, { spec }: LoadedModel, states: readonly Float32Array[]) {
  const checkpoint = await openCheckpoint(path);
  const weight = checkpoint.tensor("model.norm.weight", [spec.hiddenSize]);
  checkpoint.close();
  return states.map((state) => {
    const square = state.reduce((sum, x) => sum + x * x, 0) / state.length;
    return Array.from(state, (x, i) => (x / Math.sqrt(square + spec.rmsEps)) * weight[i]);
  });
}

async function compare(name: string, options: Parameters<typeof writeTinyCheckpoint>[1]) {
  const path = join(folder, name);
  mkdirSync(path);
  writeTinyCheckpoint(path, { context: 64, vocab: 64, eosTokenIds: [], ...options });
  const model = await loadModel(path, { provider: "cpu", threads: 1, capacity: 64, kernels: ["target"] });
  const { modelPath, dialect, spec } = model;
  const texts = openSideBySide(modelPath, spec, { threads: 1, dialect, capacity: CAPACITY, places: 3 });
  return { path, model, texts };
}

describe.each([
  ["llama", {}],
  ["with norms of heads", { architecture: "qwen3" }],
] satisfies [string, Parameters<typeof writeTinyCheckpoint>[1]][])("%s", (name, options) => {
  test("tokens and states are those of each text by itself, though lengths differ and places are taken anew", async () => {
    const { path, model, texts } = await compare(name, options);
    try {
      const random = seededRandom(2);
      const some = (count: number) => Array.from({ length: count }, () => random.index(64));
      const prompts = [some(1), some(17), some(5), some(9)];
      const seen = prompts.map(() => ({ ids: [] as number[], states: [] as number[][] }));
      const at = [0, 1, 2];
      const read = () =>
        at.forEach((text, place) => {
          const { hiddenSize } = model.spec;
          seen[text].ids.push(Number(texts.tokens[place]));
          seen[text].states.push([...texts.states.subarray(place * hiddenSize, (place + 1) * hiddenSize)]);
        });
      at.forEach((text, place) => {
        texts.begin(place, prompts[text]);
      });
      read();
      for (let i = 0; i < 8; i++) {
        texts.step();
        read();
      }
      // another text in the middle place, whose cache still holds the longer one's rows
      at[1] = 3;
      const before = seen.map(({ ids }) => ids.length);
      texts.begin(1, prompts[3]);
      seen[3].ids.push(Number(texts.tokens[1]));
      seen[3].states.push([...texts.states.subarray(model.spec.hiddenSize, 2 * model.spec.hiddenSize)]);
      for (let i = 0; i < 8; i++) {
        texts.step();
        read();
      }
      expect(before).toEqual([9, 9, 9, 0]);
      for (const [text, prompt] of prompts.entries()) {
        const expected = alone(model, prompt, seen[text].ids.length);
        expect(seen[text].ids).toEqual(expected.ids);
        const states = await normed(path, model, expected.states);
        for (const [i, state] of states.entries())
          state.forEach((value, j) => {
            expect(seen[text].states[i][j]).toBeCloseTo(value, 4);
          });
      }
    } finally {
      texts.close();
      model.close();
    }
  });
});

test("a prompt that is empty or leaves no room is refused, and a full place stays as it is", async () => {
  const { model, texts } = await compare("room", {});
  const fill = (of: SideBySide, length: number) => of.begin(0, new Array<number>(length).fill(1));
  try {
    expect(() => fill(texts, 0)).toThrow(RangeError);
    expect(() => fill(texts, CAPACITY)).toThrow(RangeError);
    fill(texts, CAPACITY - 1);
    for (let i = 0; i < 3; i++) texts.step(); // one has room, the others write over the last row
    fill(texts, 4);
    expect(Number(texts.tokens[0])).toBe(alone(model, [1, 1, 1, 1], 1).ids[0]);
  } finally {
    texts.close();
    model.close();
  }
});

test("a prompt that begins as another place's text copies its rows, and goes on as by itself", async () => {
  const { model, texts } = await compare("shared", {});
  try {
    const random = seededRandom(5);
    const long = Array.from({ length: 21 }, () => random.index(64));
    const { hiddenSize } = model.spec;
    texts.begin(2, long);
    const prompts = [long.slice(0, 20), [...long.slice(0, 7), 3, 9], long.slice(0, 12)];
    texts.begin(0, prompts[0], { place: 2, shared: 19 });
    texts.begin(1, prompts[1], { place: 0, shared: 7 });
    texts.begin(2, prompts[2], { place: 2, shared: 11 }); // over itself: a shorter beginning of what it holds
    const seen = prompts.map(() => ({ ids: [] as number[], hidden: [] as Float32Array[] }));
    for (let i = 0; i < 6; i++) {
      if (i > 0) texts.step();
      seen.forEach(({ ids, hidden }, place) => {
        ids.push(Number(texts.tokens[place]));
        hidden.push(texts.hidden.slice(place * hiddenSize, (place + 1) * hiddenSize));
      });
    }
    for (const [place, prompt] of prompts.entries()) {
      const expected = alone(model, prompt, 6);
      expect(seen[place].ids).toEqual(expected.ids);
      for (const [i, state] of expected.states.entries())
        state.forEach((value, j) => {
          expect(seen[place].hidden[i][j]).toBeCloseTo(value, 4);
        });
    }
    expect(() => texts.begin(0, [1, 2], { place: 1, shared: 2 })).toThrow(RangeError);
  } finally {
    texts.close();
    model.close();
  }
});

test("a text whose first tokens an engine has read goes on as one that is read here, and so does one that begins alike", async () => {
  const { model, texts } = await compare("held", {});
  try {
    const random = seededRandom(5);
    const prompt = Array.from({ length: 19 }, () => random.index(64));
    const rows = () => {
      if (model.engine.rows === undefined) throw new Error("the cache is elsewhere");
      return model.engine.rows;
    };
    const expected = [prompt, prompt.slice(0, 11)].map((ids) => alone(model, ids, 6).ids);
    model.engine.run({ position: 0, input: prompt, choices: targetChoices(model.spec.layers), logitRows: 1 });
    const saved = rows().save(0, prompt.length);
    texts.begin(2, [7, 7, 7]); // whatever was there
    texts.hold(2, saved);
    texts.begin(2, prompt, { place: 2, shared: prompt.length - 1 });
    texts.begin(0, prompt.slice(0, 11), { place: 2, shared: 10 });
    const seen: number[][] = [[], []];
    for (let i = 0; i < 6; i++) {
      [2, 0].forEach((place, text) => {
        seen[text].push(Number(texts.tokens[place]));
      });
      texts.step();
    }
    expect(seen).toEqual(expected);
    expect(() => texts.hold(0, rows().save(1, 4))).toThrow(RangeError);
    expect(() => texts.hold(0, rows().save(0, CAPACITY + 1))).toThrow(RangeError);
  } finally {
    texts.close();
    model.close();
  }
});
