/** Short heads: against the float64 twin, against the whole head of the same kernel, and a text that is gone through anew. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { selfDrafter } from "../../src/decode/drafters/self.js";
import { decode } from "../../src/decode/loop.js";
import type { Engine } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import type { GraphKind } from "../../src/runtime/programs/graph-kind.js";
import { addShortHeads } from "../../src/runtime/short-heads/open.js";
import { TextTokens } from "../../src/runtime/short-heads/text-tokens.js";
import {
  type HeadKernel,
  KERNEL_NAMES,
  type Kernel,
  shortened,
  targetChoices,
  uniformChoices,
} from "../../src/schema/choice.js";
import { rankingOf } from "../../src/schema/choices/ranking.js";
import { forward, type TensorReader } from "../oracle/transformer.js";
import { CASES, writeFolder } from "../support/architectures.js";
import { expectFailure } from "../support/failure.js";
import { trials } from "../support/long.js";
import { uniform } from "../support/numbers.js";
import {
  type TinyModel,
  temporaryFolder,
  tinySpec,
  tinyTensors,
  writeTinyCheckpoint,
} from "../support/tiny-checkpoint.js";
import { TOLERANCE, tokens } from "./support.js";

const CAPACITY = 64;
const OPTIONS = { provider: "cpu", threads: 1, capacity: CAPACITY };
/** 16 tokens, and four more in the larger head */
const RANKED = [60, 3, 9, 1, 0, 2, 20, 21, 22, 23, 40, 41, 42, 30, 31, 32, 50, 51, 52, 53];
const ranking = rankingOf(RANKED);
const NONE = Number.NEGATIVE_INFINITY;

async function openShort(path: string, graph: GraphKind = "choices"): Promise<LoadedModel> {
  const model = await loadModel(path, { ...OPTIONS, kernels: KERNEL_NAMES, graph });
  const heads = KERNEL_NAMES.flatMap((kernel) => [shortened(kernel, 16), shortened(kernel, 20)]);
  await addShortHeads(model, { heads, ranking }, OPTIONS);
  return model;
}

/** Every logit that a short head is to have, from a row that has them all: its own tokens and those of the text so far. */
const masked = (row: ArrayLike<number>, own: readonly number[], text: readonly number[]): number[] =>
  Array.from(row, (logit, token) => (own.includes(token) || text.includes(token) ? logit : NONE));

function expectMasked(logits: Float32Array, expected: readonly number[], tolerance: number): void {
  expect(Array.from(logits, (x) => x === NONE)).toEqual(expected.map((x) => x === NONE));
  const worst = expected.reduce((most, x, i) => (x === NONE ? most : Math.max(most, Math.abs(x - logits[i]))), 0);
  expect(worst).toBeLessThanOrEqual(tolerance);
}

const MODELS: [string, TinyModel, GraphKind][] = [
  ["llama, tied head", { seed: 1, headDim: 16 }, "choices"],
  ["llama, a head of its own, programs", { seed: 2, headDim: 16, tied: false }, "programs"],
  [
    "llama, sizes that fill no block of 32",
    { seed: 6, hidden: 48, heads: 3, kvHeads: 1, headDim: 16, intermediate: 72, vocab: 61 },
    "choices",
  ],
];

describe.each(MODELS)("%s", (_name, tiny, graph) => {
  const spec = tinySpec(tiny);
  const target = targetChoices(spec.layers);
  const tensors = tinyTensors(tiny);
  const read: TensorReader = (name) => (tensors.get(name) as { values: Float32Array }).values;
  let model: LoadedModel;
  let engine: Engine;
  /** programs on a CPU have unpacked weights, and a quantised product of theirs does not round what comes in */
  let whole: LoadedModel;
  beforeAll(async () => {
    const path = writeTinyCheckpoint(temporaryFolder(), tiny);
    model = await openShort(path, graph);
    engine = model.engine;
    whole = await loadModel(path, { ...OPTIONS, kernels: KERNEL_NAMES });
  });
  afterAll(() => {
    model.close();
    whole.close();
  });

  test.each([16, 20])("%i tokens in floats: the twin's logits of them and of the text up to each row", (count) => {
    const text = tokens(31, 24, spec.vocabSize);
    const twin = forward(spec, read, text).logits;
    engine.run({ position: 0, input: text.slice(0, 18), choices: target, logitRows: 0 });
    const choices = { ...target, head: shortened("target", count) };
    const { logits } = engine.run({ position: 18, input: text.slice(18), choices, logitRows: 4 });
    for (let row = 0; row < 4; row++) {
      const position = 20 + row;
      const expected = masked(twin[position], RANKED.slice(0, count), text.slice(0, position + 1));
      const own = logits.subarray(row * spec.vocabSize, (row + 1) * spec.vocabSize);
      expectMasked(own, expected, TOLERANCE);
    }
  });

  test.each(["int8", "int4"] as Kernel[])(
    "in %s a token's logit is the whole head's; those of the text are exact",
    (kernel) => {
      const text = tokens(32, 12, spec.vocabSize);
      const run = (of: Engine, head: HeadKernel) =>
        of.run({ position: 0, input: text, choices: { ...target, head }, logitRows: 1 }).logits.slice();
      const quantised = run(whole.engine, kernel);
      const exact = run(whole.engine, "target");
      const short = run(engine, shortened(kernel, 16));
      const own = RANKED.slice(0, 16);
      const expected = masked(exact, own, text).map((logit, token) => (own.includes(token) ? quantised[token] : logit));
      // as many rows in one product or in another: sums in another order
      expectMasked(short, expected, 1e-4);
    },
  );

  test("whatever ran before, a row sees its own text: the text cut, gone through again, hidden states for tokens", () => {
    const random = uniform(9);
    const below = (count: number) => Math.floor(random() * count);
    const choices = { ...target, head: shortened("target", 16) };
    let text: number[] = [];
    for (let trial = 0; trial < trials(40, 400); trial++) {
      const position = below(text.length + 1);
      const count = 1 + below(Math.min(6, CAPACITY - position));
      const again = position + count <= text.length && random() < 0.4;
      const input = again ? text.slice(position, position + count) : tokens(100 + trial, count, spec.vocabSize);
      const isDraft = random() < 0.7;
      const hidden = again && random() < 0.5 ? { hidden: new Float32Array(count * spec.hiddenSize).fill(0.1) } : null;
      if (!again) text = [...text.slice(0, position), ...input];
      const pass = { position, input: hidden ?? input, choices: isDraft ? choices : target, logitRows: count };
      const { logits } = engine.run(pass);
      if (!isDraft) continue;
      for (let row = 0; row < count; row++) {
        const seen = logits.subarray(row * spec.vocabSize, (row + 1) * spec.vocabSize);
        const known = text.slice(0, position + row + 1);
        const has = Array.from(seen, (logit, token) => (logit === NONE ? [] : [token])).flat();
        expect(has).toEqual([...new Set([...RANKED.slice(0, 16), ...known])].sort((a, b) => a - b));
      }
    }
  });

  test("decoding is the target's own, and drafts are of the head's tokens and the text's", async () => {
    const prompt = tokens(33, 8, spec.vocabSize);
    const clock = { nowUs: () => 0 };
    const plain = await decode(engine, prompt, { maxTokens: 40, endTokens: [], clock, policy: null });
    for (const head of ["int4:16", "target:20"] as const) {
      const choices = { ...uniformChoices(spec.layers, "int8"), head };
      const policy = () => ({ drafter: selfDrafter(choices), draftTokens: 3 });
      const drafted = await decode(engine, prompt, { maxTokens: 40, endTokens: [], clock, policy });
      expect(drafted.ids).toEqual(plain.ids);
      expect(drafted.rounds.some((round) => round.drafted > 0)).toBe(true);
    }
  });
});

describe("beside a second cache", () => {
  let model: LoadedModel;
  beforeAll(async () => {
    model = await openShort(writeTinyCheckpoint(temporaryFolder(), { seed: 3, headDim: 16 }));
  });
  afterAll(() => model.close());

  test("each cache has a text of its own", () => {
    const { engine } = model;
    const target = targetChoices(engine.spec.layers);
    const choices = { ...target, head: "target:16" as const };
    const other = (engine.withOwnCache as () => Engine)();
    engine.run({ position: 0, input: [10, 11, 12], choices: target, logitRows: 0 });
    other.run({ position: 0, input: [14, 15], choices: target, logitRows: 0 });
    const has = (one: Engine, position: number) =>
      Array.from(one.run({ position, input: [3], choices, logitRows: 1 }).logits, (x, id) =>
        x === NONE ? [] : id,
      ).flat();
    const own = RANKED.slice(0, 16);
    expect(has(other, 2)).toEqual([...own, 14, 15].sort((a, b) => a - b));
    expect(has(engine, 3)).toEqual([...own, 10, 11, 12].sort((a, b) => a - b));
  });

  test("a tree's path that is kept is the text, and its other branches are not", () => {
    const { engine } = model;
    const target = targetChoices(engine.spec.layers);
    engine.run({ position: 0, input: [10], choices: target, logitRows: 0 });
    engine.run({ position: 1, input: [11, 12, 13, 14], parents: [-1, 0, 0, 2], choices: target, logitRows: 4 });
    engine.keepRows?.(1, [0, 2, 3]);
    const choices = { ...target, head: "int8:16" as const };
    const { logits } = engine.run({ position: 4, input: [3], choices, logitRows: 1 });
    expect([11, 12, 13, 14].filter((id) => logits[id] !== NONE)).toEqual([11, 13, 14]);
  });

  test("a head that was not opened is refused, and one over all tokens or of another vocabulary", async () => {
    const { engine } = model;
    const run = (head: `${Kernel}:${number}`) => () =>
      engine.run({ position: 0, input: [1], choices: { ...targetChoices(engine.spec.layers), head }, logitRows: 1 });
    await expectFailure(run("int8:18"), "CHOICE_UNAVAILABLE", /open with target:20, target:16, int8:20/);
    const bare = await loadModel(model.path, OPTIONS);
    try {
      const choices = { ...targetChoices(engine.spec.layers), head: "int8:16" as const };
      const pass = () => bare.engine.run({ position: 0, input: [1], choices, logitRows: 1 });
      await expectFailure(pass, "CHOICE_UNAVAILABLE", /without short heads/);
      const add = (tokens: number, first: number) => () =>
        addShortHeads(bare, { heads: [shortened("int8", tokens)], ranking: rankingOf([first]) }, OPTIONS);
      await expectFailure(add(engine.spec.vocabSize, 0), "CHOICE_UNAVAILABLE", /in all/);
      await expectFailure(add(16, 5000), "DOCUMENT_MISMATCH", /token 5000/);
    } finally {
      bare.close();
    }
  });
});

// heads that scale their logits, or hold them below a cap: transformers computed what the whole one gives
test.each(CASES.filter(({ name }) => /granite|gemma2/.test(name)))(
  "the short head of $name ends as its whole head does",
  async (one) => {
    const model = await openShort(writeFolder(one));
    try {
      const { engine } = model;
      const target = targetChoices(engine.spec.layers);
      const run = (head: "target" | "target:16") =>
        engine.run({ position: 0, input: [5, 6, 7], choices: { ...target, head }, logitRows: 1 }).logits.slice();
      expectMasked(run("target:16"), masked(run("target"), RANKED.slice(0, 16), [5, 6, 7]), 1e-4);
    } finally {
      model.close();
    }
  },
);

test("a text of more rare tokens than there is room for keeps its first ones, and forgets them with the text", () => {
  const text = new TextTokens(
    5000,
    1,
    () => false,
    (token, into) => into.fill(token),
  );
  const ids = Array.from({ length: 3000 }, (_, i) => i);
  text.put(0, ids);
  expect([text.tokens.length, text.tokens[1023], text.rows[1023]]).toEqual([1024, 1023, 1023]);
  text.put(1000, [4000, 4001]);
  expect(text.tokens.slice(-3)).toEqual([999, 4000, 4001]);
  expect(Array.from(text.rows.subarray(999, 1002))).toEqual([999, 4000, 4001]);
});
