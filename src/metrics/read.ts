/** A file of an engine's figures, whichever it is. */
import { DraftplanError } from "../core/errors.js";
import type { EngineCounts } from "./counts.js";
import { genaiStatistics, llamaTimings, sglangMetrics, transformersCounts, vllmBench, vllmMetrics } from "./forms.js";
import { readPrometheus } from "./prometheus.js";

type Json = Record<string, unknown>;

/**
 * @param at the file, for errors
 * @throws METRICS_UNKNOWN where no engine is known to write this, METRICS_EMPTY where nothing was drafted
 */
export function readMetrics(text: string, at: string): EngineCounts {
  const objects = jsonObjects(text);
  const samples = objects === null ? readPrometheus(text) : null;
  const found =
    objects !== null
      ? (transformersCounts(objects) ??
        genaiStatistics(objects) ??
        llamaTimings(objects) ??
        (objects.length === 1 ? vllmBench(objects[0]) : null))
      : samples === null
        ? null
        : (vllmMetrics(samples) ?? sglangMetrics(samples));
  if (found === null) throw unknown(at);
  const { drafted, rounds, means } = found;
  if (
    drafted === 0 ||
    rounds === 0 ||
    (drafted === null && means.acceptedLength === null && means.acceptedShare === null)
  )
    throw empty(at, found);
  return found;
}

/** One object, a list of objects, or an object a line; null: no JSON. */
function jsonObjects(text: string): Json[] | null {
  const isObject = (value: unknown): value is Json =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  const list = (value: unknown): Json[] | null => {
    if (isObject(value)) return [value];
    return Array.isArray(value) && value.length > 0 && value.every(isObject) ? value : null;
  };
  try {
    return list(JSON.parse(text));
  } catch {
    try {
      const lines = text.split("\n").filter((line) => line.trim() !== "");
      const values = lines.map((line): unknown => JSON.parse(line));
      return lines.length > 0 ? list(values) : null;
    } catch {
      return null;
    }
  }
}

const unknown = (at: string) =>
  new DraftplanError({
    code: "METRICS_UNKNOWN",
    at,
    what: "these are no figures of speculative decoding in a form that is known",
    remedy:
      "Give what docs/engines.md names: /metrics of vLLM or SGLang, the JSON of vllm bench serve, answers of llama-server, get_speculative_stats() as JSON, or what the exported module for transformers prints.",
  });

const empty = (at: string, { form }: EngineCounts) =>
  new DraftplanError({
    code: "METRICS_EMPTY",
    at,
    what: `by ${form} nothing was drafted`,
    remedy: "Serve some requests with the draft first, and look whether the engine took it.",
  });
