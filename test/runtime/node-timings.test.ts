/** What ONNX Runtime's profiler tells about a pass: which nodes ran, and what the parts of a pass took. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { Engine } from "../../src/runtime/engine.js";
import { loadModel } from "../../src/runtime/load.js";
import { type PartTimings, type PassTimings, readNodeTimings } from "../../src/runtime/node-timings.js";
import { openOrtEngine } from "../../src/runtime/ort-engine.js";
import { blockName, type Choice, type ChoiceSet, type Kernel, targetChoices } from "../../src/schema/choice.js";
import { expectFailure } from "../support/failure.js";
import { uniform } from "../support/numbers.js";
import { type TinyModel, temporaryFolder, tinySpec, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { randomChoices, tokens } from "./support.js";

const MODEL: TinyModel = { seed: 30, headDim: 16 };
const LAYERS = tinySpec(MODEL).layers;
const KERNELS: Kernel[] = ["target", "int8", "int4"];
const CPU = { provider: "cpu", threads: 1, capacity: 64, kernels: KERNELS };

describe("a recorded engine", () => {
  let checkpoint: string;
  const open = async (folder?: string): Promise<Engine> =>
    (await loadModel(checkpoint, folder === undefined ? CPU : { ...CPU, nodeTimings: { folder } })).engine;
  beforeAll(() => {
    checkpoint = writeTinyCheckpoint(temporaryFolder(), MODEL);
  });

  /** 30 passes that differ in everything a pass can differ in */
  const asked = Array.from({ length: 30 }, (_, seed): { choices: ChoiceSet; q: number; rows: number } => {
    const random = uniform(seed + 1);
    const q = 1 + Math.floor(4 * random());
    const { blocks } = randomChoices(seed + 1, LAYERS, [...KERNELS, "skip"]);
    return { choices: { blocks, head: KERNELS[seed % 3] }, q, rows: seed % 2 === 0 ? q : 0 };
  });
  const runAll = (engine: Engine) =>
    asked.map(({ choices, q, rows }, i) =>
      engine.run({ position: 0, input: tokens(i + 1, q), choices, logitRows: rows }).logits.slice(),
    );

  test("tells of every pass which kernel each block and the head ran, and computes the same", async () => {
    const folder = temporaryFolder();
    const [engine, usual] = [await open(folder), await open()];
    expect(runAll(engine)).toEqual(runAll(usual));
    const passes = timingsOf(engine);
    expect(
      passes.map(({ parts }) => Object.fromEntries([...parts].map(([name, { choice }]) => [name, choice]))),
    ).toEqual(
      asked.map(({ choices }) => ({
        ...Object.fromEntries(choices.blocks.map((choice, i) => [blockName(i), choice])),
        head: choices.head,
      })),
    );
    for (const { parts } of passes) for (const [name, part] of parts) expectOperators(name, part);
    engine.close();
    usual.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  const timingsOf = (engine: Engine): PassTimings[] => {
    if (engine.endNodeTimings === undefined) throw new Error("a fake engine?");
    return engine.endNodeTimings();
  };

  /** What the choice says must have run, and nothing of another choice. */
  function expectOperators(name: string, { choice, nodes }: PartTimings): void {
    const ran = nodes.map(({ operator }) => operator);
    const [attn, head] = [name.endsWith(".attn"), name === "head"];
    if (choice === "skip") {
      expect(ran).toEqual(new Array(attn ? 3 : 1).fill("Identity"));
      return;
    }
    const [product, other] = choice === "target" ? ["FusedMatMul", "MatMulNBits"] : ["MatMulNBits", "FusedMatMul"];
    expect(ran.filter((operator) => operator === product)).toHaveLength(head ? 1 : 2);
    expect(ran).not.toContain(other);
    expect(ran.includes("GroupQueryAttention")).toBe(attn);
  }

  test("its times nest: nodes within their Ifs, these within the pass", async () => {
    const engine = await open(temporaryFolder());
    runAll(engine);
    for (const { wholeUs, parts, others } of timingsOf(engine)) {
      for (const part of parts.values()) expect(part.wholeUs).toBeGreaterThanOrEqual(sum(part.nodes));
      const all = [...parts.values()].reduce((us, part) => us + part.wholeUs, 0);
      expect(wholeUs).toBeGreaterThanOrEqual(all + sum(others));
      expect(others.map(({ operator }) => operator)).toEqual(["Gather", "Slice", "SimplifiedLayerNormalization"]);
    }
    engine.close();
  });

  test("runs on after the recording ended, which happens once", async () => {
    const engine = await open(temporaryFolder());
    const pass = { position: 0, input: [1], choices: targetChoices(LAYERS), logitRows: 1 };
    engine.run(pass);
    expect(timingsOf(engine)).toHaveLength(1);
    engine.run(pass);
    expect(() => timingsOf(engine)).toThrow(/ended before/);
    engine.close();
    expect(() => timingsOf(engine)).toThrow(/closed/);
  });

  test("leaves no file where it is closed without being asked, or does not open", async () => {
    const folder = temporaryFolder();
    const engine = await open(folder);
    runAll(engine);
    expect(readdirSync(folder)).toHaveLength(1);
    engine.close();
    const missing = join(temporaryFolder(), "model.onnx");
    const openMissing = () => openOrtEngine(missing, tinySpec(MODEL), { ...CPU, nodeTimings: { folder } });
    await expectFailure(openMissing, "RUNTIME_FAILED", /CreateSession/);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("an engine that does not record has none to give, and a folder that is not there is named", async () => {
    const engine = await open();
    expect(() => timingsOf(engine)).toThrow(/without nodeTimings/);
    engine.close();
    await expectFailure(() => open(join(temporaryFolder(), "nowhere")), "FILE_UNWRITABLE", /nowhere/);
  });
});

const sum = (nodes: readonly { us: number }[]): number => nodes.reduce((total, { us }) => total + us, 0);

/** A trace by hand: two passes of one layer, every duration another power of two. */
const node = (name: string, dur: number, inputs = 1, outputs = 1) => {
  const shapes = (count: number) => new Array(count).fill({ float: [1, 1, 32] });
  const args = {
    op_name: name.slice(name.indexOf(":") + 1),
    input_type_shape: shapes(inputs),
    output_type_shape: shapes(outputs),
  };
  return { cat: "Node", pid: 1, tid: 1, dur, ts: 0, ph: "X", name: `${name}_kernel_time`, args };
};
const session = (name: string, dur: number) => ({
  cat: "Session",
  pid: 1,
  tid: 1,
  dur,
  ts: 0,
  ph: "X",
  name,
  args: {},
});
const PASS = [
  node("embedding/out:Gather", 1, 2),
  node("main/embedded:If", 3),
  node("0.attn/int8/qkv:MatMulNBits", 4, 2),
  node("0.attn/int8/attended:GroupQueryAttention", 8, 7, 3),
  session("SequentialExecutor::Execute", 13),
  node("0.attn/target?/chosen0:If", 14),
  node("main/0.attn.out:If", 20),
  node("0.mlp/skip/out:Identity", 16),
  node("hidden_out:If", 18),
  node("main/last:Slice", 32, 4),
  node("head/target/logits:FusedMatMul", 64),
  node("head/target?/chosen0:If", 70),
  session("model_run", 200),
];
const HEAD_ALONE = [node("head/target/logits:FusedMatMul", 128), session("model_run", 130)];
const text = (events: readonly object[]): string =>
  `[\n${events.map((event) => JSON.stringify(event)).join(",\n")}\n]\n`;
const read = (trace: string, passes: number) => readNodeTimings(new TextEncoder().encode(trace), passes);
const whole = text([
  session("model_loading_uri", 5000),
  session("session_initialization", 9000),
  ...PASS,
  ...HEAD_ALONE,
]);

describe("a trace", () => {
  test("comes apart into passes, parts and nodes whose sums are known", () => {
    const timing = (operator: string, us: number, tensors: number) => ({ operator, us, tensors });
    const part = (choice: Choice, wholeUs: number, ...nodes: PartTimings["nodes"]): PartTimings => ({
      choice,
      nodes,
      wholeUs,
    });
    expect(read(whole, 2)).toEqual([
      {
        wholeUs: 200,
        others: [timing("Gather", 1, 3), timing("Slice", 32, 5)],
        parts: new Map([
          ["0.attn", part("int8", 20, timing("MatMulNBits", 4, 3), timing("GroupQueryAttention", 8, 10))],
          ["0.mlp", part("skip", 18, timing("Identity", 16, 2))],
          ["head", part("target", 70, timing("FusedMatMul", 64, 2))],
        ]),
      },
      { wholeUs: 130, others: [], parts: new Map([["head", part("target", 128, timing("FusedMatMul", 128, 2))]]) },
    ]);
  });

  test("torn at any byte is refused", async () => {
    for (let bytes = 0; bytes < whole.trimEnd().length; bytes++) {
      await expectFailure(() => read(whole.slice(0, bytes), 2), "TRACE_INVALID", "");
    }
    expect(read(whole.trimEnd(), 2)).toHaveLength(2);
  });

  test.each([
    ["of fewer passes", text([...PASS]), /1 whole passes of the 2/],
    ["of more passes", text([...PASS, ...HEAD_ALONE, ...PASS]), /3 whole passes of the 2/],
    [
      "with half a pass at its end",
      text([...PASS, ...HEAD_ALONE, node("main/last:Slice", 1)]),
      /2 whole passes of the 2/,
    ],
    ["that is no array", `{"traceEvents": [\n${JSON.stringify(PASS[0])}\n]}\n`, /line 1/],
    ["with a word between the events", whole.replace(",\n", ",\nwhat\n"), /line 3 is no event: what/],
    ["with an event that is null", whole.replace(",\n", ",\nnull,\n"), /line 3 is an event without a name/],
    ["with an event that took no time at all", whole.replace('"dur":4,', ""), /line 6 is an event without/],
    ["with something after its end", `${whole}[\n`, /line 20/],
    ["of a kernel that is none", whole.replaceAll("0.attn/int8", "0.attn/int3"), /int3/],
    ["of a block that ran twice", whole.replace("0.attn/int8", "0.attn/target"), /0.attn ran as target and as int8/],
  ])("%s is refused", async (_what, trace, message) => {
    await expectFailure(() => read(trace, 2), "TRACE_INVALID", message);
  });
});
