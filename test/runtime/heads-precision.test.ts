/** What int8 and int4 in the LM head do to the order of guesses: heads of the embedded model, over states of its own. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { headsBeside } from "../../src/model/heads/open.js";
import { openCheckpoint } from "../../src/model/open.js";
import { argmax } from "../../src/runtime/engine.js";
import { type HeadsOptions, openHeads } from "../../src/runtime/heads-engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { targetChoices } from "../../src/schema/choice.js";
import { uniform } from "../support/numbers.js";
import { safetensorsBytes } from "../support/safetensors-bytes.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";
import { tokens } from "./support.js";

const HEADS = 4;
const RANKS = 10;
const ROWS = 64;

let model: LoadedModel;
beforeAll(async () => {
  model = await loadModel("embedded", { provider: "cpu", threads: 1 });
});
afterAll(() => model.close());

/** Residual blocks that turn the state a good way, under the model's own head: what trained ones do. */
function writeHeads(): { folder: string; blocks: Float32Array[] } {
  const { hiddenSize, vocabSize } = model.spec;
  const folder = join(temporaryFolder(), "heads");
  const random = uniform(3);
  const block = () => Float32Array.from({ length: hiddenSize * hiddenSize }, () => (random() - 0.5) * 0.4);
  const shape = [hiddenSize, hiddenSize];
  const blocks = Array.from({ length: HEADS }, block);
  const tensors = blocks.map((values, head) => {
    const bytes = new Uint8Array(values.buffer);
    return [`blocks.${head}.layers.0.weight`, { dtype: "F32", shape, bytes }] as const;
  });
  mkdirSync(folder);
  writeFileSync(join(folder, "model.safetensors"), safetensorsBytes(new Map(tensors)));
  const config = { model_type: "medusa", num_heads: HEADS, num_hidden_layers: 1, original_lm_head: true };
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, vocab_size: vocabSize }));
  return { folder, blocks };
}

/** 8-bit codes of a weight and of an input are off by half a step at most, a step being a 127th of the block's greatest. */
const BLOCK = 32;
function greatestError(x: Float32Array, w: Float32Array): number {
  let error = 0;
  for (let from = 0; from < x.length; from += BLOCK) {
    const [xs, ws] = [x, w].map((all) => Array.from(all.subarray(from, from + BLOCK), Math.abs));
    const [halfX, halfW] = [xs, ws].map((values) => Math.max(...values) / 127 / 2);
    for (let i = 0; i < xs.length; i++) error += xs[i] * halfW + ws[i] * halfX + halfX * halfW;
  }
  return error;
}

test("guesses in int8 are those in fp32, but for ties as near as its rounding can make", async () => {
  const { folder, blocks } = writeHeads();
  const { hiddenSize, vocabSize, layers, rmsEps } = model.spec;
  const input = tokens(7, ROWS, vocabSize);
  const hidden = model.engine.run({ position: 0, input, choices: targetChoices(layers), logitRows: 0 }).hidden.slice();
  const options = { provider: "cpu", threads: 1, ranks: RANKS } as const;
  const exact = await openHeads(folder, model, { ...options, lmHead: "target", logits: true });
  const expected = exact.guessAll?.(hidden).slice() as Int32Array; // [rows, heads, ranks]
  const logits = exact.logits().slice(); // [rows, heads, vocabSize]
  exact.close();
  const rounding = await openHeads(folder, model, options);
  const actual = rounding.guessAll?.(hidden).slice() as Int32Array;
  rounding.close();

  const checkpoint = await openCheckpoint("embedded");
  const head = checkpoint.tensor("model.embed_tokens.weight", [vocabSize, hiddenSize]);
  const norm = checkpoint.tensor("model.norm.weight", [hiddenSize]);
  checkpoint.close();
  const headRow = (token: number) => head.subarray(token * hiddenSize, (token + 1) * hiddenSize);
  let same = 0;
  for (let list = 0; list < ROWS * HEADS; list++) {
    const [first, other] = [expected, actual].map((all) => all[list * RANKS]);
    if (first === other) {
      same++;
      continue;
    }
    const row = Math.floor(list / HEADS);
    const state = normed(hidden.subarray(row * hiddenSize, (row + 1) * hiddenSize), norm, rmsEps);
    const x = afterBlock(state, blocks[list % HEADS]);
    const gap = logits[list * vocabSize + first] - logits[list * vocabSize + other];
    expect(gap).toBeLessThan(greatestError(x, headRow(first)) + greatestError(x, headRow(other)));
  }
  expect(same / (ROWS * HEADS)).toBeGreaterThan(0.95); // what docs/heads.md says of first guesses
});

test("Hydra's heads run in int4, and guesses along the model's own text are mostly those in fp32", async () => {
  const { hiddenSize, layers } = model.spec;
  const choices = targetChoices(layers);
  const text = [tokens(11, 1, model.spec.vocabSize)[0], 17, 5, 220];
  const states: Float32Array[] = []; // behind each token
  for (let position = 0; position < 90; position++) {
    const { logits, hidden } = model.engine.run({ position, input: [text[position]], choices, logitRows: 1 });
    states.push(hidden.slice());
    if (position + 1 === text.length) text.push(argmax(logits, 0, model.spec.vocabSize));
  }
  const folder = headsBeside("embedded") as string;
  const guessedIn = async (lmHead?: HeadsOptions["lmHead"]) => {
    const given = lmHead === undefined ? {} : { lmHead };
    const heads = await openHeads(folder, model, { provider: "cpu", threads: 1, ranks: 3, logits: true, ...given });
    expect(heads).toMatchObject({ kind: "hydra", heads: HEADS });
    const found = states
      .slice(0, -HEADS)
      .flatMap((state, at) =>
        Array.from({ length: HEADS }, (_, depth) => heads.guess(state, depth, text.slice(at + 1, at + 2 + depth))[0]),
      );
    const last = heads.logits().slice();
    heads.close();
    expect(states[0]).toHaveLength(hiddenSize);
    return { found, last };
  };
  const [byDefault, int4, int8, exact] = [
    await guessedIn(),
    await guessedIn("int4"),
    await guessedIn("int8"),
    await guessedIn("target"),
  ];
  expect(byDefault).toEqual(int4);
  const off = (one: Float32Array) => one.reduce((most, x, i) => Math.max(most, Math.abs(x - exact.last[i])), 0);
  expect(off(int8.last)).toBeGreaterThan(0);
  expect(off(int4.last)).toBeGreaterThan(off(int8.last)); // sixteen codes, not 256
  const same = (one: readonly number[]) => one.filter((id, i) => id === exact.found[i]).length / one.length;
  // docs/heads.md says 92 %; of 344 guesses, and another processor rounds otherwise
  expect(same(int4.found)).toBeGreaterThan(0.85);
  expect(same(int8.found)).toBeGreaterThan(0.95);
});

function normed(hidden: Float32Array, weight: Float32Array, eps: number): Float32Array {
  const meanSquare = hidden.reduce((sum, h) => sum + h * h, 0) / hidden.length;
  return hidden.map((h, i) => (h / Math.sqrt(meanSquare + eps)) * weight[i]);
}

/** x + SiLU(W x) */
function afterBlock(x: Float32Array, w: Float32Array): Float32Array {
  return x.map((value, i) => {
    const product = x.reduce((sum, input, j) => sum + w[i * x.length + j] * input, 0);
    return value + product / (1 + Math.exp(-product));
  });
}
