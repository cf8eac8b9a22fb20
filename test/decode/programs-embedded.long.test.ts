/** The embedded model by programs: the graph with choices' tokens, whatever drafts. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DecodeOptions, decode } from "../../src/decode/loop.js";
import { systemClock } from "../../src/runtime/device.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { type Choice, type ChoiceSet, targetChoices } from "../../src/schema/choice.js";
import { uniform } from "../support/numbers.js";

const MODEL = "models/union-10m";
const CPU = { provider: "cpu", threads: 1, capacity: 512, kernels: ["target", "int8", "int4"] } as const;
const TOKENS = 100;

let programs: LoadedModel;
let choices: LoadedModel;
beforeAll(async () => {
  programs = await loadModel(MODEL, { ...CPU, graph: "programs" });
  choices = await loadModel(MODEL, { ...CPU, graph: "choices" });
});
afterAll(() => {
  programs?.close();
  choices?.close();
});

const run = (model: LoadedModel, prompt: readonly number[], more: Partial<DecodeOptions>) =>
  decode(model.engine, prompt, { maxTokens: TOKENS, endTokens: [], policy: null, clock: systemClock, ...more });

test.each([1, 2])("random drafts of random lengths (seed %i) give plain decoding's tokens", async (seed) => {
  const random = uniform(seed);
  const { layers, vocabSize } = choices.spec;
  const prompt = Array.from({ length: 5 + Math.floor(40 * random()) }, () => Math.floor(vocabSize * random()));
  const kinds: readonly Choice[] = ["target", "target", "int8", "int4", "skip"];
  const draft: ChoiceSet = {
    blocks: targetChoices(layers).blocks.map(() => kinds[Math.floor(kinds.length * random())]),
    head: random() < 0.5 ? "target" : "int8",
  };
  const expected = (await run(choices, prompt, {})).ids;
  expect((await run(programs, prompt, {})).ids).toEqual(expected);
  const policy = () => ({ choices: draft, draftTokens: 1 + Math.floor(7 * random()) });
  const drafted = await run(programs, prompt, { policy });
  expect(drafted.ids).toEqual(expected);
  const rejected = drafted.rounds.filter(({ drafted, accepted }) => accepted < drafted).length;
  expect(rejected).toBeGreaterThan(3); // else no rollback was tried
});
