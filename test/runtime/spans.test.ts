/** Attention over spans, against the float64 twin with a mask, against whole contexts, and against an engine that did nothing before. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CPU_DIALECT, UNKNOWN_DIALECT } from "../../src/model/graph/dialect.js";
import type { Engine } from "../../src/runtime/engine.js";
import type { GraphKind } from "../../src/runtime/programs/graph-kind.js";
import { type Choice, type ChoiceSet, everywhere, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { forward, type TensorReader } from "../oracle/transformer.js";
import { expectFailure } from "../support/failure.js";
import { trials } from "../support/long.js";
import { uniform } from "../support/numbers.js";
import { type TinyModel, tinySpec, tinyTensors } from "../support/tiny-checkpoint.js";
import { expectRows, greatestDifference, openSubject, openTiny, tokens } from "./support.js";

const CAPACITY = 160;
const SINKS = 4; // DESIGN.md, "Words"

const MODELS: [string, TinyModel][] = [
  ["llama", { seed: 1, headDim: 16, layers: 3 }],
  ["qwen2, heads of 20", { seed: 8, headDim: 20, architecture: "qwen2", layers: 3 }],
  ["qwen3", { seed: 9, headDim: 16, architecture: "qwen3", layers: 3 }],
];

/** The choices of three layers' attentions, MLPs as the target has them. */
const attentions = (...choices: Choice[]): ChoiceSet => ({
  blocks: choices.flatMap((choice): Choice[] => [choice, "target"]),
  head: "target",
});
const SPANS: [string, ChoiceSet, (number | null)[]][] = [
  ["all of 16", attentions("target@16", "target@16", "target@16"), [16, 16, 16]],
  ["of 16 and 40, one layer whole", attentions("target@16", "target", "target@40"), [16, null, 40]],
];

function fill(engine: Engine, text: readonly number[]): void {
  const choices = targetChoices(engine.spec.layers);
  for (let position = 0; position < text.length; position += 100)
    engine.run({ position, input: text.slice(position, position + 100), choices, logitRows: 0 });
}

/** A program has small caches as the graph with choices has, filled by another program. */
const GRAPHS: GraphKind[] = ["choices", "programs"];
const SUBJECTS = MODELS.flatMap(([name, model]) => GRAPHS.map((graph) => [name, graph, model] as const));

describe.each(SUBJECTS)("%s, %s", (_name, graph, model) => {
  const spec = tinySpec(model);
  const open = () => openTiny(model, CAPACITY, CPU_DIALECT, false, graph);
  let engine: Engine;
  beforeAll(async () => {
    engine = await open();
  });
  afterAll(() => engine.close());

  // less than the sinks, as long as the smaller span with its sinks, one more, and far more
  test.each([2, 20, 21, 75])("a draft over %i tokens gives what the twin gives that reads so many keys", (n) => {
    const text = tokens(3 + n, n + 5);
    const tensors = tinyTensors(model);
    const read: TensorReader = (name) => (tensors.get(name) as { values: Float32Array }).values;
    for (const [, choices, spans] of SPANS) {
      fill(engine, text.slice(0, n));
      const reads = (layer: number, position: number, key: number) => {
        const span = spans[layer];
        return position < n || span === null || key < SINKS || key >= n - span;
      };
      const twin = forward(spec, read, text, () => false, reads);
      const pass = engine.run({ position: n, input: text.slice(n), choices, logitRows: 5 });
      expectRows(pass.logits, twin.logits.slice(n));
      expectRows(pass.hidden, twin.hidden.slice(n));
    }
  });

  test("a round drafted token by token is the one pass over its tokens", () => {
    const text = tokens(5, 66);
    for (const [, choices] of SPANS) {
      fill(engine, text.slice(0, 50));
      const rows = Array.from({ length: 16 }, (_, i) =>
        engine.run({ position: 50 + i, input: [text[50 + i]], choices, logitRows: 1, round: 50 }).logits.slice(),
      );
      const whole = engine.run({ position: 50, input: text.slice(50), choices, logitRows: 16 }).logits;
      const joined = Float32Array.from(rows.flatMap((row) => Array.from(row)));
      expect(greatestDifference(joined, whole)).toBeLessThan(1e-5);
    }
  });

  test("a context whose last token was written anew is read anew", () => {
    const text = tokens(12, 50);
    const draft = () =>
      engine.run({ position: 50, input: [4], choices: SPANS[0][1], logitRows: 1, round: 50 }).logits.slice();
    fill(engine, text);
    const before = draft();
    const last = { position: 49, choices: targetChoices(3), logitRows: 0 };
    engine.run({ ...last, input: [(text[49] + 1) % spec.vocabSize] });
    expect(greatestDifference(draft(), before)).toBeGreaterThan(1e-3);
    engine.run({ ...last, input: [text[49]] });
    expect(greatestDifference(draft(), before)).toBeLessThan(1e-5); // a step's sums, where a prompt's were
  });

  test("a span longer than the context gives the bits that none gives", () => {
    const text = tokens(6, 60);
    const wide = everywhere(3, "int8@65536");
    const none = uniformChoices(3, "int8");
    for (const n of [1, 3, 4, 30, 55]) {
      const step = (choices: ChoiceSet) => {
        fill(engine, text.slice(0, n));
        return [0, 1, 2].map((i) =>
          engine.run({ position: n + i, input: [text[n + i]], choices, logitRows: 1, round: n }).logits.slice(),
        );
      };
      expect(step(wide)).toEqual(step(none));
    }
  });

  test("a draft leaves every key and value of the context as they were, and what lies behind them", () => {
    const text = tokens(7, 80);
    fill(engine, text);
    const whole = () =>
      [0, 1, 2].flatMap((layer) => (["key", "value"] as const).map((part) => engine.readCache(layer, part, 0, 80)));
    const before = whole();
    for (let i = 0; i < 6; i++)
      engine.run({ position: 60 + i, input: [9], choices: SPANS[0][1], logitRows: 1, round: 60 });
    // readCache of this engine looks at the memory itself: no pass came between
    expect(whole()).toEqual(before);
  });

  test("whatever ran before, a draft gives what it gives in an engine where nothing did", async () => {
    const fresh = await open();
    const random = uniform(11);
    const below = (count: number) => Math.floor(random() * count);
    let text: number[] = [];
    for (let trial = 0; trial < trials(25, 300); trial++) {
      // another text, a longer one, or a shorter one that goes on otherwise, within a span or before it
      const kept = [0, text.length, text.length - below(Math.min(14, text.length + 1)), below(text.length + 1)][
        below(4)
      ];
      const added = Math.min(CAPACITY - 20 - kept, 1 + below([3, 6, 90][below(3)]));
      const more = tokens(100 + trial, Math.max(0, added));
      text = [...text.slice(0, kept), ...more];
      if (more.length > 0) engine.run({ position: kept, input: more, choices: targetChoices(3), logitRows: 0 });
      const n = text.length - below(Math.min(3, text.length)); // a round may begin before what the cache holds
      const [, choices] = SPANS[below(SPANS.length)];
      const input = tokens(500 + trial, 1 + below(5));
      const draft = (on: Engine) => on.run({ position: n, input, choices, logitRows: input.length }).logits.slice();
      const [drafted, again] = [draft(engine), draft(engine)];
      fill(fresh, [0]);
      fill(fresh, text);
      expect(greatestDifference(drafted, draft(fresh))).toBeLessThan(1e-5);
      expect(again).toEqual(drafted);
      if (n < text.length || trial % 4 === 0) fill(engine, text); // layers without a span were written
    }
    fresh.close();
  });
});

test.each(GRAPHS)(
  "in a model whose window is narrower than a span, the layer reads what it always reads: %s",
  async (graph) => {
    const model: TinyModel = { seed: 7, headDim: 16, architecture: "mistral", slidingWindow: 24, layers: 3 };
    const { engine, twin } = await openSubject(model, CAPACITY, CPU_DIALECT, graph);
    const text = tokens(8, 70);
    fill(engine, text.slice(0, 60));
    const pass = engine.run({ position: 60, input: text.slice(60), choices: SPANS[0][1], logitRows: 10 });
    expectRows(pass.logits, twin(text).logits.slice(60));
    engine.close();
  },
);

test.each(GRAPHS)(
  "where layers have windows of their own, each is held against its own layer's span: %s",
  async (graph) => {
    const model: TinyModel = { seed: 12, headDim: 16, layers: 3, variations: { layerWindows: [24, null, 24] } };
    const engine = await openTiny(model, CAPACITY, CPU_DIALECT, false, graph);
    const tensors = tinyTensors(model);
    const read: TensorReader = (name) => (tensors.get(name) as { values: Float32Array }).values;
    const text = tokens(8, 70);
    fill(engine, text.slice(0, 60));
    const choices = attentions("target@16", "target@16", "target@40");
    const pass = engine.run({ position: 60, input: text.slice(60), choices, logitRows: 10 });
    const reads = (layer: number, position: number, key: number) =>
      position < 60 || layer !== 1 || key < SINKS || key >= 60 - 16;
    expectRows(pass.logits, forward(tinySpec(model), read, text, () => false, reads).logits.slice(60));
    engine.close();
  },
);

test("an engine whose graph has one length for all layers refuses spans by name", async () => {
  const engine = await openTiny(MODELS[0][1], CAPACITY, UNKNOWN_DIALECT);
  const pass = { position: 0, input: [1], choices: SPANS[0][1], logitRows: 1 };
  await expectFailure(() => engine.run(pass), "CHOICE_UNAVAILABLE", /span/);
  engine.close();
});

test.each(GRAPHS)(
  "a tree of a draft with spans is refused, and so is a round longer than any draft: %s",
  async (graph) => {
    const engine = await openTiny(MODELS[0][1], CAPACITY, CPU_DIALECT, false, graph);
    fill(engine, tokens(9, 40));
    const tree = { position: 40, input: [1, 2, 3], parents: [-1, 0, 0], choices: SPANS[0][1], logitRows: 3 };
    await expectFailure(() => engine.run(tree), "CHOICE_UNAVAILABLE", /span/);
    expect(() => engine.run({ position: 60, input: [1], choices: SPANS[0][1], logitRows: 1, round: 40 })).toThrow(
      RangeError,
    );
    engine.close();
  },
);
