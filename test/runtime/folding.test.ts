/** Passes whose query heads are folded: what they give, and what they leave in the cache, is what unfolded ones do. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CPU_DIALECT } from "../../src/model/graph/dialect.js";
import { foldsHeads } from "../../src/model/graph/folded.js";
import type { Engine } from "../../src/runtime/engine.js";
import { FOLD_FROM, isFolded } from "../../src/runtime/pass/folding.js";
import { TreeInputs } from "../../src/runtime/tree-inputs.js";
import { targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { forward, type TensorReader } from "../oracle/transformer.js";
import { trials } from "../support/long.js";
import { uniform } from "../support/numbers.js";
import { type TinyModel, tinySpec, tinyTensors } from "../support/tiny-checkpoint.js";
import { expectRows, greatestDifference, openTiny, tokens } from "./support.js";

const CAPACITY = 96;
const NEVER = Number.POSITIVE_INFINITY;

const FOLDING: [string, TinyModel][] = [
  ["two query heads to a key head", { seed: 1, headDim: 16 }],
  [
    "three to one, sizes that fill no block of 32",
    { seed: 6, hidden: 48, heads: 3, kvHeads: 1, headDim: 16, intermediate: 72 },
  ],
  ["four to one, every bias", { seed: 12, headDim: 8, heads: 16, kvHeads: 4, attentionBias: true }],
  ["heads that are filled up", { seed: 11, headDim: 20 }],
  ["a window shorter than the text", { seed: 7, headDim: 16, architecture: "mistral", slidingWindow: 6 }],
  ["heads that are normed", { seed: 9, architecture: "qwen3", headDim: 16 }],
  [
    "windows in some layers, positions not in all, scores held below a cap",
    {
      ...{ seed: 10, headDim: 16, layers: 3 },
      variations: { layerWindows: [6, null, 6], unrotatedLayers: [1], attentionSoftCap: 2 },
    },
  ],
];

/** How often heads were folded while `run` ran. */
function foldedPasses(run: () => void): number {
  const { set } = TreeInputs.prototype;
  let count = 0;
  TreeInputs.prototype.set = function (position, parents, members) {
    if ((members ?? 1) > 1) count++;
    return set.call(this, position, parents, members);
  };
  try {
    run();
  } finally {
    TreeInputs.prototype.set = set;
  }
  return count;
}

const readCache = (engine: Engine, count: number): Float32Array[] =>
  Array.from({ length: engine.spec.layers }, (_, layer) =>
    (["key", "value"] as const).map((part) => engine.readCache(layer, part, 0, count)),
  ).flat();

describe.each(FOLDING)("%s", (_name, model) => {
  const spec = tinySpec(model);
  const target = targetChoices(spec.layers);
  let folding: Engine;
  let plain: Engine;
  beforeAll(async () => {
    folding = await openTiny(model, CAPACITY, CPU_DIALECT, false, "choices", undefined, 1);
    plain = await openTiny(model, CAPACITY, CPU_DIALECT, false, "choices", undefined, NEVER);
  });
  afterAll(() => {
    folding.close();
    plain.close();
  });

  test.each([1, 7, 40])("a verification over %i tokens is the twin's, and the cache a plain one's", (context) => {
    const tensors = tinyTensors(model);
    const read: TensorReader = (name) => (tensors.get(name) as { values: Float32Array }).values;
    const text = tokens(3 + context, context + 7);
    const twin = forward(spec, read, text, () => false);
    const [mine, theirs] = [folding, plain].map((engine) => {
      engine.run({
        position: 0,
        input: text.slice(0, context),
        choices: uniformChoices(spec.layers, "target"),
        logitRows: 0,
      });
      const verify = { position: context, input: text.slice(context), choices: target, logitRows: 7 };
      let logits = new Float32Array();
      const folded = foldedPasses(() => {
        logits = engine.run(verify).logits.slice();
      });
      expect(folded).toBe(engine === folding ? 1 : 0);
      return { logits, cache: readCache(engine, text.length) };
    });
    expectRows(mine.logits, twin.logits.slice(context));
    expect(greatestDifference(mine.logits, theirs.logits)).toBeLessThan(1e-5);
    mine.cache.forEach((part, i) => expect(greatestDifference(part, theirs.cache[i])).toBeLessThan(1e-5));
  });

  test("rounds of steps, verifications and rollbacks stay together", () => {
    const random = uniform(17);
    for (const engine of [folding, plain])
      engine.run({ position: 0, input: tokens(1, 5), choices: target, logitRows: 0 });
    let position = 5;
    for (let round = 0; round < trials(12, 60); round++) {
      const q = 1 + Math.floor(random() * 6);
      if (position + q > CAPACITY) position = 5; // what lies behind is overwritten
      const input = tokens(100 + round, q);
      const [a, b] = [folding, plain].map((engine) =>
        engine.run({ position, input, choices: target, logitRows: q }).logits.slice(),
      );
      expect(greatestDifference(a, b)).toBeLessThan(1e-5);
      position += 1 + Math.floor(random() * q);
    }
  });

  test("a tree gives what it gives unfolded, and its path is kept", () => {
    const random = uniform(23);
    for (let round = 0; round < trials(3, 20); round++) {
      const [context, nodes] = [5 + Math.floor(random() * 40), 2 + Math.floor(random() * 10)];
      const parents = Array.from({ length: nodes }, (_, row) => (row === 0 ? -1 : Math.floor(random() * row)));
      const [text, input] = [tokens(round, context), tokens(50 + round, nodes)];
      const path = [0, ...parents.flatMap((parent, row) => (parent === 0 ? [row] : [])).slice(0, 1)];
      const [a, b] = [folding, plain].map((engine) => {
        engine.run({ position: 0, input: text, choices: target, logitRows: 0 });
        const logits = engine
          .run({ position: context, input, parents, choices: target, logitRows: nodes })
          .logits.slice();
        engine.keepRows?.(context, path);
        return { logits, cache: readCache(engine, context + path.length) };
      });
      expect(greatestDifference(a.logits, b.logits)).toBeLessThan(1e-5);
      a.cache.forEach((part, i) => expect(greatestDifference(part, b.cache[i])).toBeLessThan(1e-5));
    }
  });

  test("where the copies would not fit behind the rows, and where another kernel attends, nothing is folded", () => {
    const verify = (position: number, choices = target) =>
      foldedPasses(() => folding.run({ position, input: tokens(2, 4), choices, logitRows: 4 }));
    const rows = (spec.heads / spec.kvHeads) * 4;
    folding.run({ position: 0, input: tokens(4, CAPACITY - 1), choices: target, logitRows: 0 });
    expect(verify(CAPACITY - rows)).toBe(1);
    expect(verify(CAPACITY - rows + 1)).toBe(0);
    expect(verify(20, uniformChoices(spec.layers, "int8"))).toBe(0);
  });
});

test("heads are folded from two thousand tokens on, where threads have no less to do by it", () => {
  const smollm2 = { heads: 9, kvHeads: 3 };
  const pass = { position: 4000, q: 6, capacity: 8192, threads: 2 };
  expect(isFolded(smollm2, pass)).toBe(true);
  expect(isFolded(smollm2, { ...pass, position: FOLD_FROM - 1 })).toBe(false);
  expect(isFolded(smollm2, { ...pass, position: FOLD_FROM })).toBe(true);
  expect(isFolded(smollm2, { ...pass, q: 1 })).toBe(false);
  expect(isFolded(smollm2, { ...pass, threads: 16 })).toBe(false); // nine threads had a head each, three have them all
  expect(isFolded({ heads: 32, kvHeads: 8 }, { ...pass, threads: 8 })).toBe(true);
  expect(isFolded(smollm2, { ...pass, q: 22 })).toBe(false); // more rows than the mask has room for
  expect(isFolded(smollm2, pass, 4001)).toBe(false);
  expect(foldsHeads({ heads: 4, kvHeads: 4 }, CPU_DIALECT)).toBe(false);
  expect(foldsHeads(smollm2, { ...CPU_DIALECT, trees: false })).toBe(false);
});
