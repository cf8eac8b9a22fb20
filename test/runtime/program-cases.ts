/** Programs: straight lines over one store of weights, against the float64 twin and the graph with choices. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CPU_DIALECT } from "../../src/model/graph/dialect.js";
import { argmax, type Engine } from "../../src/runtime/engine.js";
import { type Choice, type ChoiceSet, uniformChoices } from "../../src/schema/choice.js";
import { type TinyModel, tinySpec } from "../support/tiny-checkpoint.js";
import { expectRows, openSubject, openTiny, randomChoices, type Subject, tokens } from "./support.js";

const TEXT = 21;
/** quantised products with activations as they are: what programs compute on the CPU */
const SAME_NUMBERS = { ...CPU_DIALECT, activations: "float" } as const;

/** Everything about one model. */
export function describePrograms(name: string, model: TinyModel): void {
  describe(name, () => cases(model));
}

function cases(model: TinyModel): void {
  const spec = tinySpec(model);
  const ids = tokens(40, TEXT);
  let subject: Subject;
  let choices: Engine;
  beforeAll(async () => {
    subject = await openSubject(model, 64, SAME_NUMBERS, "programs");
    choices = await openTiny(model, 64, SAME_NUMBERS);
  });
  afterAll(() => {
    subject.engine.close();
    choices.close();
  });

  const run = (position: number, count: number, set: ChoiceSet = subject.target, logitRows = count) =>
    subject.engine.run({ position, input: ids.slice(position, position + count), choices: set, logitRows });

  test.each([
    ["as one prompt", [TEXT], ["target"]],
    ["in uneven pieces", [7, 1, 9, 4], ["target"]],
    ["with blocks skipped at random, one token at a time at last", [5, 11, 1, 1, 1, 1, 1], ["target", "skip"]],
    ["every block skipped", [6, 1, 14], ["skip"]],
  ] as [string, number[], Choice[]][])("%s: logits and states are the twin's", (_way, pieces, from) => {
    const set = randomChoices(3, spec.layers, from);
    const twin = subject.twin(ids, (block) => set.blocks[block] === "skip");
    let position = 0;
    for (const count of pieces) {
      const { logits, hidden } = run(position, count, set);
      expectRows(logits, twin.logits.slice(position, position + count));
      expectRows(hidden, twin.hidden.slice(position, position + count));
      position += count;
    }
  });

  test("logits of the last rows alone are those rows, and none are none", () => {
    const { logits } = subject.twin(ids);
    expectRows(run(0, TEXT, subject.target, 3).logits, logits.slice(TEXT - 3));
    expectRows(run(0, TEXT, subject.target, 1).logits, logits.slice(TEXT - 1));
    expect(run(0, TEXT, subject.target, 0).logits.length).toBe(0);
  });

  test("keys and values, and hidden states in place of the embedding, are the graph with choices' own", () => {
    const { states } = subject.twin(ids);
    for (let first = 0; first <= 2 * spec.layers; first++) {
      const set = { ...subject.target, blocks: subject.target.blocks.map((c, b) => (b < first ? "skip" : c)) };
      const pass = {
        position: 0,
        input: { hidden: Float32Array.from(states[first].flat()) },
        choices: set,
        logitRows: TEXT,
      };
      expectRows(subject.engine.run(pass).logits, subject.twin(ids).logits);
    }
    run(0, TEXT);
    choices.run({ position: 0, input: ids, choices: subject.target, logitRows: 0 });
    for (let layer = 0; layer < spec.layers; layer++)
      for (const part of ["key", "value"] as const)
        expectRows(subject.engine.readCache(layer, part, 2, 9), [[...choices.readCache(layer, part, 2, 9)]]);
  });

  test("rounds of random drafts give the graph with choices' tokens, one by one", () => {
    const prompt = ids.slice(0, 8);
    const continuation = (engine: Engine, count: number, set: ChoiceSet) => {
      const text = [...prompt];
      engine.run({ position: 0, input: prompt.slice(0, -1), choices: set, logitRows: 0 });
      while (text.length < prompt.length + count) {
        const input = [text[text.length - 1]];
        const { logits } = engine.run({ position: text.length - 1, input, choices: set, logitRows: 1 });
        text.push(argmax(logits, 0, spec.vocabSize));
      }
      return text.slice(prompt.length);
    };
    for (const seed of [1, 2, 3]) {
      const draft: ChoiceSet = {
        ...randomChoices(seed, spec.layers, ["target", "int8", "int4", "skip"]),
        head: seed === 1 ? "int8" : "target",
      };
      expect(continuation(subject.engine, 12, draft)).toEqual(continuation(choices, 12, draft));
    }
    const { engine, target } = subject;
    engine.run({ position: 0, input: prompt.slice(0, -1), choices: target, logitRows: 0 });
    const expected = continuation(choices, 24, target);
    const draft = uniformChoices(spec.layers, "int4");
    const text = [...prompt];
    while (text.length < prompt.length + 16) {
      const [position, pending] = [text.length - 1, text[text.length - 1]];
      const { drafted, likeliest } = (engine as Required<Engine>).greedyRound({
        ...{ position, pending, draft, draftTokens: 4, verifier: target },
      });
      const wrong = drafted.findIndex((token, i) => token !== likeliest[i]);
      text.push(...likeliest.slice(0, (wrong === -1 ? drafted.length : wrong) + 1));
    }
    expect(text.slice(prompt.length, prompt.length + 16)).toEqual(expected.slice(0, 16));
  });
}
