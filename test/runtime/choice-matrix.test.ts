/**
 * Everything that a pass can be asked for, of every choice, by programs beside the graph with choices: the same tokens, or a
 * refusal by name. A row that is missing here is a choice that nobody asked a program for.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DraftplanError } from "../../src/core/errors.js";
import { CPU_DIALECT } from "../../src/model/graph/dialect.js";
import { argmax, type Engine, type Pass } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { addShortHeads } from "../../src/runtime/short-heads/open.js";
import { type Choice, type ChoiceSet, everywhere, KERNEL_NAMES, targetChoices } from "../../src/schema/choice.js";
import { rankingOf } from "../../src/schema/choices/ranking.js";
import { type TinyModel, temporaryFolder, tinySpec, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { greatestDifference, tokens } from "./support.js";

const MODEL: TinyModel = { seed: 3, headDim: 16, layers: 3, context: 160 };
const CAPACITY = 160;
const SPEC = tinySpec(MODEL);
const LAYERS = SPEC.layers;
const CONTEXT = 60;
const TEXT = tokens(3, CONTEXT);
const TARGET = targetChoices(LAYERS);
const ranking = rankingOf([60, 3, 9, 1, 0, 2, 20, 21, 22, 23, 40, 41, 42, 30, 31, 32]);

const mixed = (...blocks: Choice[]): ChoiceSet => ({ blocks, head: "int4" });
const CHOICES: Record<string, ChoiceSet> = {
  ...Object.fromEntries(KERNEL_NAMES.map((kernel) => [kernel, everywhere(LAYERS, kernel)])),
  skip: everywhere(LAYERS, "skip"),
  "all kernels, a skip": mixed("int8", "skip", "int4", "int2", "skip", "target"),
  "target@16": everywhere(LAYERS, "target@16"),
  "int8@32": everywhere(LAYERS, "int8@32"),
  "spans of two widths, a layer whole": mixed("int4@16", "int8", "target", "skip", "int2@32", "target"),
  "int8:16": everywhere(LAYERS, "int8:16"),
};

/** What a pass gives, as numbers. */
type Way = (engine: Engine, choices: ChoiceSet) => ArrayLike<number>[];

const input = tokens(4, 6);
const run = (engine: Engine, pass: Omit<Pass, "input" | "position"> & Partial<Pass>) => {
  const { logits, hidden } = engine.run({ position: CONTEXT, input, ...pass });
  return [logits.slice(), hidden.slice()];
};
const PARENTS = [-1, 0, 0, 1, 2, 2];

const rowsOf = (engine: Engine, pass: Omit<Pass, "logitRows">, q: number): number[] => {
  const { logits } = engine.run({ ...pass, logitRows: q });
  return Array.from({ length: q }, (_, row) => argmax(logits, row, SPEC.vocabSize));
};
const likeliest = (engine: Engine, pass: Omit<Pass, "logitRows">, q: number): number[] =>
  engine.likeliest?.(pass).likeliest ?? rowsOf(engine, pass, q);

/** A round of three drafted tokens, whole where the engine can, and else pass by pass. */
function round(engine: Engine, draft: ChoiceSet): number[] {
  const [pending, draftTokens] = [5, 3];
  const whole = engine.greedyRound?.({ position: CONTEXT, pending, draft, draftTokens, verifier: TARGET });
  if (whole !== undefined) return [...whole.drafted, ...whole.likeliest];
  const drafted: number[] = [];
  for (let i = 0; i < draftTokens; i++) {
    const pass = { position: CONTEXT + i, input: [drafted[i - 1] ?? pending], choices: draft, round: CONTEXT };
    drafted.push(...rowsOf(engine, pass, 1));
  }
  const verification = { position: CONTEXT, input: [pending, ...drafted], choices: TARGET };
  return [...drafted, ...rowsOf(engine, verification, draftTokens + 1)];
}

const WAYS: Record<string, Way> = {
  "a step": (engine, choices) => run(engine, { input: [7], choices, logitRows: 1 }),
  "rows of logits": (engine, choices) => run(engine, { choices, logitRows: 6 }),
  "logits of the last rows": (engine, choices) => run(engine, { choices, logitRows: 2 }),
  "states alone": (engine, choices) => run(engine, { choices, logitRows: 0 }),
  "states in place of ids": (engine, choices) => {
    const [, hidden] = run(engine, { choices: everywhere(LAYERS, "skip"), logitRows: 0 });
    return run(engine, { input: { hidden: Float32Array.from(hidden) }, choices, logitRows: 6 });
  },
  "ids out": (engine, choices) => [likeliest(engine, { position: CONTEXT, input, choices }, 6)],
  "a round": (engine, choices) => [round(engine, choices), round(engine, choices)],
  "a tree": (engine, choices) => run(engine, { parents: PARENTS, choices, logitRows: 6 }),
};

/** Where only one of the two refuses: programs are more able there. */
const isTreeOfDrafts = (way: string, choices: ChoiceSet) =>
  way === "a tree" && choices.blocks.some((choice, i) => i % 2 === 0 && !["target", "skip"].includes(choice));
const hasSpan = ({ blocks }: ChoiceSet) => blocks.some((choice) => choice.includes("@"));

/** What it gives over the same context, or the code and the words of its refusal. */
function ask(engine: Engine, way: Way, choices: ChoiceSet): ArrayLike<number>[] | string {
  engine.run({ position: 0, input: TEXT, choices: TARGET, logitRows: 0 });
  try {
    return way(engine, choices);
  } catch (error) {
    if (!(error instanceof DraftplanError)) throw error;
    return `${error.code} ${error.at} ${error.what}`;
  }
}

describe.each(["programs", "packed-programs"] as const)("%s beside the graph with choices", (graph) => {
  let models: LoadedModel[];
  beforeAll(async () => {
    const path = writeTinyCheckpoint(temporaryFolder(), MODEL);
    const options = { provider: "cpu", threads: 1, capacity: CAPACITY, kernels: KERNEL_NAMES };
    // weights that are inputs are not packed, and such products round no activations
    const dialect = graph === "programs" ? ({ ...CPU_DIALECT, activations: "float" } as const) : CPU_DIALECT;
    models = [
      await loadModel(path, { ...options, dialect, graph: "choices", foldFrom: 1 }), // verifications fold their heads
      await loadModel(path, { ...options, dialect, graph }),
    ];
    for (const model of models) await addShortHeads(model, { heads: ["int8:16"], ranking }, options);
  });
  afterAll(() => {
    for (const model of models) model.close();
  });

  const cases = Object.keys(WAYS).flatMap((way) => Object.keys(CHOICES).map((name) => [way, name] as const));
  test.each(cases)("%s of %s", (way, name) => {
    const choices = CHOICES[name];
    const [expected, given] = models.map(({ engine }) => ask(engine, WAYS[way], choices));
    if (typeof given === "string") {
      // a span has a small cache of its own, in which no branch can lie
      expect([way, hasSpan(choices)]).toEqual(["a tree", true]);
      expect(given).toMatch(/^CHOICE_UNAVAILABLE .*(span)/);
      expect(expected).toMatch(/^CHOICE_UNAVAILABLE/);
      return;
    }
    if (typeof expected === "string") {
      expect(isTreeOfDrafts(way, choices)).toBe(true);
      expect(expected).toMatch(/^CHOICE_UNAVAILABLE/);
      return;
    }
    expected.forEach((part, i) => {
      expect(given[i].length).toBe(part.length);
      expect(greatestDifference(finite(given[i]), finite(part))).toBeLessThan(1e-4);
    });
  });
});

/** A short head's logits of other tokens are −∞. */
const finite = (values: ArrayLike<number>): Float64Array =>
  Float64Array.from(values, (x) => (x === Number.NEGATIVE_INFINITY ? -1e4 : x));
