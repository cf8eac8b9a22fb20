/** What is captured, what a capture is held against, and what becomes of one that fails; then passes over a device's memory. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { convertModel } from "../../src/model/convert.js";
import { CPU_DIALECT } from "../../src/model/graph/dialect.js";
import type { ProgramForm } from "../../src/model/graph/program.js";
import { openCheckpoint } from "../../src/model/open.js";
import { argmax, type Engine } from "../../src/runtime/engine.js";
import { loadOrt, type OrtApi, type Pointer } from "../../src/runtime/ort-api.js";
import { bucketEnd, CaptureRunner } from "../../src/runtime/programs/capture.js";
import { openProgramEngine } from "../../src/runtime/programs/open.js";
import type { BoundPass } from "../../src/runtime/programs/pass-runner.js";
import type { ProgramSession } from "../../src/runtime/programs/program-session.js";
import { chooseProvider, libraryFacts } from "../../src/runtime/providers.js";
import { type ChoiceSet, KERNEL_NAMES, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { type TinyModel, temporaryFolder, tinySpec, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { DeviceTwin } from "./device-twin.js";
import { greatestDifference, openTiny, randomChoices, tokens } from "./support.js";

/** A library that remembers the settings of runs. */
function fakeApi(): { api: OrtApi; settings: Map<Pointer, Map<string, string>>; released: number } {
  const settings = new Map<Pointer, Map<string, string>>();
  const fake = { settings, released: 0 };
  const api = {
    create: () => {
      const handle = BigInt(settings.size + 1);
      settings.set(handle, new Map());
      return handle;
    },
    check: (_name: string, handle: Pointer, key: string, value: string) => settings.get(handle)?.set(key, value),
    release: () => {
      fake.released += 1;
    },
  };
  return Object.assign(fake, { api: api as unknown as OrtApi });
}

/**
 * A program on a GPU that captures: its pass gives position · 10, and a replay gives what `freezes` leaves of it.
 * @param freezes the position at which it was captured -> what the replay sees at another
 */
function fakeProgram(settings: Map<Pointer, Map<string, string>>, freezes: (captured: number, now: number) => number) {
  const captured = new Map<string, number>();
  const runs: string[] = [];
  const state = { position: 0, gave: 0 };
  const program = {
    captures: true,
    run(options: Pointer) {
      const id = settings.get(options)?.get("gpu_graph_id") as string;
      expect(settings.get(options)?.get("disable_synchronize_execution_providers")).toBe("1");
      runs.push(id);
      if (id !== "-1" && !captured.has(id)) captured.set(id, state.position);
      const seen = id === "-1" ? state.position : freezes(captured.get(id) as number, state.position);
      state.gave = 10 * seen;
    },
  };
  return { program: program as unknown as ProgramSession, runs, state };
}

const CHAIN: ProgramForm = { choices: targetChoices(1), entry: "ids", rows: "every", head: "ids", tree: false };
const OWNER = {};

interface Asked {
  q: number;
  rows: number;
  form: ProgramForm;
  over: object;
  on: ProgramSession;
}

function setUp(freezes: (captured: number, now: number) => number) {
  const { api, settings } = fakeApi();
  const warnings: string[] = [];
  const grown: ProgramSession[] = [];
  const grow = (program: ProgramSession, work: () => void) => {
    grown.push(program);
    work();
  };
  const runner = new CaptureRunner(api, { grow, refused: (message) => warnings.push(message) });
  const { program, runs, state } = fakeProgram(settings, freezes);
  /** @returns the numbers of the runs that one pass took, and what it gave */
  const pass = (position: number, other: Partial<Asked> = {}) => {
    const { q = 1, rows = q, form = CHAIN, over = OWNER, on = program } = other;
    runs.length = 0;
    state.position = position;
    const shape = { position, q, rows };
    const total = runner.frozenTotal(form, shape, 4096) ?? position + q;
    const bound: BoundPass = { form, shape, total, over, outputs: () => [Uint8Array.of(1), Uint8Array.of(state.gave)] };
    runner.run(on, bound);
    return { runs: [...runs], gave: state.gave };
  };
  return { pass, warnings, grown, runner };
}

describe("a pass", () => {
  test("is held against the eager one twice, and again at the first other place; then it is replayed alone", () => {
    const { pass, warnings } = setUp((_captured, now) => now);
    expect(pass(5).runs).toEqual(["-1", "1"]);
    expect(pass(5).runs).toEqual(["-1", "1"]);
    expect(pass(5).runs).toEqual(["1"]);
    expect(pass(6)).toEqual({ runs: ["-1", "1"], gave: 60 });
    expect(pass(7)).toEqual({ runs: ["1"], gave: 70 });
    expect(pass(5).runs).toEqual(["1"]);
    expect(warnings).toEqual([]);
  });

  test("whose capture froze its place is refused at the first other one, gives the eager pass's, and is named", () => {
    const { pass, warnings } = setUp((captured) => captured);
    expect([pass(5), pass(5), pass(5)].map(({ runs }) => runs.length)).toEqual([2, 2, 1]);
    expect(pass(6)).toEqual({ runs: ["-1", "1", "-1"], gave: 60 });
    expect(pass(7)).toEqual({ runs: ["-1"], gave: 70 });
    expect(pass(5)).toEqual({ runs: ["-1"], gave: 50 });
    expect(warnings).toEqual([
      "a pass of target 2, head target, 1 tokens, contexts to 256 cannot be captured and runs eagerly: what it gives differs from the eager pass (its logits or tokens)",
    ]);
  });

  test("that the library does not capture gives the eager pass's, with the library's reason once", () => {
    const { pass, warnings } = setUp(() => {
      throw new Error("operation not permitted when stream is capturing");
    });
    expect(pass(5)).toEqual({ runs: ["-1", "1", "-1"], gave: 50 });
    expect(pass(6)).toEqual({ runs: ["-1"], gave: 60 });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/runs eagerly: operation not permitted/);
  });

  test.each([
    ["of another number of tokens", { q: 2 }],
    ["over other buffers", { over: {} }],
    ["in another bucket of contexts", {}],
  ])("%s is a capture of its own", (what, other) => {
    const { pass } = setUp((_captured, now) => now);
    for (const position of [5, 5, 6]) pass(position);
    expect(pass(7).runs).toEqual(["1"]);
    expect(pass(what === "in another bucket of contexts" ? 300 : 7, other).runs).toEqual(["-1", "2"]);
    expect(pass(7).runs).toEqual(["1"]);
  });

  test.each([
    ["a prompt", { q: 65, rows: 0 }],
    ["rows cut out at a place that the host says", { q: 8, rows: 2, form: { ...CHAIN, rows: "some" as const } }],
  ])("%s runs eagerly, and counts", (_what, other) => {
    const { pass, warnings, grown } = setUp((_captured, now) => now);
    expect([pass(5, other).runs, pass(6, other).runs]).toEqual([["-1"], ["-1"]]);
    expect(grown).toHaveLength(2);
    expect(warnings).toEqual([]);
  });

  test("of a session that captures nothing runs eagerly", () => {
    const { pass } = setUp((_captured, now) => now);
    const runs: number[] = [];
    const on = { captures: false, run: () => runs.push(1) } as unknown as ProgramSession;
    expect([pass(5, { on }), pass(6, { on })].map((one) => one.runs)).toEqual([[], []]);
    expect(runs).toEqual([1, 1]);
  });

  test("of several tokens over a past is Flash attention's, unless it is a tree's", () => {
    const { runner } = setUp((_captured, now) => now);
    const of = (q: number, tree: boolean) => runner.variant({ ...CHAIN, tree }, { position: 9, q, rows: q }).options;
    expect([of(1, false), of(4, false), of(4, true)]).toEqual([{}, { sdpa_kernel: "1" }, {}]);
  });
});

test.each([
  [1, 8192, 256],
  [256, 8192, 256],
  [257, 8192, 512],
  [4097, 8192, 8192],
  [4097, 5000, 5000],
  [10, 64, 64],
])("%i tokens of a cache of %i lie in a bucket that ends at %i", (count, capacity, end) => {
  expect(bucketEnd(count, capacity)).toBe(end);
});

describe("over a device's memory", () => {
  const model: TinyModel = { seed: 41, headDim: 16, context: 640 };
  const spec = tinySpec(model);
  const target = targetChoices(spec.layers);
  const CAPACITY = 300;
  const memory = new DeviceTwin();
  let device: Required<Engine>;
  let plain: Required<Engine>;
  const warnings: string[] = [];

  beforeAll(async () => {
    const checkpoint = await openCheckpoint(writeTinyCheckpoint(temporaryFolder(), model));
    const { modelPath } = await convertModel(checkpoint, silentProgress, KERNEL_NAMES, CPU_DIALECT);
    checkpoint.close();
    const api = loadOrt();
    const provider = chooseProvider("cpu", libraryFacts(api));
    const options = {
      ...{ provider: "cpu", threads: 1, capacity: CAPACITY, kernels: KERNEL_NAMES },
      warn: (_code: string, message: string) => void warnings.push(message),
    };
    device = openProgramEngine(api, provider, modelPath, spec, CPU_DIALECT, options, memory) as Required<Engine>;
    plain = (await openTiny(model, CAPACITY, { ...CPU_DIALECT, activations: "float" })) as Required<Engine>;
  });
  afterAll(() => {
    plain.close();
    device.close();
    expect(memory.blocks.size).toBe(0);
  });

  /** The same on both. */
  function expectSame(work: (engine: Required<Engine>) => ArrayLike<number>[]): void {
    const [expected, actual] = [plain, device].map((engine) => work(engine).map((part) => Float64Array.from(part)));
    expected.forEach((part, i) => {
      expect(actual[i].length).toBe(part.length);
      expect(greatestDifference(actual[i], part)).toBeLessThan(1e-4);
    });
  }

  test("prompts, steps, hidden states, trees, paths that are kept and own caches are those of the graph with choices", () => {
    const text = tokens(3, 280);
    for (const seed of [1, 2]) {
      const draft = randomChoices(seed, spec.layers, ["target", "int8", "skip"]);
      expectSame((engine) => {
        engine.run({ position: 0, input: text.slice(0, 250), choices: target, logitRows: 0 });
        const found: ArrayLike<number>[] = [];
        for (let position = 250; position < 258; position++) {
          const { logits, hidden } = engine.run({ position, input: [text[position]], choices: draft, logitRows: 1 });
          found.push(logits.slice(), hidden.slice());
        }
        const given = { hidden: Float32Array.from(found[1]) };
        found.push(engine.run({ position: 20, input: given, choices: target, logitRows: 1 }).logits.slice());
        const parents = [-1, 0, 0, 2, 2, 4];
        const input = text.slice(258, 264);
        const tree = engine.run({ position: 255, input, parents, choices: target, logitRows: 6 });
        found.push(tree.logits.slice(), tree.hidden.slice());
        engine.keepRows(255, [0, 2, 4, 5]);
        found.push(engine.run({ position: 259, input: [7], choices: target, logitRows: 1 }).logits.slice());
        const other = engine.withOwnCache();
        found.push(other.run({ position: 0, input: text.slice(0, 30), choices: target, logitRows: 3 }).logits.slice());
        other.close();
        return [...found, engine.readCache(1, "key", 240, 20)];
      });
    }
    expect(warnings).toEqual([]);
  });

  test("drafts that read spans, and rounds of them behind each other, are those of the graph with choices", () => {
    const text = tokens(5, 200);
    const draft: ChoiceSet = { blocks: ["int8@16", "target", "target@40", "int4"], head: "target" };
    expectSame((engine) => {
      engine.run({ position: 0, input: text, choices: target, logitRows: 0 });
      const found: ArrayLike<number>[] = [];
      for (const position of [200, 203, 203, 190]) {
        const drafted: number[] = [];
        for (let i = 0; i < 4; i++) {
          const input = [drafted[i - 1] ?? 3];
          const at = { position: position + i, round: position };
          const { logits } = engine.run({ ...at, input, choices: draft, logitRows: 1 });
          found.push(logits.slice());
          drafted.push(argmax(logits, 0, spec.vocabSize));
        }
        const verified = engine.run({ position, input: [3, ...drafted], choices: target, logitRows: 5 });
        found.push(verified.logits.slice(), drafted);
      }
      return found;
    });
    // the same rounds whole: the device's own, and one by one above
    for (const engine of [plain, device]) engine.run({ position: 0, input: text, choices: target, logitRows: 0 });
    for (const position of [200, 202, 202, 190]) {
      const drafted: number[] = [];
      for (let i = 0; i < 4; i++) {
        const at = { position: position + i, round: position, choices: draft, logitRows: 1 };
        drafted.push(argmax(plain.run({ ...at, input: [drafted[i - 1] ?? 9] }).logits, 0, spec.vocabSize));
      }
      plain.run({ position, input: [9, ...drafted], choices: target, logitRows: 0 });
      const round = device.greedyRound({ position, pending: 9, draft, draftTokens: 4, verifier: target });
      expect(round.drafted).toEqual(drafted);
    }
    expect(warnings).toEqual([]);
  });

  test("a round waits for its end alone, once its passes are trusted, and gives the steps' and the verification's tokens", () => {
    const draft = uniformChoices(spec.layers, "int4");
    const text = tokens(9, 40);
    for (const engine of [plain, device]) engine.run({ position: 0, input: text, choices: target, logitRows: 0 });
    const argmaxOf = (logits: Float32Array, row: number) => {
      const scores = [...logits.subarray(row * spec.vocabSize, (row + 1) * spec.vocabSize)];
      return scores.indexOf(Math.max(...scores));
    };
    for (let again = 0; again < 4; again++) {
      const pending = 3 + again;
      const drafted: number[] = [];
      for (let i = 0; i < 3; i++) {
        const input = [drafted[i - 1] ?? pending];
        drafted.push(argmaxOf(plain.run({ position: 40 + i, input, choices: draft, logitRows: 1 }).logits, 0));
      }
      const input = [pending, ...drafted];
      const verified = plain.run({ position: 40, input, choices: target, logitRows: 4 });
      const likeliest = input.map((_, row) => argmaxOf(verified.logits, row));
      const before = memory.waits;
      const round = device.greedyRound({ position: 40, pending, draft, draftTokens: 3, verifier: target });
      expect({ drafted: round.drafted, likeliest: round.likeliest }).toEqual({ drafted, likeliest });
      expect(round.draftShare).toBe(0.5);
      if (again === 3) expect(memory.waits - before).toBe(1);
      expect(greatestDifference(round.hidden, verified.hidden)).toBeLessThan(1e-4);
    }
    expect(warnings).toEqual([]);
  });
});
