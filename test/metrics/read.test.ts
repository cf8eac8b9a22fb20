/** One course of rounds, told in every engine's form and by its own definitions: the same figures come out. */
import { describe, expect, test } from "vitest";
import { type EngineCounts, figuresOf, missingAtEnds, NO_COUNTS } from "../../src/metrics/counts.js";
import { readMetrics } from "../../src/metrics/read.js";
import { shapedCurve } from "../../src/metrics/shaped.js";
import { seededRandom } from "../../src/stats/random.js";
import { expectFailure } from "../support/failure.js";

const D = 4;

/** Accepted tokens of each round, by request: in each position a token is right with this chance. */
function rounds(requests: number, each: number, chance = 0.7, seed = 1): number[][] {
  const random = seededRandom(seed);
  return Array.from({ length: requests }, () =>
    Array.from({ length: each }, () => {
      let accepted = 0;
      while (accepted < D && random.float() < chance) accepted += 1;
      return accepted;
    }),
  );
}

const REQUESTS = rounds(6, 50);
const ALL = REQUESTS.flat();
const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
const at = (list: readonly number[]) => Array.from({ length: D }, (_, i) => list.filter((n) => n > i).length);
const evaluated = (list: readonly number[]) => sum(list.map((n) => Math.min(D, n + 1)));
const truth = {
  length: 1 + sum(ALL) / ALL.length,
  share: sum(ALL) / (D * ALL.length),
  rate: sum(ALL) / evaluated(ALL),
};

const vllm = [
  "# HELP vllm:spec_decode_num_drafts_total Number of spec decoding drafts.",
  "# TYPE vllm:spec_decode_num_drafts_total counter",
  `vllm:spec_decode_num_drafts_total{engine="0",model_name="a \\"b\\", {c}"} ${ALL.length - 100}.0`,
  `vllm:spec_decode_num_drafts_total{engine="1",model_name="m"} 1e2 1700000000000`,
  `vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="m"} ${D * ALL.length}.0`,
  `vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="m"} ${sum(ALL)}.0`,
  ...at(ALL).map((n, i) => `vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",position="${i}"} ${n}.0`),
  'vllm:cache_config_info{block_size="16"} NaN',
  'vllm:e2e_request_latency_seconds_bucket{le="+Inf"} 12',
].join("\n");

const bench = JSON.stringify({
  backend: "vllm",
  output_throughput: 321.5,
  spec_decode_acceptance_rate: 100 * truth.share,
  spec_decode_acceptance_length: truth.length,
  spec_decode_num_drafts: ALL.length,
  spec_decode_draft_tokens: D * ALL.length,
  spec_decode_accepted_tokens: sum(ALL),
  spec_decode_per_position_acceptance_rates: at(ALL).map((n) => n / ALL.length),
});

const sglang = [
  `sglang:spec_accept_length{model_name="m",tp_rank="0"} ${truth.length}`,
  `sglang:spec_accept_rate{model_name="m",tp_rank="0"} ${truth.share}`,
  'sglang:gen_throughput{model_name="m"} 99.5',
].join("\n");

// the first token of an answer comes from the prompt's pass
const answers = REQUESTS.map((own) => ({
  content: "…",
  timings: {
    ...{ predicted_n: 1 + own.length + sum(own), predicted_ms: 500 },
    ...{ draft_n: D * own.length, draft_n_accepted: sum(own) },
  },
}));

const genai = (own: readonly number[]) => ({
  ...{ rounds: own.length, completed_rounds: own.length, draft_tokens_proposed: D * own.length },
  ...{ draft_tokens_evaluated: evaluated(own), draft_tokens_accepted: sum(own) },
  acceptance_rate: sum(own) / evaluated(own),
});

const transformers = {
  ...{ kind: "draftplan/transformers-counts", version: 1, engine_version: "5.24.0", draft_tokens: D },
  ...{ prompts: 6, rounds: ALL.length, tokens: ALL.length + sum(ALL), seconds: 2 },
  ...{ drafted: D * ALL.length, evaluated: evaluated(ALL), accepted: sum(ALL) },
  drafted_per_position: new Array(D).fill(ALL.length),
  accepted_per_position: at(ALL),
};

test.each([
  ["vllm", vllm, true, true],
  ["vllm", bench, true, true],
  ["sglang", sglang, false, false],
  ["llama.cpp", answers.map((one) => JSON.stringify(one)).join("\n"), false, true],
  ["llama.cpp", JSON.stringify(answers), false, true],
  ["onnxruntime-genai", JSON.stringify(REQUESTS.map(genai)), false, true],
  ["onnxruntime-genai", JSON.stringify(genai(ALL)), false, true],
  ["transformers", JSON.stringify(transformers), true, true],
])("%s", (engine, text, byPosition, interval) => {
  const counts = readMetrics(text, "file");
  const figures = figuresOf(counts);
  expect(counts.engine).toBe(engine);
  expect(figures.acceptedLength?.value).toBeCloseTo(truth.length, 10);
  expect(figures.acceptedShare?.value).toBeCloseTo(truth.share, 10);
  if (figures.acceptance !== null) expect(figures.acceptance).toBeCloseTo(truth.rate, 10);
  if (byPosition) {
    expect(figures.acceptance).not.toBeNull();
    at(ALL).forEach((n, i) => expect(figures.curve?.[i + 1]).toBeCloseTo(n / ALL.length, 10));
  } else expect(figures.curve).toBeNull();
  expect(figures.acceptedLength?.interval === null).toBe(!interval);
  if (engine !== "sglang") expect(figures.draftTokens).toBeCloseTo(D, 10);
});

test("answers are counted where an engine tells them", () => {
  const requests = (text: string) => readMetrics(text, "file").requests;
  const finished =
    'vllm:request_success_total{finished_reason="stop"} 4.0\nvllm:request_success_total{finished_reason="length"} 2.0';
  expect(requests(vllm)).toBeNull();
  expect(requests(`${vllm}\n${finished}`)).toBe(6);
  expect(requests(JSON.stringify({ ...JSON.parse(bench), completed: 6 }))).toBe(6);
  expect(requests(JSON.stringify(answers))).toBe(6);
  expect(requests(JSON.stringify(REQUESTS.map(genai)))).toBe(6);
  expect(requests(JSON.stringify(transformers))).toBe(6);
});

/** Answers of so many tokens, a round never drafting what there is no place for, and what is counted of their rounds. */
function cut(answers: number, tokens: number, chance: number, everyRound: boolean, seed: number) {
  const random = seededRandom(seed);
  const found: { drafted: number; accepted: number }[] = [];
  for (let answer = 0; answer < answers; answer++)
    for (let left = tokens; left > 0; ) {
      const drafted = Math.min(D, left - 1);
      let accepted = 0;
      while (accepted < drafted && random.float() < chance) accepted += 1;
      if (drafted > 0 || everyRound) found.push({ drafted, accepted });
      left -= accepted + 1;
    }
  return found;
}

test.each([true, false])(
  "last rounds lack no more drafted tokens than is allowed for, and may lack all of that (every round: %s)",
  (everyRound) => {
    let most = 0;
    for (let seed = 0; seed < 300; seed++) {
      const answers = 1 + (seed % 3);
      const found = cut(answers, 1 + (seed % 20), 0.3, everyRound, seed);
      const missing = sum(found.map(({ drafted }) => D - drafted));
      const allowed = missingAtEnds({ ...NO_COUNTS, engine: "", form: "", requests: answers, everyRound }, D);
      expect(missing).toBeLessThanOrEqual(allowed);
      most = Math.max(most, missing / allowed);
    }
    expect(most).toBe(1);
  },
);

test("a curve by positions that were come to is of whole rounds, however many were cut short", () => {
  const found = cut(40, 9, 0.7, false, 5);
  const position = (of: (round: { drafted: number; accepted: number }, i: number) => boolean) =>
    Array.from({ length: D }, (_, i) => found.filter((round) => of(round, i)).length);
  const json = {
    ...{ kind: "draftplan/transformers-counts", prompts: 40, tokens: 360 },
    ...{ drafted: sum(found.map((one) => one.drafted)), accepted: sum(found.map((one) => one.accepted)) },
    drafted_per_position: position(({ drafted }, i) => drafted > i),
    evaluated_per_position: position(({ drafted, accepted }, i) => drafted > i && accepted >= i),
    accepted_per_position: position(({ accepted }, i) => accepted > i),
  };
  const { curve } = figuresOf(readMetrics(JSON.stringify(json), "file"));
  // each by those before it: a share of at least 20 rounds, four standard errors of them
  [1, 2, 3, 4].forEach((i) => {
    const reached = json.evaluated_per_position[i - 1];
    expect(reached).toBeGreaterThan(20);
    expect(Math.abs((curve?.[i] ?? 0) / (curve?.[i - 1] ?? 0) - 0.7)).toBeLessThan(4 * Math.sqrt(0.21 / reached));
  });
});

test.each([
  ["the curve that a rate gives", [1, 0.9, 0.8, 0.6, 0.5]],
  ["nothing predicted", null],
])("a curve bent to totals gives the engine's own ratio: %s", (_, shape) => {
  for (const evaluated of [null, 1000])
    for (const accepted of [0, 1, 250, 620, 999, 1000]) {
      const curve = shapedCurve({ drafted: 1000, evaluated, accepted }, shape, D) as number[];
      expect(curve).toHaveLength(D + 1);
      expect(curve[0]).toBe(1);
      expect(curve.every((a, i) => i === 0 || (a <= curve[i - 1] && a >= 0))).toBe(true);
      const behind = sum(curve) - 1;
      const ratio = behind / (evaluated === null ? D : sum(curve.slice(0, -1)));
      expect(ratio).toBeCloseTo(accepted / 1000, 2);
      if (shape === null) curve.forEach((a, i) => expect(a).toBeCloseTo(curve[1] ** i, 10));
    }
  expect(shapedCurve({ drafted: null, evaluated: null, accepted: null }, shape, D)).toBeNull();
});

test("speeds are those that the engines tell", () => {
  const speed = (text: string) => figuresOf(readMetrics(text, "file")).tokensPerSecond;
  expect(speed(bench)).toBe(321.5);
  expect(speed(sglang)).toBe(99.5);
  expect(speed(JSON.stringify(answers))).toBeCloseTo((6 + ALL.length + sum(ALL)) / 3, 10);
  expect(speed(JSON.stringify(transformers))).toBeCloseTo((ALL.length + sum(ALL)) / 2, 10);
});

describe("95 % intervals hold the truth", () => {
  const expected = 1 + [1, 2, 3, 4].reduce((total, i) => total + 0.7 ** i, 0);
  const covered = (of: (own: number[][]) => EngineCounts) => {
    let inside = 0;
    for (let seed = 0; seed < 600; seed++) {
      const { acceptedLength } = figuresOf(of(rounds(8, 40, 0.7, 1000 + seed)));
      const [low, high] = acceptedLength?.interval ?? [0, 0];
      if (low <= expected && expected <= high) inside += 1;
    }
    return inside / 600;
  };
  const totals = (own: number[][]) => ({
    ...{ ...NO_COUNTS, engine: "vllm", form: "", rounds: own.flat().length },
    ...{ drafted: D * own.flat().length, accepted: sum(own.flat()) },
  });
  // four standard errors of a share of 600
  const least = 0.95 - 4 * Math.sqrt((0.95 * 0.05) / 600);
  const most = 0.95 + 4 * Math.sqrt((0.95 * 0.05) / 600);

  test("where acceptance by position is known, and by requests", () => {
    for (const share of [
      covered((own) => ({ ...totals(own), acceptedAt: at(own.flat()) })),
      covered((own) => ({
        ...totals(own),
        parts: own.map((request) => ({ rounds: request.length, accepted: sum(request) })),
      })),
    ]) {
      expect(share).toBeGreaterThan(least);
      expect(share).toBeLessThan(most);
    }
  });

  test("and at least as often where only totals are", () => {
    expect(covered(totals)).toBeGreaterThan(least);
  });
});

test.each([
  ["a page of HTML", "<html><body>404</body></html>"],
  ["no figures of drafting", 'vllm:num_requests_running{engine="0"} 1\n'],
  ["another JSON", '{"a": 1}'],
  ["a list of numbers", "[1, 2]"],
  ["nothing", ""],
  ["answers without drafts", '{"timings": {"predicted_n": 5}}'],
])("%s is refused", async (_, text) => {
  await expectFailure(() => readMetrics(text, "metrics.txt"), "METRICS_UNKNOWN", /metrics\.txt|no figures/);
});

test.each([
  ["vLLM before the first request", vllm.replace(/ [\d.e]+( \d+)?$/gm, " 0")],
  ["llama-server", '{"timings": {"predicted_n": 5, "draft_n": 0, "draft_n_accepted": 0}}'],
  ["SGLang at rest", 'sglang:spec_accept_length{model_name="m"} 0\nsglang:spec_accept_rate{model_name="m"} 0\n'],
])("nothing drafted: %s", async (_, text) => {
  await expectFailure(() => readMetrics(text, "metrics.txt"), "METRICS_EMPTY", /nothing was drafted/);
});
