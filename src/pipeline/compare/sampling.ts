/** How the tokens of a comparison's runs are chosen, and what its document says of it. */
import type { Progress } from "../../core/progress.js";
import type { Comparison } from "../../schema/comparison.js";
import { draws } from "../../schema/sampling.js";
import type { SamplingRequest } from "../sampling.js";
import type { RunRequest } from "./run.js";

/** @param sampling null: the likeliest tokens as they are */
export function drawingOf(sampling: SamplingRequest | null): Pick<RunRequest, "drawing" | "penalty"> {
  if (sampling === null) return {};
  const { filters, seed } = sampling;
  return seed === null ? { penalty: filters.repetition_penalty } : { drawing: { filters, seed } };
}

export function samplingRecord(sampling: SamplingRequest | null): Pick<Comparison, "sampling"> {
  if (sampling === null) return {};
  const { filters, seed } = sampling;
  return { sampling: { ...filters, ...(seed === null ? {} : { seed }) } };
}

/** Plans, and what is predicted of them, are made for the likeliest tokens. */
export function warnOfDrawing(sampling: SamplingRequest | null, progress: Pick<Progress, "warn">): void {
  if (sampling === null || !draws(sampling.filters)) return;
  progress.warn(
    "PLAN_TEMPERATURE",
    `plans are chosen for greedy decoding, and this is sampling at temperature ${sampling.filters.temperature}, so their predictions do not hold`,
  );
}
