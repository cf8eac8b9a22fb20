/** Passes over trees, each row against the path that leads to it, run by itself. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CPU_DIALECT, CUDA_DIALECT, type GraphDialect } from "../../src/model/graph/dialect.js";
import type { Engine } from "../../src/runtime/engine.js";
import { targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { expectFailure } from "../support/failure.js";
import { trials } from "../support/long.js";
import { uniform } from "../support/numbers.js";
import { type TinyModel, tinySpec } from "../support/tiny-checkpoint.js";
import {
  expectRows,
  greatestDifference,
  openSubject,
  openTiny,
  randomChoices,
  type Subject,
  tokens,
} from "./support.js";

const ARCHITECTURES: [string, TinyModel][] = [
  ["llama", { seed: 1, headDim: 16, context: 640 }],
  [
    "mistral, window shorter than the text",
    { seed: 7, headDim: 16, architecture: "mistral", slidingWindow: 6, context: 640 },
  ],
  ["qwen2", { seed: 8, headDim: 16, architecture: "qwen2", context: 640 }],
  ["qwen3", { seed: 9, headDim: 16, architecture: "qwen3", context: 640 }],
  [
    "windows in some layers, positions not in all, scores held below a cap",
    {
      ...{ seed: 10, headDim: 16, layers: 3, context: 640 },
      variations: { layerWindows: [6, null, 6], unrotatedLayers: [1], attentionSoftCap: 2 },
    },
  ],
];
const NODES = 64;

/** A tree of `nodes` rows: row 0 begins it, every other follows any earlier one. */
function randomTree(seed: number, nodes: number): number[] {
  const random = uniform(seed);
  return Array.from({ length: nodes }, (_, row) => (row === 0 ? -1 : Math.floor(random() * row)));
}

const pathTo = (parents: readonly number[], row: number): number[] =>
  row === -1 ? [] : [...pathTo(parents, parents[row]), row];

describe.each(ARCHITECTURES)("%s", (_name, model) => {
  const spec = tinySpec(model);
  let subject: Subject;
  beforeAll(async () => {
    subject = await openSubject(model, 600);
  });
  afterAll(() => subject.engine.close());

  test.each([0, 1, 500])("a tree of 64 rows over a cache of %i tokens gives what each path gives alone", (context) => {
    const { engine, target } = subject;
    const text = tokens(40 + context, context);
    for (let from = 0; from < context; from += 100)
      engine.run({ position: from, input: text.slice(from, from + 100), choices: target, logitRows: 0 });
    const parents = randomTree(context + 3, NODES);
    const input = tokens(5 + context, NODES);
    const tree = engine.run({ position: context, input, parents, choices: target, logitRows: NODES });
    const logits = tree.logits.slice();
    const hidden = tree.hidden.slice();
    for (let row = 0; row < NODES; row++) {
      const path = pathTo(parents, row);
      const alone = engine.run({ position: context, input: path.map((i) => input[i]), choices: target, logitRows: 1 });
      const { vocabSize, hiddenSize } = spec;
      expect(greatestDifference(logits.subarray(row * vocabSize, (row + 1) * vocabSize), alone.logits)).toBeLessThan(
        1e-5,
      );
      expect(
        greatestDifference(hidden.subarray(row * hiddenSize, (row + 1) * hiddenSize), alone.hidden.slice(-hiddenSize)),
      ).toBeLessThan(1e-5);
    }
  });
});

/** A random path of a tree from its first row down to a leaf. */
function randomPath(seed: number, parents: readonly number[]): number[] {
  const random = uniform(seed);
  const path = [0];
  for (;;) {
    const last = path[path.length - 1];
    const children = parents.flatMap((parent, row) => (parent === last ? [row] : []));
    if (children.length === 0) return path;
    path.push(children[Math.floor(random() * children.length)]);
  }
}

/** keys and values of every layer, from the first token on */
const readCache = (engine: Engine, count: number): Float32Array[] =>
  Array.from({ length: engine.spec.layers }, (_, layer) =>
    (["key", "value"] as const).map((part) => engine.readCache(layer, part, 0, count)),
  ).flat();

const MOVES: [string, GraphDialect, boolean, number][] = [
  ["where it lies", CPU_DIALECT, false, 1e-5],
  ["by a graph, as on a device", CPU_DIALECT, true, 1e-5],
  // the same fp16 numbers, rounded in sums of another order
  ["by a graph, in fp16", { ...CUDA_DIALECT, trees: true }, true, 1e-2],
];

describe.each(ARCHITECTURES)("the cache of %s", (_name, model) => {
  describe.each(MOVES)("moved %s", (_way, dialect, byGraph, tolerance) => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await openTiny(model, 128, dialect, byGraph);
    });
    afterAll(() => engine.close());

    test.each([0, 1, 41])("after a path of a tree over %i tokens was kept is a plain decoding's", (context) => {
      const target = targetChoices(tinySpec(model).layers);
      const text = tokens(7, context);
      for (const seed of [1, 2, 3]) {
        const parents = randomTree(context + 10 * seed, 40);
        const path = randomPath(context + seed, parents);
        const input = tokens(8 + seed, 40);
        if (context > 0) engine.run({ position: 0, input: text, choices: target, logitRows: 0 });
        engine.run({ position: context, input, parents, choices: target, logitRows: 0 });
        engine.keepRows?.(context, path);
        const whole = [...text, ...path.map((row) => input[row])];
        const kept = readCache(engine, whole.length);
        const step = { position: whole.length, input: [5], choices: target, logitRows: 1 };
        const next = engine.run(step).logits.slice();
        engine.run({ position: 0, input: whole, choices: target, logitRows: 0 });
        readCache(engine, whole.length).forEach((part, i) =>
          expect(greatestDifference(kept[i], part)).toBeLessThan(tolerance),
        );
        expect(greatestDifference(next, engine.run(step).logits)).toBeLessThan(tolerance);
      }
    });
  });
});

describe.each(ARCHITECTURES)("%s, round after round", (_name, model) => {
  test("random trees, of which a random path is kept each time, leave the cache that plain passes leave", async () => {
    const target = targetChoices(tinySpec(model).layers);
    const [engine, plain] = [await openTiny(model, 600), await openTiny(model, 600)];
    const random = uniform(31);
    let text = tokens(1, 5);
    for (const one of [engine, plain]) one.run({ position: 0, input: text, choices: target, logitRows: 0 });
    for (let round = 0; round < trials(20, 125); round++) {
      const nodes = 1 + Math.floor(random() * 64);
      if (text.length + nodes > 600) text = text.slice(0, 1 + Math.floor(random() * 400)); // a rollback
      const position = text.length;
      const parents = randomTree(100 + round, nodes);
      const input = tokens(200 + round, nodes);
      engine.run({ position, input, parents, choices: target, logitRows: 0 });
      const whole = randomPath(300 + round, parents);
      const path = whole.slice(0, 1 + Math.floor(random() * whole.length));
      engine.keepRows?.(position, path);
      text = [...text, ...path.map((row) => input[row])];
      plain.run({ position, input: text.slice(position), choices: target, logitRows: 0 });
      const expected = readCache(plain, text.length);
      readCache(engine, text.length).forEach((part, i) =>
        expect(greatestDifference(part, expected[i])).toBeLessThan(1e-5),
      );
    }
    for (const one of [engine, plain]) one.close();
  });

  test("every row of a tree gives what the float64 twin gives for its path", async () => {
    const { engine, target, twin } = await openSubject(model, 64);
    const { vocabSize } = tinySpec(model);
    const text = tokens(6, 9);
    engine.run({ position: 0, input: text, choices: target, logitRows: 0 });
    const parents = randomTree(51, 16);
    const input = tokens(52, 16);
    const logits = engine.run({ position: 9, input, parents, choices: target, logitRows: 16 }).logits.slice();
    for (let row = 0; row < 16; row++) {
      const path = pathTo(parents, row).map((i) => input[i]);
      expectRows(logits.subarray(row * vocabSize, (row + 1) * vocabSize), twin([...text, ...path]).logits.slice(-1));
    }
    engine.close();
  });
});

test.each(ARCHITECTURES)(
  "%s: chains through a graph with trees give the bits that one without gives",
  async (_name, model) => {
    const engines = [await openTiny(model, 128), await openTiny(model, 128, { ...CPU_DIALECT, trees: false })];
    const { layers } = tinySpec(model);
    const mixes = [
      targetChoices(layers),
      uniformChoices(layers, "int8"),
      randomChoices(3, layers, ["target", "int8", "skip"]),
    ];
    for (const choices of mixes) {
      let position = 0;
      for (const q of [40, 1, 1, 9, 3]) {
        // a tree before it leaves no trace
        const tree = { position, input: tokens(4, 8), parents: randomTree(5, 8), choices: mixes[0], logitRows: 0 };
        engines[0].run(tree);
        const chain = { position, input: tokens(q, q), choices, logitRows: q };
        const [a, b] = engines.map((engine) => engine.run(chain));
        expect(a.logits).toEqual(b.logits);
        expect(a.hidden).toEqual(b.hidden);
        position += q;
      }
    }
    for (const engine of engines) engine.close();
  },
);

describe("a tree is refused", () => {
  const [, model] = ARCHITECTURES[0];
  const tree = { position: 0, input: [1, 2, 3], parents: [-1, 0, 0], logitRows: 3 };

  test("where the graph has none, and a chain with parents runs there", async () => {
    const { engine, target } = await openSubject(model, 32, { ...CPU_DIALECT, trees: false });
    await expectFailure(() => engine.run({ ...tree, choices: target }), "CHOICE_UNAVAILABLE", /runs chains alone/);
    const { logits } = engine.run({ ...tree, parents: [-1, 0, 1], choices: target });
    const withParents = logits.slice();
    const { parents: _, ...chain } = tree;
    expect(engine.run({ ...chain, choices: target }).logits).toEqual(withParents);
    engine.close();
  });

  test("in the attention of another kernel; MLPs may have any", async () => {
    const { engine, target } = await openSubject(model, 32);
    const int8 = uniformChoices(tinySpec(model).layers, "int8");
    await expectFailure(() => engine.run({ ...tree, choices: int8 }), "CHOICE_UNAVAILABLE", /other kernels/);
    const mixed = {
      ...target,
      blocks: target.blocks.map((_, block) => (block % 2 === 1 ? "int8" : "target")),
    } as const;
    engine.run({ ...tree, choices: mixed });
    engine.close();
  });

  test.each([
    ["a row that follows a later one", [-1, 2, 0]],
    ["a row that follows itself", [-1, 1, 0]],
    ["a row that follows none there is", [-2, 0, 0]],
    ["half a row", [-1, 0.5, 0]],
    ["more parents than rows", [-1, 0, 0, 0]],
  ])("with %s", async (_what, parents) => {
    const { engine, target } = await openSubject(model, 32);
    expect(() => engine.run({ ...tree, parents, choices: target })).toThrow(RangeError);
    engine.close();
  });

  test("of more rows than a pass takes, and rows that do not ascend are not kept", async () => {
    const { engine, target } = await openSubject(model, 128);
    const many = { position: 0, input: tokens(1, 65), parents: randomTree(4, 65), logitRows: 0 };
    expect(() => engine.run({ ...many, choices: target })).toThrow(RangeError);
    for (const rows of [[0, 0], [2, 1], [-1], [128], [0.5]])
      expect(() => engine.keepRows?.(0, rows)).toThrow(RangeError);
    engine.close();
  });
});

test("a tree in fp16, as a GPU gets it, gives what each path gives alone", async () => {
  for (const [, model] of ARCHITECTURES) {
    const spec = tinySpec(model);
    const { engine, target } = await openSubject(model, 64, { ...CUDA_DIALECT, trees: true });
    engine.run({ position: 0, input: tokens(2, 9), choices: target, logitRows: 0 });
    const parents = randomTree(21, 16);
    const input = tokens(3, 16);
    const logits = engine.run({ position: 9, input, parents, choices: target, logitRows: 16 }).logits.slice();
    for (let row = 0; row < 16; row++) {
      const path = pathTo(parents, row).map((i) => input[i]);
      const alone = engine.run({ position: 9, input: path, choices: target, logitRows: 1 }).logits;
      // the same fp16 numbers in another order of rows: a few roundings of 2^-11
      expect(greatestDifference(logits.subarray(row * spec.vocabSize, (row + 1) * spec.vocabSize), alone)).toBeLessThan(
        1e-2,
      );
    }
    engine.close();
  }
});
