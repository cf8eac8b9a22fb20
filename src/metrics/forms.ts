/** The forms that engines report in. Each takes what a file says, or null where it is another's. */
import { sum } from "../stats/numbers.js";
import { type EngineCounts, NO_COUNTS, type PartCounts } from "./counts.js";
import { named, type Sample } from "./prometheus.js";

type Json = Record<string, unknown>;

const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const isCount = (value: unknown): value is number => isNumber(value) && value >= 0;
const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.every(isCount);
const counted = (value: unknown): number | null => (isCount(value) ? value : null);

/**
 * vLLM's `/metrics`: counters over all engines and models of a server, from its start on.
 * vllm:spec_decode_num_drafts, _num_draft_tokens, _num_accepted_tokens, _num_accepted_tokens_per_pos{position}
 */
export function vllmMetrics(samples: readonly Sample[]): EngineCounts | null {
  const total = (name: string): number | null => {
    const found = named(samples, `vllm:spec_decode_num_${name}`);
    return found.length === 0 ? null : sum(found.map(({ value }) => value));
  };
  const rounds = total("drafts");
  if (rounds === null) return null;
  const finished = named(samples, "vllm:request_success");
  const acceptedAt: number[] = [];
  for (const { labels, value } of named(samples, "vllm:spec_decode_num_accepted_tokens_per_pos")) {
    const position = Number(labels.get("position"));
    if (Number.isInteger(position) && position >= 0 && position < 256)
      acceptedAt[position] = (acceptedAt[position] ?? 0) + value;
  }
  return {
    ...NO_COUNTS,
    ...{
      engine: "vllm",
      form: "vLLM's metrics",
      rounds,
      drafted: total("draft_tokens"),
      accepted: total("accepted_tokens"),
    },
    requests: finished.length === 0 ? null : sum(finished.map(({ value }) => value)),
    acceptedAt: acceptedAt.length === 0 || acceptedAt.includes(undefined as never) ? null : acceptedAt,
  };
}

/** `vllm bench serve --save-result`: acceptance in percent there, so counts are taken. */
export function vllmBench(json: Json): EngineCounts | null {
  const rounds = counted(json.spec_decode_num_drafts);
  if (rounds === null) return null;
  const rates = json.spec_decode_per_position_acceptance_rates;
  return {
    ...NO_COUNTS,
    ...{ engine: "vllm", form: "the result of vllm bench serve", rounds },
    drafted: counted(json.spec_decode_draft_tokens),
    accepted: counted(json.spec_decode_accepted_tokens),
    acceptedAt: isCounts(rates) && rates.length > 0 ? rates.map((rate) => rate * rounds) : null,
    requests: counted(json.completed),
    tokensPerSecond: counted(json.output_throughput),
  };
}

/** SGLang's `/metrics`: gauges of the last interval, no counts. */
export function sglangMetrics(samples: readonly Sample[]): EngineCounts | null {
  const gauge = (name: string): number | null => {
    const found = named(samples, `sglang:${name}`).filter(({ value }) => Number.isFinite(value) && value > 0);
    return found.length === 0 ? null : sum(found.map(({ value }) => value)) / found.length;
  };
  if (!samples.some(({ name }) => name.startsWith("sglang:spec_accept_"))) return null;
  const means = { acceptedLength: gauge("spec_accept_length"), acceptedShare: gauge("spec_accept_rate") };
  return { ...NO_COUNTS, engine: "sglang", form: "SGLang's metrics", means, tokensPerSecond: gauge("gen_throughput") };
}

/**
 * llama-server's answers, each with `timings`: predicted_n tokens, the first of them from the prompt's pass; draft_n drafted,
 * draft_n_accepted. A round gives one token of the target's own, so there were predicted_n − 1 − draft_n_accepted of them.
 */
export function llamaTimings(answers: readonly Json[]): EngineCounts | null {
  const timings = answers
    .map(({ timings }) => timings)
    .filter((one): one is Json => typeof one === "object" && one !== null);
  const drafting = timings.filter(({ draft_n }) => isCount(draft_n));
  if (drafting.length === 0) return null;
  const of = (key: string) => sum(drafting.map((one) => counted(one[key]) ?? 0));
  const known = drafting.every(({ predicted_n }) => isCount(predicted_n));
  const parts: PartCounts[] = drafting.map((one) => {
    const accepted = counted(one.draft_n_accepted) ?? 0;
    return { accepted, rounds: Math.max(0, (counted(one.predicted_n) ?? 0) - 1 - accepted) };
  });
  const took = of("predicted_ms");
  return {
    ...NO_COUNTS,
    ...{
      engine: "llama.cpp",
      form: "answers of llama-server",
      drafted: of("draft_n"),
      accepted: of("draft_n_accepted"),
    },
    rounds: known ? sum(parts.map(({ rounds }) => rounds)) : null,
    ...{ everyRound: true, requests: parts.length },
    parts: known ? parts : null,
    tokensPerSecond: took > 0 && known ? (1000 * of("predicted_n")) / took : null,
  };
}

/** onnxruntime-genai's `get_speculative_stats()`, as JSON; of several generators a list. */
export function genaiStatistics(all: readonly Json[]): EngineCounts | null {
  const own = all.filter(({ draft_tokens_evaluated, rounds }) => isCount(draft_tokens_evaluated) && isCount(rounds));
  if (own.length === 0) return null;
  const of = (key: string) => sum(own.map((one) => counted(one[key]) ?? 0));
  const parts = own.map((one) => ({
    rounds: counted(one.rounds) ?? 0,
    accepted: counted(one.draft_tokens_accepted) ?? 0,
  }));
  return {
    ...NO_COUNTS,
    ...{ engine: "onnxruntime-genai", form: "onnxruntime-genai's statistics", parts, rounds: of("rounds") },
    requests: own.length,
    ...{ drafted: of("draft_tokens_proposed"), evaluated: of("draft_tokens_evaluated") },
    accepted: of("draft_tokens_accepted"),
  };
}

/** What the module of an export to transformers prints. */
export function transformersCounts(all: readonly Json[]): EngineCounts | null {
  const own = all.filter(({ kind }) => kind === "draftplan/transformers-counts");
  if (own.length === 0) return null;
  const of = (key: string) => sum(own.map((one) => counted(one[key]) ?? 0));
  const at = (key: string): number[] => {
    const lists = own.map((one) => one[key]).filter(isCounts);
    const longest = Math.max(0, ...lists.map(({ length }) => length));
    return Array.from({ length: longest }, (_, i) => sum(lists.map((list) => list[i] ?? 0)));
  };
  const [drafting = 0] = at("drafted_per_position");
  const acceptedAt = at("accepted_per_position");
  const evaluatedAt = at("evaluated_per_position");
  const seconds = of("seconds");
  return {
    ...NO_COUNTS,
    ...{ engine: "transformers", form: "counts of the exported module", rounds: drafting },
    ...{ drafted: of("drafted"), evaluated: of("evaluated"), accepted: of("accepted") },
    requests: own.every(({ prompts }) => isCount(prompts)) ? of("prompts") : null,
    acceptedAt: acceptedAt.length === 0 ? null : acceptedAt,
    evaluatedAt: evaluatedAt.length === 0 || evaluatedAt.length !== acceptedAt.length ? null : evaluatedAt,
    parts:
      own.length < 2
        ? null
        : own.map((one) => ({
            rounds: (isCounts(one.drafted_per_position) ? one.drafted_per_position[0] : undefined) ?? 0,
            accepted: counted(one.accepted) ?? 0,
          })),
    tokensPerSecond: seconds > 0 ? of("tokens") / seconds : null,
  };
}
