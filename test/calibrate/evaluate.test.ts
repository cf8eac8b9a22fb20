import { afterAll, beforeAll, expect, test } from "vitest";
import { evaluateDraft, evaluateStandalone } from "../../src/calibrate/evaluate.js";
import { argmax } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { type ChoiceSet, expandDraft, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { fakeEngine } from "../support/fake-model.js";
import { skipping } from "../support/plans.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const LAYERS = 4;
const IDS = Array.from({ length: 100 }, (_, i) => (i * i + 3 * i) % 64);
let model: LoadedModel;

beforeAll(async () => {
  const folder = writeTinyCheckpoint(temporaryFolder(), { layers: LAYERS, headDim: 16, seed: 5 });
  model = await loadModel(folder, { provider: "cpu", threads: 1 });
});
afterAll(() => model?.close());

/** The definition, at its most literal: a fresh prompt of the target before t, then one draft step at t. */
function literally(ids: readonly number[], first: number, choices: ChoiceSet) {
  const { engine } = model;
  const { vocabSize } = engine.spec;
  const target = targetChoices(LAYERS);
  const rows = ids.slice(first).map((id, i) => {
    const position = first + i;
    if (position > 0) engine.run({ position: 0, input: ids.slice(0, position), choices: target, logitRows: 0 });
    const step = (set: ChoiceSet) => {
      const { logits, hidden } = engine.run({ position, input: [id], choices: set, logitRows: 1 });
      return { token: argmax(logits, 0, vocabSize), hidden: Array.from(hidden) };
    };
    return { target: step(target), draft: step(choices) };
  });
  const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  const cosines = rows.map(
    ({ target: { hidden: a }, draft: { hidden: b } }) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)),
  );
  return {
    targetTop1: rows.map((row) => row.target.token),
    draftTop1: rows.map((row) => row.draft.token),
    acceptance: rows.filter((row) => row.target.token === row.draft.token).length / rows.length,
    meanCosine: cosines.reduce((sum, c) => sum + c, 0) / rows.length,
  };
}

test.each([
  ["blocks skipped", expandDraft(skipping("0.mlp", "1.attn", "2.attn"), LAYERS, "draft"), 0],
  ["blocks skipped, after some context", expandDraft(skipping("1.attn", "3.mlp"), LAYERS, "draft"), 37],
  ["everything in int8", uniformChoices(LAYERS, "int8"), 20],
] as const)("equals one fresh prompt and one draft step for every position: %s", async (_name, choices, first) => {
  const found = await evaluateDraft(model.engine, IDS, first, () => choices);
  const expected = literally(IDS, first, choices);
  expect(found.positions).toBe(IDS.length - first);
  expect(found.targetTop1).toEqual(expected.targetTop1);
  expect(found.draftTop1).toEqual(expected.draftTop1);
  expect(found.acceptance).toBe(expected.acceptance);
  expect(found.meanCosine).toBeCloseTo(expected.meanCosine, 5);
});

test("where nothing is drafted the target itself counts", async () => {
  const skip = uniformChoices(LAYERS, "skip");
  const all = await evaluateDraft(model.engine, IDS, 0, () => null);
  expect(all).toMatchObject({ acceptance: 1, meanCosine: 1 });
  const some = await evaluateDraft(model.engine, IDS, 0, (context) => (context < 50 ? skip : null));
  expect(some.draftTop1.slice(50)).toEqual(some.targetTop1.slice(50));
  expect(some.draftTop1.slice(0, 50)).not.toEqual(some.targetTop1.slice(0, 50));
});

test("the target runs once over the text, in pieces, and the steps go backwards", async () => {
  const { engine } = fakeEngine({ context: 1024 });
  const ids = Array.from({ length: 700 }, (_, i) => i % 50);
  await evaluateDraft(engine, ids, 600, () => uniformChoices(3, "int8"));
  const passes = engine.passes.map(({ position, q }) => [position, q]);
  expect(passes.slice(0, 4)).toEqual([
    [0, 512],
    [512, 88],
    [600, 64],
    [664, 36],
  ]);
  expect(passes.slice(4)).toEqual(Array.from({ length: 100 }, (_, i) => [699 - i, 1]));
});

test.each([0, 20])("with a cache of its own a draft is run over the text alone: from %i tokens on", async (first) => {
  const [early, late] = [skipping("0.mlp", "1.attn", "2.attn"), skipping("3.mlp")].map((draft) =>
    expandDraft(draft, LAYERS, "draft"),
  );
  const choicesAt = (context: number) => [null, early, late][context % 3];
  const found = await evaluateStandalone(model.engine, IDS, first, choicesAt);
  const { engine } = model;
  const expected = IDS.slice(first).map((_, i) => {
    const choices = choicesAt(first + i) ?? targetChoices(LAYERS);
    const pass = engine.run({ position: 0, input: IDS.slice(0, first + i + 1), choices, logitRows: 1 });
    return argmax(pass.logits, 0, engine.spec.vocabSize);
  });
  expect(found.draftTop1).toEqual(expected);
  const hits = expected.filter((token, row) => token === found.targetTop1[row]).length;
  expect(found.acceptance).toBe(hits / expected.length);
  expect(found.targetTop1).toEqual((await evaluateDraft(engine, IDS, first, choicesAt)).targetTop1);
});

test("a draft that changes no key and no value is the same over either cache: the last MLP and the head", async () => {
  const last = expandDraft({ ...skipping(`${LAYERS - 1}.mlp`), head: "int8" }, LAYERS, "draft");
  const own = await evaluateStandalone(model.engine, IDS, 10, () => last);
  const over = await evaluateDraft(model.engine, IDS, 10, () => last);
  expect(own.draftTop1).toEqual(over.draftTop1);
  expect(own.acceptance).toBeLessThan(1);
  const early = expandDraft(skipping("0.attn"), LAYERS, "draft");
  const [alone, beside] = [
    await evaluateStandalone(model.engine, IDS, 10, () => early),
    await evaluateDraft(model.engine, IDS, 10, () => early),
  ];
  expect(alone.draftTop1).not.toEqual(beside.draftTop1);
});
