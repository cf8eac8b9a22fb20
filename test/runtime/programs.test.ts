/** Programs: straight lines over one store of weights, against the float64 twin and the graph with choices. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CPU_DIALECT } from "../../src/model/graph/dialect.js";
import type { ProgramForm } from "../../src/model/graph/program.js";
import { profileModel } from "../../src/profile/profile.js";
import type { Engine } from "../../src/runtime/engine.js";
import { type GraphKind, graphKindOf } from "../../src/runtime/programs/graph-kind.js";
import { Programs } from "../../src/runtime/programs/programs.js";
import { targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { expectFailure } from "../support/failure.js";
import { type TinyModel, tinySpec } from "../support/tiny-checkpoint.js";
import { describePrograms } from "./program-cases.js";
import { QUICK_PROGRAMS } from "./program-models.js";
import { greatestDifference, MODELS, openTiny, randomChoices, tokens } from "./support.js";

for (const [name, model] of MODELS) if (QUICK_PROGRAMS.includes(name)) describePrograms(name, model);

test("the quick suite names models that there are", () => {
  const names = MODELS.map(([name]) => name);
  expect(QUICK_PROGRAMS.filter((name) => !names.includes(name))).toEqual([]);
});

describe.each([
  ["llama", { seed: 1, headDim: 16 }],
  ["mistral, window shorter than the text", { seed: 7, headDim: 16, architecture: "mistral", slidingWindow: 6 }],
] as [string, TinyModel][])("trees of %s", (_name, model) => {
  const PARENTS = [-1, 0, 0, 1, 2, 2, 4, 3];
  const PATH = [0, 2, 4, 6];
  const spec = tinySpec(model);
  const target = targetChoices(spec.layers);
  let engines: Engine[];
  beforeAll(async () => {
    engines = [
      await openTiny(model, 64),
      await openTiny(model, 64, CPU_DIALECT, false, "programs"),
      await openTiny(model, 64, CPU_DIALECT, true, "programs"),
    ];
  });
  afterAll(() => {
    for (const engine of engines) engine.close();
  });

  test.each([0, 1, 20])("over %i tokens: logits, states, and the cache of a path that is kept", (context) => {
    const text = tokens(4, context);
    const input = tokens(5, PARENTS.length);
    const given = engines.map((engine) => {
      if (context > 0) engine.run({ position: 0, input: text, choices: target, logitRows: 0 });
      const { logits, hidden } = engine.run({
        position: context,
        input,
        parents: PARENTS,
        choices: target,
        logitRows: 8,
      });
      const tree = [logits.slice(), hidden.slice()];
      engine.keepRows?.(context, PATH);
      const cache = engine.readCache(1, "key", 0, context + PATH.length);
      const next = engine.run({ position: context + PATH.length, input: [3], choices: target, logitRows: 1 });
      return [...tree, cache, next.logits.slice()];
    });
    for (const other of given.slice(1))
      other.forEach((part, i) => expect(greatestDifference(part, given[0][i])).toBeLessThan(1e-5));
  });
});

describe.each([
  ["llama, every bias", { seed: 4, headDim: 16, attentionBias: true, mlpBias: true, tied: false }],
  ["qwen3", { seed: 9, architecture: "qwen3", headDim: 16 }],
] as [string, TinyModel][])("programs of %s whose weights are packed", (_name, model) => {
  const spec = tinySpec(model);
  let engines: Required<Engine>[];
  beforeAll(async () => {
    const open = (graph: GraphKind) => openTiny(model, 64, CPU_DIALECT, false, graph) as Promise<Required<Engine>>;
    engines = [await open("choices"), await open("packed-programs")];
  });
  afterAll(() => {
    for (const engine of engines) engine.close();
  });

  test("compute what the graph with choices computes, bit for bit, quantised products too", () => {
    const text = tokens(8, 20);
    for (const seed of [1, 2, 3, 4]) {
      const blocks = randomChoices(seed, spec.layers, ["target", "int8", "int4", "skip"]);
      const choices = { ...blocks, head: (["target", "int8", "int4"] as const)[seed % 3] };
      const given = engines.map((engine) => {
        const prompt = engine.run({ position: 0, input: text, choices, logitRows: 20 });
        const first = [...prompt.logits, ...prompt.hidden];
        const step = engine.run({ position: 20, input: [seed], choices, logitRows: 1 });
        return [...first, ...step.logits];
      });
      expect(given[1]).toEqual(given[0]);
      expect(engines[1].numerics).toEqual(engines[0].numerics);
    }
  });
});

describe("an engine of programs", () => {
  const model: TinyModel = { seed: 31, headDim: 16 };
  const target = targetChoices(2);
  const ids = tokens(6, 12);

  test("a second cache leaves the first as it is, and may be closed before it", async () => {
    const engine = (await openTiny(model, 32, CPU_DIALECT, false, "programs")) as Required<Engine>;
    engine.run({ position: 0, input: ids, choices: target, logitRows: 0 });
    const kept = engine.readCache(1, "value", 0, 12);
    const step = { position: 12, input: [5], choices: target, logitRows: 1 };
    const expected = engine.run(step).logits.slice();
    for (const seed of [1, 2]) {
      const other = engine.withOwnCache();
      other.run({
        position: 0,
        input: tokens(50 + seed, 20),
        choices: randomChoices(seed, 2, ["int8", "skip"]),
        logitRows: 1,
      });
      expect([...other.readCache(1, "value", 0, 12)]).not.toEqual([...kept]);
      other.run({ position: 0, input: ids, choices: target, logitRows: 0 });
      expect([...other.run(step).logits]).toEqual([...expected]);
      other.close();
      expect(() => other.run(step)).toThrow("closed");
      expect([...engine.readCache(1, "value", 0, 12)]).toEqual([...kept]);
      expect([...engine.run(step).logits]).toEqual([...expected]);
    }
    const left = engine.withOwnCache();
    engine.close();
    engine.close();
    expect(() => left.run(step)).toThrow("closed");
  });

  test("with room for one program, rounds of a draft and a verification still give the same tokens", async () => {
    const roomy = (await openTiny(model, 64, CPU_DIALECT, false, "programs")) as Required<Engine>;
    const tight = (await openTiny(model, 64, CPU_DIALECT, false, "programs", 1)) as Required<Engine>;
    const draft = uniformChoices(2, "int4");
    const rounds = [roomy, tight].map((engine) => {
      engine.run({ position: 0, input: ids.slice(0, 11), choices: target, logitRows: 0 });
      return [0, 3, 5].map((draftTokens) => {
        const round = engine.greedyRound({ position: 11, pending: ids[11], draft, draftTokens, verifier: target });
        return [round.drafted, round.likeliest, [...round.hidden]];
      });
    });
    expect(rounds[1]).toEqual(rounds[0]);
    roomy.close();
    tight.close();
  });

  test("passes that are queued to be timed leave the cache as one of them does, and are refused as others are", async () => {
    const engine = (await openTiny(model, 32, CPU_DIALECT, false, "programs")) as Required<Engine>;
    const prompt = () => engine.run({ position: 0, input: ids, choices: target, logitRows: 0 });
    const written = () => [...engine.readCache(0, "key", 0, 15), ...engine.readCache(1, "value", 0, 15)];
    for (const [choices, input] of [
      [target, [5, 6, 7]],
      [uniformChoices(2, "int4"), [5]],
    ] as const) {
      const pass = { position: 12, input: [...input], choices };
      prompt();
      const { likeliest } = engine.likeliest(pass);
      const expected = written();
      for (const head of [true, false]) {
        prompt();
        engine.runQueued({ ...pass, head }, 4);
        expect(written()).toEqual(expected);
        expect(engine.likeliest(pass).likeliest).toEqual(likeliest);
      }
    }
    const far = { position: 30, input: [1, 2, 3], choices: target, head: true };
    await expectFailure(() => engine.runQueued(far, 1), "CONTEXT_LIMIT", /33 tokens/);
    engine.close();
  });

  test("a profile of it is of programs: no layer by itself, and drafts that were kept out of the fit", async () => {
    const engine = (await openTiny(model, 96, CPU_DIALECT, false, "programs")) as Required<Engine>;
    const grid = { contexts: [16, 64], queries: [1, 3], queryLine: [1, 2, 3] };
    // every pass takes as long as every other: of a busy machine's visits the slow ones are left out, and with them drafts
    let now = 0;
    const clock = { nowUs: () => (now += 100) };
    const { errors, layer_error, points } = await profileModel({
      ...{ engine, clock, ...grid, minRounds: 2, maxRounds: 2, draws: 2 },
    });
    expect(errors?.held_out?.drafts).toBe(6 * grid.contexts.length * 2);
    expect(layer_error).toBeUndefined();
    expect(points.map(({ attn_us }) => Object.keys(attn_us).length)).toEqual([
      engine.kernels.length,
      1,
      engine.kernels.length,
      1,
    ]);
    engine.close();
  });

  test("what it does not take is refused as the graph with choices refuses it", async () => {
    const engine = (await openTiny(model, 16, CPU_DIALECT, false, "programs")) as Required<Engine>;
    const round = { position: 12, pending: 1, draft: target, draftTokens: 4, verifier: target };
    await expectFailure(() => engine.greedyRound(round), "CONTEXT_LIMIT", /17 tokens/);
    expect(() => engine.greedyRound({ ...round, position: 0, draftTokens: 64 })).toThrow(RangeError);
    expect(() => engine.greedyRound({ ...round, position: 0, pending: 64 })).toThrow(RangeError);
    expect(() => engine.run({ position: 0, input: [-1], choices: target, logitRows: 1 })).toThrow(RangeError);
    await expectFailure(
      () => engine.run({ position: 16, input: [1], choices: target, logitRows: 1 }),
      "CONTEXT_LIMIT",
      "",
    );
    engine.close();
  });
});

describe("programs that are ready", () => {
  const form = (skipped: number): ProgramForm => ({
    choices: { blocks: Array.from({ length: 8 }, (_, i) => (i === skipped ? "skip" : "target")), head: "target" },
    ...{ entry: "ids", rows: "every", head: "ids", tree: false },
  });
  const setUp = (limit: number, growth: (n: number) => number) => {
    let used = 1000;
    let made = 0;
    const closed: number[] = [];
    const make = () => {
      const number = made++;
      used += growth(number);
      return { number, leastBytes: 1, close: () => closed.push(number) };
    };
    const programs = new Programs(make, { usedBytes: () => used, wait: () => {} }, limit);
    return {
      programs,
      closed,
      grow: (bytes: number) => () => {
        used += bytes;
      },
      get: (i: number) => programs.get(form(i)),
    };
  };

  test("the one longest unused goes when they take too much, and is made again when it is asked for", () => {
    const { programs, closed, get } = setUp(30, () => 10);
    for (const i of [0, 1, 2, 0]) get(i);
    expect([programs.bytes, closed]).toEqual([30, []]);
    get(3);
    expect(closed).toEqual([1]);
    expect(get(0).number).toBe(0);
    expect(get(1).number).toBe(4);
    expect(closed).toEqual([1, 2]);
    programs.close();
    expect(closed.sort()).toEqual([0, 1, 2, 3, 4]);
    expect(programs.bytes).toBe(0);
  });

  test("what a program grows by in its passes counts, and the one in use stays however large it is", () => {
    const { programs, closed, grow, get } = setUp(30, () => 10);
    const [a, b] = [get(0), get(1)];
    programs.grow(a, grow(25));
    expect([closed, programs.bytes]).toEqual([[1], 35]);
    expect(b.number).toBe(1);
    get(2);
    expect([closed, programs.bytes]).toEqual([[1, 0], 10]);
  });

  test("memory that others give back meanwhile makes none smaller than its graph", () => {
    const { programs, get } = setUp(30, () => -500);
    get(0);
    get(1);
    expect(programs.bytes).toBe(2);
  });
});

test("the provider, an option or DRAFTPLAN_GRAPH says which graphs compute", async () => {
  const of = (provider: string, graph?: "choices" | "programs", variable?: string) =>
    graphKindOf({ provider, graph }, variable === undefined ? {} : { DRAFTPLAN_GRAPH: variable });
  expect([of("cpu"), of("cuda"), of("webgpu"), of("tensorrt")]).toEqual(["choices", "programs", "choices", "choices"]);
  expect([of("cpu", undefined, "programs"), of("cuda", undefined, "choices")]).toEqual(["programs", "choices"]);
  expect(of("cpu", "choices", "programs")).toBe("choices");
  expect(of("cpu", undefined, "")).toBe("choices");
  expect(of("cpu", undefined, "packed-programs")).toBe("packed-programs");
  await expectFailure(() => of("cpu", undefined, "ifs"), "OPTION_INVALID", /DRAFTPLAN_GRAPH: 'ifs'/);
  const nodeTimings = { folder: "." };
  expect(graphKindOf({ provider: "cuda", nodeTimings }, {})).toBe("choices");
  await expectFailure(() => graphKindOf({ provider: "cpu", graph: "programs", nodeTimings }, {}), "OPTION_INVALID", "");
});
