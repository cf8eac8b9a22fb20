/** An engine that reads no prompt twice, against the same engine that reads everything. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Engine, Pass } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { rememberingPrompts } from "../../src/runtime/remembering.js";
import { targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { seededRandom } from "../../src/stats/random.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();
const CAPACITY = 160;

async function tiny(name: string): Promise<LoadedModel> {
  const path = join(folder, name);
  mkdirSync(path);
  writeTinyCheckpoint(path, { context: CAPACITY, vocab: 64, eosTokenIds: [] });
  return loadModel(path, { provider: "cpu", threads: 1, capacity: CAPACITY, kernels: ["target", "int8"] });
}

/** Greatest difference; NaN counts. */
const apart = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => (Math.abs(value - b[i]) <= most ? most : Math.abs(value - b[i])), 0);

/** Counts the tokens of the passes that really run. */
function counted(engine: Engine): { engine: Engine; tokens: () => number } {
  let tokens = 0;
  const run = (pass: Pass) => {
    tokens += "hidden" in pass.input ? 0 : pass.input.length;
    return engine.run(pass);
  };
  const own = Object.create(engine, { run: { value: run } }) as Engine;
  return { engine: own, tokens: () => tokens };
}

test("whatever is run in whatever order: states, logits and cache are those of an engine that remembers nothing", async () => {
  const [one, other] = [await tiny("one"), await tiny("other")];
  const { layers } = one.spec;
  const inner = counted(one.engine);
  const remembering = rememberingPrompts(inner.engine, 2 ** 24);
  const [target, int8] = [targetChoices(layers), uniformChoices(layers, "int8")];
  const random = seededRandom(12);
  const some = (count: number) => Array.from({ length: count }, () => random.index(64));
  const prompts = [some(90), some(70)];
  prompts.push([...prompts[0].slice(0, 60), ...some(40)]); // begins as another
  let [asked, held] = [0, 0];
  const both = (pass: Pass) => {
    const [a, b] = [remembering.run(pass), other.engine.run(pass)];
    asked += (pass.input as number[]).length;
    expect(a.hidden).toHaveLength(b.hidden.length);
    expect(a.logits).toHaveLength(b.logits.length);
    // passes cut otherwise sum otherwise, in the last digits
    expect(apart(a.hidden, b.hidden)).toBeLessThan(1e-4);
    expect(apart(a.logits, b.logits)).toBeLessThan(1e-4);
  };
  try {
    for (let i = 0; i < 60; i++) {
      const prompt = prompts[random.index(prompts.length)];
      const cut = [prompt.length, 60, 45][random.index(3)];
      const logitRows = random.index(2);
      both({ position: 0, input: prompt.slice(0, cut), choices: target, logitRows });
      held = cut;
      if (cut < prompt.length && random.float() < 0.5) {
        both({ position: cut, input: prompt.slice(cut), choices: target, logitRows: 1 });
        held = prompt.length;
      }
      // drafts write over what is there, verifications over them, a tree, a pass from states
      const drafted = some(3);
      if (random.float() < 0.5) both({ position: held - 20, input: drafted, choices: int8, logitRows: 1 });
      if (random.float() < 0.5) both({ position: held - 20, input: some(4), choices: target, logitRows: 4 });
      if (random.float() < 0.3) {
        const tree = { position: held - 10, input: some(3), parents: [-1, 0, 0], choices: target, logitRows: 3 };
        both(tree);
        for (const engine of [remembering, other.engine]) engine.keepRows?.(tree.position, [0, 2]);
        both({ position: held - 8, input: some(2), choices: target, logitRows: 1 });
      }
    }
    both({ position: 0, input: prompts[0], choices: target, logitRows: 1 });
    for (let layer = 0; layer < layers; layer++)
      for (const part of ["key", "value"] as const) {
        const [a, b] = [remembering, other.engine].map((engine) => engine.readCache(layer, part, 0, 90));
        expect(apart(a, b)).toBeLessThan(1e-4);
      }
    expect(inner.tokens()).toBeLessThan(asked / 3);
  } finally {
    remembering.close();
    other.close();
  }
});

test("no more is kept than there is room for, and an engine whose cache lies elsewhere is itself", async () => {
  const model = await tiny("full");
  try {
    const inner = counted(model.engine);
    const choices = targetChoices(model.spec.layers);
    const prompts = [1, 2].map((first) => Array.from({ length: 64 }, (_, i) => (first + 7 * i) % 64));
    const room = (inner.engine.rows?.save(0, 64).bytes ?? 0) + 4 * 64 * model.spec.hiddenSize;
    const remembering = rememberingPrompts(inner.engine, 1.5 * room);
    const before = inner.tokens();
    for (let turn = 0; turn < 3; turn++)
      for (const input of prompts) remembering.run({ position: 0, input, choices, logitRows: 0 });
    expect(inner.tokens() - before).toBe(64 + 3 * 64); // the second is read every time
    const elsewhere = Object.create(model.engine, { rows: { value: undefined } }) as Engine;
    expect(rememberingPrompts(elsewhere, 2 ** 20)).toBe(elsewhere);
  } finally {
    model.close();
  }
});

test("rows that somebody puts back are not taken for what was read last", async () => {
  const model = await tiny("rows");
  const choices = targetChoices(model.spec.layers);
  const remembering = rememberingPrompts(model.engine, 2 ** 24);
  const random = seededRandom(4);
  const some = (count: number) => Array.from({ length: count }, () => random.index(64));
  const [a, b, behind] = [some(60), some(60), some(40)];
  const read = (engine: Engine, position: number, input: number[]) =>
    engine.run({ position, input, choices, logitRows: 1 }).logits.slice();
  try {
    const [behindA, behindB] = [a, b].map((prompt) => {
      read(model.engine, 0, prompt);
      return read(model.engine, prompt.length, behind);
    });
    const { rows } = remembering;
    if (rows === undefined) throw new Error("the cache is elsewhere");
    read(remembering, 0, a);
    const saved = rows.save(0, a.length);
    read(remembering, 0, b);
    rows.restore(saved);
    expect(apart(read(remembering, a.length, behind), behindA)).toBeLessThan(1e-4);
    read(remembering, 0, b);
    expect(apart(read(remembering, b.length, behind), behindB)).toBeLessThan(1e-4);
  } finally {
    model.close();
  }
});
