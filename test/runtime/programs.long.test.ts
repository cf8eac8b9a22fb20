/** Programs of every other tiny model, and of every architecture as its checkpoint is opened. */
import { expect, test } from "vitest";
import { argmax, type Engine } from "../../src/runtime/engine.js";
import { loadModel } from "../../src/runtime/load.js";
import { KERNEL_NAMES, targetChoices } from "../../src/schema/choice.js";
import { TINY_ARCHITECTURES, temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { describePrograms } from "./program-cases.js";
import { QUICK_PROGRAMS } from "./program-models.js";
import { greatestDifference, MODELS, randomChoices, tokens } from "./support.js";

for (const [name, model] of MODELS) if (!QUICK_PROGRAMS.includes(name)) describePrograms(name, model);

test.each(TINY_ARCHITECTURES)(
  "%s: prompts, steps, trees and likeliest tokens are the graph with choices'",
  async (architecture) => {
    const folder = writeTinyCheckpoint(temporaryFolder(), { architecture, layers: 3, headDim: 16, seed: 23 });
    const cpu = { provider: "cpu", threads: 1, capacity: 64, kernels: KERNEL_NAMES };
    const graphs = ["choices", "packed-programs", "programs"] as const;
    const models = await Promise.all(graphs.map((graph) => loadModel(folder, { ...cpu, graph })));
    const [{ spec }] = models;
    const text = tokens(7, 24, spec.vocabSize);
    const choices = randomChoices(5, spec.layers, ["target", "target", "skip"]);
    const tree = { position: 24, input: tokens(8, 5, spec.vocabSize), parents: [-1, 0, 0, 2, 1] };
    const given = models.map(({ engine }) => {
      const run = (pass: Parameters<Engine["run"]>[0]) => engine.run(pass).logits.slice();
      const prompt = run({ position: 0, input: text, choices: targetChoices(spec.layers), logitRows: 24 });
      const step = run({ position: 20, input: [text[20]], choices, logitRows: 1 });
      run({ position: 20, input: text.slice(20), choices: targetChoices(spec.layers), logitRows: 0 });
      return [prompt, step, run({ ...tree, choices: targetChoices(spec.layers), logitRows: 5 })];
    });
    for (const [i, tolerance] of [0, 0, 1e-4].entries())
      given[i].forEach((part, j) => expect(greatestDifference(part, given[0][j])).toBeLessThanOrEqual(tolerance));
    const rows = (logits: Float32Array, count: number) =>
      Array.from({ length: count }, (_, row) => argmax(logits, row, spec.vocabSize));
    const packed = models[1].engine as Required<Engine>;
    const found = packed.likeliest({ ...tree, choices: targetChoices(spec.layers) });
    expect(found.likeliest).toEqual(rows(given[1][2], 5));
    for (const model of models) model.close();
  },
);
