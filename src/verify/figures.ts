/** From runs to the figures of a verification document. Nothing is run or timed here. */
import { DraftplanError } from "../core/errors.js";
import { acceptanceOf } from "../decode/statistics.js";
import type { Verification } from "../schema/verification.js";
import { byContext, predictedSpeedup, type segmentsUpTo } from "./contexts.js";
import type { AlternativeModel, PromptRuns } from "./measure.js";
import { type PromptTiming, promptTiming, speedupInterval, totalTimes } from "./speedup.js";

type Segments = ReturnType<typeof segmentsUpTo>;

/** What a verification says beyond what it was made from. */
export type Figures = Omit<
  Verification,
  "kind" | "version" | "model" | "device" | "plan" | "created" | "pairs" | "max_tokens" | "prompts_sha256"
>;

/** @throws TEXT_TOO_SHORT where no prompt is answered by more than one token: no step was timed then */
export function figuresOf(
  segments: Segments,
  prompts: readonly PromptRuns[],
  alternatives: readonly AlternativeModel[],
  seed: number,
): Figures {
  const timings = timingsOf(prompts, ({ plan }) => plan);
  const speedup = speedupInterval(timings, seed);
  const predicted = predictedSpeedup(segments, prompts);
  const { acceptance, curve, acceptedLength } = acceptanceOf(prompts.flatMap(({ plan }) => plan[0].rounds));
  const { tokens, plainUs, otherUs } = totalTimes(timings);
  return {
    lossless: prompts.every(({ verdict }) => verdict.firstMismatch === null),
    ties: prompts.reduce((sum, { verdict }) => sum + verdict.ties, 0),
    tokens: prompts.reduce((sum, { plan }) => sum + plan[0].ids.length, 0),
    acceptance,
    acceptance_curve: curve,
    accepted_length: acceptedLength,
    speedup,
    predicted_speedup: predicted,
    prediction_error_percent: predicted === null ? null : 100 * (predicted / speedup.median - 1),
    tokens_per_second: { target: (1e6 * tokens) / plainUs, plan: (1e6 * tokens) / otherUs },
    by_context: byContext(segments, prompts),
    prompts: prompts.map((prompt) => promptRecord(segments, prompt)),
    alternatives: alternatives.map(({ name }, i) => alternativeRecord(name, prompts, i, seed)),
  };
}

function timingsOf(prompts: readonly PromptRuns[], other: (prompt: PromptRuns) => PromptRuns["plan"]): PromptTiming[] {
  const timings = prompts.flatMap((prompt) => promptTiming(prompt.plain, other(prompt)) ?? []);
  if (timings.length > 0) return timings;
  throw new DraftplanError({
    code: "TEXT_TOO_SHORT",
    at: "prompts",
    what: "every output ends with its first token, so there is no step to time",
    remedy: "Use prompts that the model goes on from: draftplan verify PLAN --model MODEL --prompts FILE",
  });
}

function promptRecord(segments: Segments, runs: PromptRuns): Figures["prompts"][number] {
  const { prompt, verdict, plan, plain } = runs;
  return {
    prompt: prompt.name,
    prompt_tokens: prompt.ids.length,
    tokens: plan[0].ids.length,
    ties: verdict.ties,
    first_mismatch: verdict.firstMismatch,
    worst_margin: verdict.worstMargin,
    acceptance: acceptanceOf(plan[0].rounds).acceptance,
    speedup: promptTiming(plain, plan)?.ratio ?? null,
    predicted_speedup: predictedSpeedup(segments, [runs]),
  };
}

function alternativeRecord(
  name: string,
  prompts: readonly PromptRuns[],
  index: number,
  seed: number,
): Figures["alternatives"][number] {
  const timings = timingsOf(prompts, ({ alternatives }) => alternatives[index].runs);
  const { tokens, otherUs } = totalTimes(timings);
  const sum = (of: (runs: PromptRuns["alternatives"][number]) => number) =>
    prompts.reduce((total, { alternatives }) => total + of(alternatives[index]), 0);
  return {
    name,
    tokens_per_second: (1e6 * tokens) / otherUs,
    speedup: speedupInterval(timings, seed),
    agreement: sum(({ agreeing }) => agreeing) / sum(({ positions }) => positions),
    agreeing_prefix: sum(({ prefix }) => prefix) / prompts.length,
  };
}
