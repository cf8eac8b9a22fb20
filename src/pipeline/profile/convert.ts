/** Runs of an engine's own benchmark, listed in a table -> the table that `profile import` reads. */
import { dirname, resolve } from "node:path";
import { readNamedFile, readUserFile } from "../../core/user-file.js";
import { utf8Text } from "../../core/utf8.js";
import { readBenchmark } from "../../profile/import/benchmark.js";
import { convertRuns, type MeasuredRun } from "../../profile/import/convert.js";
import { readRuns } from "../../profile/import/runs.js";
import { tableInvalid } from "../../profile/import/table.js";

/** `vllm bench serve --save-detailed` writes every chunk's time. */
const MAX_BENCHMARK_BYTES = 256 << 20;
const MAX_LIST_BYTES = 16 << 20;

/** @throws CSV_INVALID, FILE_NOT_FOUND, FILE_UNREADABLE */
export function convertBenchmarks(list: string): string {
  const runs = readRuns(utf8Text(readUserFile(list, MAX_LIST_BYTES), list), list);
  const measured = runs.map((run): MeasuredRun => {
    const path = resolve(dirname(list), run.file);
    const found = readBenchmark(parsed(utf8Text(readNamedFile(path, MAX_BENCHMARK_BYTES), path)));
    if (found !== null) return { ...run, measured: found };
    throw tableInvalid(
      list,
      run.line,
      `${run.file} is no JSON of a benchmark that draftplan reads`,
      "Give what vllm bench latency --output-json, vllm bench serve --save-result or trtllm-bench throughput --streaming --report_json wrote.",
    );
  });
  return convertRuns(measured, list);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
