/**
 * The graph as other providers get it, run on the CPU: ONNX Runtime casts around operators that the CPU has no fp16 kernel
 * for, inside branches too, so what is tested is the graph and the engine, not a device's kernels.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decode } from "../../src/decode/loop.js";
import { CPU_DIALECT, CUDA_DIALECT, type GraphDialect, WEBGPU_DIALECT } from "../../src/model/graph/dialect.js";
import { systemClock } from "../../src/runtime/device.js";
import { argmax, type Engine } from "../../src/runtime/engine.js";
import { loadModel } from "../../src/runtime/load.js";
import { type ChoiceSet, KERNEL_NAMES, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { withTarget } from "../../src/schema/numerics.js";
import { TIE_MARGINS } from "../../src/schema/verification.js";
import { tinySpec } from "../support/tiny-checkpoint.js";
import {
  expectRows,
  greatestDifference,
  MODELS,
  openSubject,
  randomChoices,
  relativeError,
  type Subject,
  TOLERANCE,
  tokens,
} from "./support.js";

const DIALECTS: [string, GraphDialect][] = [
  ["fp16, FusedMatMul", CUDA_DIALECT],
  ["fp16, FusedMatMul, host inputs the other way", { ...CUDA_DIALECT, hostInputs: !CUDA_DIALECT.hostInputs }],
  ["fp32, Gemm", WEBGPU_DIALECT],
  ["fp16, Gemm", withTarget(WEBGPU_DIALECT, "fp16")],
];

/**
 * Weights and states are each off by up to 2^-11 of their size: sums of a few hundred products, in models whose logits
 * and states are of size 1 to 5, came out up to 0.017 from float64 (all models below).
 */
const TOLERANCES = { fp32: TOLERANCE, fp16: 3e-2 } as const;

const TEXT = 21;

describe.each(DIALECTS)("%s", (_dialect, dialect) => {
  const tolerance = TOLERANCES[dialect.float];

  describe.each(MODELS)("%s", (_name, model) => {
    const spec = tinySpec(model);
    const ids = tokens(40, TEXT);
    let subject: Subject;
    beforeAll(async () => {
      subject = await openSubject(model, 64, dialect);
    });
    afterAll(() => subject?.engine.close());

    const run = (position: number, count: number, choices: ChoiceSet = subject.target) =>
      subject.engine.run({ position, input: ids.slice(position, position + count), choices, logitRows: count });

    test.each([
      ["one prompt", [TEXT]],
      ["one token at a time", new Array<number>(TEXT).fill(1)],
      ["pieces", [7, 1, 9, 4]],
    ])("%s, with blocks skipped and without", (_way, pieces) => {
      for (const choices of [subject.target, randomChoices(3, spec.layers, ["target", "skip"])]) {
        const twin = subject.twin(ids, (block) => choices.blocks[block] === "skip");
        let position = 0;
        for (const count of pieces) {
          const { logits, hidden } = run(position, count, choices);
          expectRows(logits, twin.logits.slice(position, position + count), tolerance);
          expectRows(hidden, twin.hidden.slice(position, position + count), tolerance);
          position += count;
        }
      }
    });

    test("keys and values lie where the twin has them, and no draft changes those before it", () => {
      run(0, TEXT);
      const { keys, values } = subject.twin(ids);
      const layer = spec.layers - 1;
      const byHead = (rows: (number[] | undefined)[]) =>
        Array.from({ length: spec.kvHeads }, (_, head) =>
          rows.slice(3, 12).map((row) => (row as number[]).slice(head * spec.headDim, (head + 1) * spec.headDim)),
        ).flat();
      const read = () => [subject.engine.readCache(layer, "key", 3, 9), subject.engine.readCache(layer, "value", 3, 9)];
      const before = read();
      expectRows(before[0], byHead(keys[layer]), tolerance);
      expectRows(before[1], byHead(values[layer]), tolerance);
      for (const choice of ["int8", "int4", "skip"] as const) run(12, 5, uniformChoices(spec.layers, choice));
      expect(read()).toEqual(before);
      expectRows(run(12, 5).logits, subject.twin(ids).logits.slice(12, 17), tolerance); // rolled back
    });

    test("a quantised head or block is near the target, int4 less near than int8", () => {
      const exact = run(0, TEXT).logits.slice();
      const error = (choice: "int8" | "int4") =>
        relativeError(run(0, TEXT, uniformChoices(spec.layers, choice)).logits, exact);
      const [eight, four] = [error("int8"), error("int4")];
      expect(eight).toBeGreaterThan(0);
      expect(eight).toBeLessThan(0.1);
      expect(four).toBeGreaterThan(2 * eight);
    });

    test("hidden states in place of the embedding", () => {
      const { states, logits } = subject.twin(ids);
      run(0, TEXT);
      const hidden = Float32Array.from(states[0].slice(17, 21).flat());
      const given = subject.engine.run({ position: 17, input: { hidden }, choices: subject.target, logitRows: 4 });
      expectRows(given.logits, logits.slice(17, 21), tolerance);
    });
  });
});

describe("the embedded model in fp16", () => {
  const PROMPT = [0, 2819, 506, 268];
  const TOKENS = 64;
  const margin = TIE_MARGINS.fp16;
  let half: Engine;
  let full: Engine;
  beforeAll(async () => {
    const open = async (dialect: GraphDialect) =>
      (await loadModel("embedded", { provider: "cpu", threads: 1, capacity: 256, kernels: KERNEL_NAMES, dialect }))
        .engine;
    half = await open(CUDA_DIALECT);
    full = await open(CPU_DIALECT);
  });
  afterAll(() => {
    half?.close();
    full?.close();
  });

  /** Logits of single passes over given ids, after the prompt. */
  const rows = (engine: Engine, ids: readonly number[]): Float32Array[] =>
    [...PROMPT, ...ids].map((id, position) =>
      engine.run({ position, input: [id], choices: targetChoices(engine.spec.layers), logitRows: 1 }).logits.slice(),
    );

  const plain = (engine: Engine) =>
    decode(engine, PROMPT, { maxTokens: TOKENS, endTokens: [], policy: null, clock: systemClock });

  test("says what it computes with", () => {
    expect(half.numerics).toMatchObject({ float: "fp16", activations: "float" });
    expect(full.numerics).toMatchObject({ float: "fp32", activations: "int8" });
  });

  test("chooses the tokens that fp32 chooses, as far as those are no near ties", async () => {
    const { ids } = await plain(full);
    const [exact, rounded] = [rows(full, ids), rows(half, ids)];
    exact.forEach((row, i) => {
      const best = argmax(row, 0, row.length);
      expect(row[best] - row[argmax(rounded[i], 0, row.length)], `token ${i}`).toBeLessThan(margin);
      expect(greatestDifference(rounded[i], row), `token ${i}`).toBeLessThan(margin);
    });
  });

  test("a plan's tokens are plain decoding's up to ties", async () => {
    const { ids } = await plain(half);
    for (const kernel of ["target", "int4"] as const) {
      const draft = { choices: uniformChoices(half.spec.layers, kernel), draftTokens: 5 };
      const drafted = await decode(half, PROMPT, {
        ...{ maxTokens: TOKENS, endTokens: [], clock: systemClock },
        policy: () => draft,
      });
      const judged = rows(half, drafted.ids).slice(PROMPT.length - 1, -1);
      judged.forEach((row, i) => {
        expect(row[argmax(row, 0, row.length)] - row[drafted.ids[i]], `${kernel}, token ${i}`).toBeLessThan(margin);
      });
      if (kernel === "target") expect(drafted.ids.slice(0, 16)).toEqual(ids.slice(0, 16));
    }
  });
});
