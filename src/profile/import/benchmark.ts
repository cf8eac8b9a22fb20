/**
 * The JSON that engines' own benchmarks write -> what one pass of a batch takes. Keys were read in the programs that write
 * them (docs/profile-import.md says what each figure is, and what it cannot tell):
 *
 * - `vllm bench latency --output-json` (vllm/benchmarks/latency.py): `latencies`, seconds of a whole generation each. Of two
 *   runs that differ in output tokens alone, the difference is decoding.
 * - `vllm bench serve --save-result` (vllm/benchmarks/serve.py): `median_itl_ms`, from one streamed chunk to the next, and a
 *   chunk is what one pass yields.
 * - `trtllm-bench throughput --streaming --report_json` (tensorrt_llm/bench/dataclasses/reporting.py): time per output token,
 *   which is a pass over as many tokens as it yields (`decoding_stats`).
 */
import { median } from "simple-statistics";
import { z } from "zod";

const Positive = z.number().positive();
const Latency = z.looseObject({ latencies: z.array(Positive).min(1).max(1_000_000) });
const Serve = z.looseObject({
  median_itl_ms: Positive,
  completed: z.int().positive(),
  total_input_tokens: z.int().min(0),
  total_output_tokens: z.int().positive(),
  max_concurrency: z.int().positive(),
});
const TensorRt = z.looseObject({
  request_info: z.looseObject({
    avg_num_concurrent_requests: Positive,
    avg_input_length: z.number().min(0),
    avg_output_length: Positive,
  }),
  streaming_metrics: z.looseObject({ tpot_percentiles: z.looseObject({ p50: Positive }) }),
  decoding_stats: z
    .looseObject({ acceptance_length_percentiles: z.looseObject({ average: Positive }).nullish() })
    .nullish(),
});

/** What a file says. */
export type Benchmark =
  /** µs of a whole generation; which, only the command line knew */
  | { kind: "generation"; us: number }
  /** µs of one pass, the sequences that were run at once, and their tokens of context in the mean */
  | { kind: "pass"; us: number; sequences: number; context: number };

/** @returns null where it is none of the three */
export function readBenchmark(json: unknown): Benchmark | null {
  const latency = Latency.safeParse(json);
  if (latency.success) return { kind: "generation", us: 1e6 * median(latency.data.latencies) };
  const serve = Serve.safeParse(json);
  if (serve.success) {
    const { median_itl_ms, completed, total_input_tokens: input, total_output_tokens: output } = serve.data;
    const context = (input + output / 2) / completed;
    return { kind: "pass", us: 1000 * median_itl_ms, sequences: serve.data.max_concurrency, context };
  }
  const tensorRt = TensorRt.safeParse(json);
  if (!tensorRt.success) return null;
  const { request_info: info, streaming_metrics: streaming, decoding_stats: decoding } = tensorRt.data;
  const tokensPerPass = decoding?.acceptance_length_percentiles?.average ?? 1;
  return {
    kind: "pass",
    us: 1000 * streaming.tpot_percentiles.p50 * tokensPerPass,
    sequences: info.avg_num_concurrent_requests,
    context: info.avg_input_length + info.avg_output_length / 2,
  };
}
