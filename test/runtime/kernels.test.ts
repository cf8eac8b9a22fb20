/** Kernels on demand: what a model is loaded with it runs, each as its dequantised twin does; nothing else is in its graph. */
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { evaluateDraft } from "../../src/calibrate/evaluate.js";
import { silentProgress } from "../../src/core/progress.js";
import { decode } from "../../src/decode/loop.js";
import { convertModel } from "../../src/model/convert.js";
import { choiceFlags, choiceInputNames } from "../../src/model/graph/choice-inputs.js";
import { openCheckpoint } from "../../src/model/open.js";
import { systemClock } from "../../src/runtime/device.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { type Choice, type Kernel, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { forward } from "../oracle/transformer.js";
import { expectFailure } from "../support/failure.js";
import { LONG } from "../support/long.js";
import { temporaryFolder, tinySpec, tinyTensors, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { relativeError, tokens } from "./support.js";

const LAYERS = 3;
const MODEL = { seed: 21, headDim: 16, layers: LAYERS, tied: false, eosTokenIds: [] };
const CPU = { provider: "cpu", threads: 1 };
const ALL: Kernel[] = ["target", "int8", "int4", "int2"];
const IDS = tokens(3, 24);
const folder = writeTinyCheckpoint(temporaryFolder(), MODEL);

const logitsOf = ({ engine }: LoadedModel, choice: Kernel | "skip"): Float32Array =>
  engine
    .run({ position: 0, input: IDS, choices: uniformChoices(LAYERS, choice), logitRows: IDS.length })
    .logits.slice();

describe.skipIf(LONG)("a model with target, int8, int4 and int2", () => {
  let all: LoadedModel;
  let usual: LoadedModel;
  beforeAll(async () => {
    all = await loadModel(folder, { ...CPU, kernels: ALL });
    usual = await loadModel(folder, CPU);
  });
  afterAll(() => {
    all?.close();
    usual?.close();
  });

  test("says which kernels it has; the usual one has no int4", () => {
    expect(all.engine.kernels).toEqual(ALL);
    expect(usual.engine.kernels).toEqual(["target", "int8"]);
  });

  test("target and int8 compute to the bit what they compute without the others", () => {
    for (const choice of ["target", "int8", "skip"] as const)
      expect(logitsOf(all, choice)).toEqual(logitsOf(usual, choice));
  });

  test.each([
    ["int4", stepsOfFour],
    ["int2", stepsOfTwo],
  ] as const)("%s is nearer to the twin with rounded weights than to fp32", (kernel, step) => {
    const exact = logitsOf(all, "target");
    const few = logitsOf(all, kernel);
    expect(relativeError(few, exact)).toBeGreaterThan(0.05); // or it did not run
    expect(relativeError(few, roundedTwin(step))).toBeLessThan(0.4 * relativeError(few, exact));
  });

  test("each block alone at int4 differs from target and int8: no branch is taken for another", () => {
    const target = targetChoices(LAYERS);
    const hidden = (choice: Choice, block: number) =>
      all.engine
        .run({
          position: 0,
          input: IDS,
          choices: { blocks: target.blocks.with(block, choice), head: "target" },
          logitRows: 0,
        })
        .hidden.slice();
    target.blocks.forEach((_, block) => {
      const [exact, eight, four, two] = (["target", "int8", "int4", "int2"] as const).map((choice) =>
        hidden(choice, block),
      );
      expect(relativeError(four, exact), `block ${block}`).toBeGreaterThan(3 * relativeError(eight, exact));
      expect(relativeError(two, exact), `block ${block}`).toBeGreaterThan(1.5 * relativeError(four, exact));
    });
  });

  test("a draft with int4 blocks leaves the target's tokens as they are, and is rejected now and then", async () => {
    const options = { maxTokens: 60, endTokens: [], clock: systemClock };
    const plain = await decode(all.engine, IDS, { ...options, policy: null });
    const choices = {
      blocks: targetChoices(LAYERS).blocks.map((_, i): Choice => (i % 2 ? "int4" : "int8")),
      head: "int4" as const,
    };
    const drafted = await decode(all.engine, IDS, { ...options, policy: () => ({ choices, draftTokens: 4 }) });
    expect(drafted.ids).toEqual(plain.ids);
    const [asked, accepted] = [drafted.rounds.map((r) => r.drafted), drafted.rounds.map((r) => r.accepted)].map(
      (list) => list.reduce((a, b) => a + b, 0),
    );
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThan(asked);
  });

  test("a kernel that was not loaded is refused, and the engine goes on", async () => {
    await expectFailure(async () => logitsOf(usual, "int4"), "CHOICE_UNAVAILABLE", /int4/);
    expect(logitsOf(usual, "target")).toEqual(logitsOf(all, "target"));
  });
});

const extremeOf = (block: Float32Array): number =>
  block.reduce((most, v) => (Math.abs(v) > Math.abs(most) ? v : most), 0);

/** To 16 steps: the greatest magnitude of 32 inputs is -8 of them. */
function stepsOfFour(block: Float32Array): void {
  const step = extremeOf(block) / -8;
  block.forEach((v, i) => (block[i] = Math.min(7, Math.round(v / step)) * step));
}

/** To 4 steps, -2 to 1, of the length that leaves the least squared error among these shares of the simple one. */
function stepsOfTwo(block: Float32Array): void {
  const tried = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4].map((share) => {
    const step = (share * extremeOf(block)) / -2;
    return Array.from(block, (v) => Math.max(-2, Math.min(1, Math.round(v / step))) * step);
  });
  const error = (rounded: number[]) => rounded.reduce((sum, v, i) => sum + (v - block[i]) ** 2, 0);
  block.set(tried.reduce((best, one) => (error(one) < error(best) ? one : best)));
}

/** Logits of the float64 model whose matrices are rounded 32 inputs at a time. */
function roundedTwin(round: (block: Float32Array) => void): number[] {
  const tensors = tinyTensors(MODEL);
  const read = (name: string): Float32Array => {
    const { shape, values } = tensors.get(name) as { shape: readonly number[]; values: Float32Array };
    if (!/_proj\.weight$|^lm_head/.test(name)) return values;
    const out = values.slice();
    for (let row = 0; row < shape[0]; row++) {
      for (let from = 0; from < shape[1]; from += 32) {
        round(out.subarray(row * shape[1] + from, row * shape[1] + Math.min(from + 32, shape[1])));
      }
    }
    return out;
  };
  return forward(tinySpec(MODEL), read, IDS).logits.flat();
}

describe.skipIf(LONG)("sets of kernels", () => {
  test.each<[Kernel[], (Kernel | "skip")[]]>([
    [["target"], ["target", "skip"]],
    [
      ["target", "int4"],
      ["target", "int4", "skip"],
    ],
  ])("%j alone run as they do among all", async (kernels, choices) => {
    const some = await loadModel(folder, { ...CPU, kernels });
    const all = await loadModel(folder, { ...CPU, kernels: ALL });
    try {
      expect(some.engine.kernels).toEqual(kernels);
      for (const choice of choices) expect(logitsOf(some, choice)).toEqual(logitsOf(all, choice));
      await expectFailure(async () => logitsOf(some, "int8"), "CHOICE_UNAVAILABLE", /int8/);
    } finally {
      some.close();
      all.close();
    }
  });

  test("each has a converted form of its own, and one without int4 takes no room for it", async () => {
    const checkpoint = await openCheckpoint(folder);
    const bytes = new Map<string, number>();
    for (const kernels of [["target"], ["target", "int8"], ALL] as Kernel[][]) {
      const { modelPath } = await convertModel(checkpoint, silentProgress, kernels);
      bytes.set(modelPath, statSync(join(dirname(modelPath), "weights.bin")).size);
    }
    checkpoint.close();
    const [one, two, three] = bytes.values();
    expect([bytes.size, two > one, three > two]).toEqual([3, true, true]);
  });

  test("a block has one flag for running and one for every kernel but the last; the flags say one thing each", () => {
    expect(choiceInputNames(1, ["target"])).toEqual(["run.0.attn", "run.0.mlp"]);
    const names = choiceInputNames(1, ALL);
    const of = (choice: Kernel | "skip") => {
      const flags = choiceFlags({ blocks: [choice, "skip"], head: choice === "skip" ? "int2" : choice }, ALL);
      return names.filter((_, i) => flags[i] === 1);
    };
    expect(names).toHaveLength(2 * 4 + 3);
    expect(of("target")).toEqual(["run.0.attn", "0.attn.target", "head.target"]);
    expect(of("int8")).toEqual(["run.0.attn", "0.attn.int8", "head.int8"]);
    expect(of("int4")).toEqual(["run.0.attn", "0.attn.int4", "head.int4"]);
    expect(of("int2")).toEqual(["run.0.attn"]);
    expect(of("skip")).toEqual([]);
  });
});

describe.runIf(LONG)("on the embedded model", () => {
  test("int4 drafts are accepted often, less often than int8 ones, and int2 drafts more often than not", async () => {
    const model = await loadModel("embedded", { provider: "cpu", threads: 1, capacity: 256, kernels: ALL });
    try {
      const plain = await decode(model.engine, [0, 2819, 506, 268], {
        ...{ maxTokens: 150, endTokens: [], policy: null, clock: systemClock },
      });
      const acceptance = async (kernel: Kernel) =>
        (
          await evaluateDraft(
            model.engine,
            [0, 2819, 506, 268, ...plain.ids],
            4,
            () => uniformChoices(model.spec.layers, kernel),
            silentProgress,
          )
        ).acceptance;
      const [int8, int4, int2] = [await acceptance("int8"), await acceptance("int4"), await acceptance("int2")];
      expect(int8).toBeGreaterThan(0.95);
      expect(int4).toBeGreaterThan(0.8);
      expect(int4).toBeLessThanOrEqual(int8);
      expect(int2).toBeGreaterThan(0.5);
      expect(int2).toBeLessThan(int4);
    } finally {
      model.close();
    }
  });
});
