/** Benchmarks of an engine whose passes are known in closed form become the table that gives those passes back. */
import { describe, expect, test } from "vitest";
import { readBenchmark } from "../../src/profile/import/benchmark.js";
import { convertRuns, type MeasuredRun } from "../../src/profile/import/convert.js";
import { importTable } from "../../src/profile/import/import.js";
import { readRuns } from "../../src/profile/import/runs.js";
import { failureOf } from "../support/failure.js";

/** µs of a pass: what is fixed, and each layer, grow with the batch, the context and the query length. */
const fixedUs = (batch: number, query: number) => 300 + 10 * batch * query;
const layerUs = (batch: number, context: number, query: number) => 100 + 2 * batch * query + (context * batch) / 64;
const passUs = (layers: number, batch: number, context: number, query: number) =>
  fixedUs(batch, query) + layers * layerUs(batch, context, query);

/** As `vllm bench serve --save-result` writes it: 100 requests of as many tokens in as out, so that n is the mean. */
const serve = (layers: number, batch: number, context: number, query: number) => ({
  date: "20261128-080000",
  ...{ backend: "vllm", completed: 100, failed: 0, max_concurrency: batch },
  ...{ total_input_tokens: 100 * (context - 32), total_output_tokens: 6400, mean_itl_ms: 99 },
  median_itl_ms: passUs(layers, batch, context, query) / 1000,
});

/** As `vllm bench latency --output-json` writes it: some prefill, and a pass for each token but the first. */
function latency(layers: number, batch: number, input: number, output: number, query: number) {
  let us = 5000 + input * batch;
  for (let token = 1; token < output; token++) us += passUs(layers, batch, input + token, query);
  const seconds = us / 1e6;
  return {
    avg_latency: 1.01 * seconds,
    std_latency: 0,
    latencies: [seconds, 0.9 * seconds, 9 * seconds],
    percentiles: {},
  };
}

/** As `trtllm-bench throughput --streaming --report_json` writes it, where a pass yields `tokens` tokens. */
const tensorRt = (layers: number, batch: number, context: number, query: number, tokens: number) => ({
  ...{ engine: { model: "m", version: "1.2" }, world_info: { tp_size: 1 } },
  request_info: {
    ...{ num_requests: 64, avg_num_concurrent_requests: 0.97 * batch },
    ...{ avg_input_length: context - 32, avg_output_length: 64 },
  },
  streaming_metrics: {
    avg_tpot_ms: 1,
    tpot_percentiles: { p50: passUs(layers, batch, context, query) / 1000 / tokens },
  },
  ...(tokens === 1 ? {} : { decoding_stats: { acceptance_length_percentiles: { average: tokens } } }),
});

const [LAYERS, FEWER, CONTEXTS, QUERIES] = [12, 4, [512, 2048], [1, 5]];
const places = (batches: number[]) =>
  batches.flatMap((batch) => CONTEXTS.flatMap((context) => QUERIES.map((query) => ({ batch, context, query }))));

function runsOf(json: (layers: number, batch: number, context: number, query: number) => unknown): MeasuredRun[] {
  let line = 1;
  return places([1, 8]).flatMap(({ batch, context, query }) =>
    (batch === 1 ? [LAYERS, FEWER] : [LAYERS]).map((layers): MeasuredRun => {
      const measured = readBenchmark(json(layers, batch, context, query));
      if (measured === null) throw new Error("not recognised");
      return { line: ++line, file: "x.json", layers, batch, context, query, input: null, output: null, measured };
    }),
  );
}

function expectPasses(csv: string): void {
  const { points, batches, loop } = importTable(csv, LAYERS, "t.csv");
  expect(loop).toEqual({ round_us: 0, step_us: 0 });
  for (const point of points) {
    const [n, q] = [point.context_tokens, point.query_tokens];
    expect(point.attn_us.target?.[3]).toBeCloseTo(layerUs(1, n, q), 2);
    expect(point.fixed_us).toBeCloseTo(fixedUs(1, q), 1);
    expect(point.mlp_us.target?.[3]).toBe(0);
  }
  expect(batches?.map(({ batch, parts }) => [batch, parts])).toEqual([[8, "scaled"]]);
  for (const point of batches?.[0].points ?? [])
    expect(point.whole_target_us).toBeCloseTo(passUs(LAYERS, 8, point.context_tokens, point.query_tokens), 1);
}

describe("passes come back from", () => {
  test("vllm bench serve", () => {
    expectPasses(convertRuns(runsOf(serve), "runs.csv"));
  });

  test.each([1, 2.5])("trtllm-bench, where a pass yields %d tokens", (tokens) => {
    expectPasses(
      convertRuns(
        runsOf((...at) => tensorRt(...at, tokens)),
        "runs.csv",
      ),
    );
  });

  test("vllm bench latency: of two lengths, at the mean context between them", () => {
    let line = 1;
    const runs = places([1, 8]).flatMap(({ batch, context, query }) =>
      (batch === 1 ? [LAYERS, FEWER] : [LAYERS]).flatMap((layers) =>
        [33, 96].map((output): MeasuredRun => {
          const input = context - 64; // (33 + 96 - 1) / 2
          const measured = readBenchmark(latency(layers, batch, input, output, query));
          if (measured === null) throw new Error("not recognised");
          return { line: ++line, file: "x.json", layers, batch, context, query, input, output, measured };
        }),
      ),
    );
    expectPasses(convertRuns(runs, "runs.csv"));
  });

  test("both depths of every batch, as parts", () => {
    const both = places([1, 8]).flatMap(({ batch, context, query }) =>
      [LAYERS, FEWER].map((layers): MeasuredRun => {
        const measured = readBenchmark(serve(layers, batch, context, query));
        if (measured === null) throw new Error("not recognised");
        return { line: 1, file: "x.json", layers, batch, context, query, input: null, output: null, measured };
      }),
    );
    const { batches } = importTable(convertRuns(both, "runs.csv"), LAYERS, "t.csv");
    expect(batches?.[0].parts).toBe("measured");
    expect(batches?.[0].points[0].attn_us?.target?.[0]).toBeCloseTo(layerUs(8, 512, 1), 2);
  });
});

describe("runs are refused", () => {
  const one = (over: Partial<MeasuredRun> = {}): MeasuredRun => ({
    ...{ line: 2, file: "x.json", layers: 12, batch: 1, context: 512, query: 1, input: null, output: null },
    ...{ measured: { kind: "pass", us: 1000, sequences: 1, context: 512 } },
    ...over,
  });
  const generation = (us: number) => ({ kind: "generation" as const, us });
  test.each<[string, MeasuredRun[], RegExp]>([
    ["of one depth alone", [one()], /not every pass of one sequence was run with 12 layers and with fewer/],
    ["twice", [one(), one({ line: 3 })], /line 3.*same pass as on line 2/s],
    ["at another batch than listed", [one({ batch: 8 })], /1 sequences at once, and 8 are listed/],
    ["at another context than listed", [one({ context: 700 })], /512 tokens of context/],
    ["without lengths", [one({ measured: generation(9) })], /does not say its lengths/],
    ["of one length", [one({ measured: generation(9), input: 500, output: 20 })], /two generations are needed/],
    [
      "of which the longer is quicker",
      [
        one({ measured: generation(90), input: 500, output: 20 }),
        one({ line: 3, measured: generation(80), input: 500, output: 40 }),
      ],
      /is not longer/,
    ],
    [
      "whose smaller depth takes longer",
      [one(), one({ line: 3, layers: 4, measured: { kind: "pass", us: 1001, sequences: 1, context: 512 } })],
      /no line through a model without layers/,
    ],
  ])("%s", async (_what, runs, message) => {
    const failure = await failureOf(() => convertRuns(runs, "runs.csv"));
    expect(failure.code).toBe("CSV_INVALID");
    expect(failure.message).toMatch(message);
  });

  test.each([
    ["another JSON", { a: 1 }],
    ["none", null],
    ["a time of nothing", { latencies: [0] }],
    ["no time", { latencies: [] }],
    ["a number that is none", { median_itl_ms: "3", completed: 1 }],
  ])("that are no benchmark: %s", (_what, json) => {
    expect(readBenchmark(json)).toBeNull();
  });
});

describe("a list of runs", () => {
  const HEADER = "file,layers,batch,context_tokens,query_tokens,input_tokens,output_tokens";

  test("is read with its lines, and may lack the last columns", () => {
    expect(readRuns(`${HEADER}\na.json,12,8,512,1,480,64\n`, "r.csv")).toEqual([
      { line: 2, file: "a.json", layers: 12, batch: 8, context: 512, query: 1, input: 480, output: 64 },
    ]);
    expect(readRuns("file,layers,batch,context_tokens,query_tokens\na.json,12,8,512,1", "r.csv")[0].input).toBeNull();
  });

  test.each([
    ["nothing", ""],
    ["a header alone", HEADER],
    ["a column too many", `${HEADER},colour\na,12,1,512,1,,,red`],
    ["a column too few", "file,layers\na,12"],
    ["no file", `${HEADER}\n,12,1,512,1,,`],
    ["half a layer", `${HEADER}\na,1.5,1,512,1,,`],
    ["no sequences", `${HEADER}\na,12,0,512,1,,`],
    ["no token", `${HEADER}\na,12,1,512,0,,`],
    ["cells that do not fit", `${HEADER}\na,12`],
  ])("is refused: %s", async (_what, text) => {
    expect((await failureOf(() => readRuns(text, "r.csv"))).code).toBe("CSV_INVALID");
  });
});
