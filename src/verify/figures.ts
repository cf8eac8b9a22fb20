/** From runs to the figures of a verification document. Nothing is run or timed here. */
import { createHash } from "node:crypto";
import { DraftplanError } from "../core/errors.js";
import type { Round } from "../decode/loop.js";
import { acceptanceOf } from "../decode/statistics.js";
import type { Verification } from "../schema/verification.js";
import {
  byContext,
  machineChangePercent,
  predictedSpeedup,
  predictedSpeedupError,
  type segmentsUpTo,
} from "./contexts.js";
import { decideDistribution, FALSE_ALARM } from "./distribution/decide.js";
import type { Drawing } from "./distribution/drawn.js";
import type { AlternativeModel, PromptRuns } from "./measure.js";
import { type PromptTiming, promptTiming, speedupInterval, totalTimes } from "./speedup.js";

type Segments = ReturnType<typeof segmentsUpTo>;

/** What a verification says beyond what it was made from. */
export type Figures = Omit<
  Verification,
  | "kind"
  | "version"
  | "model"
  | "device"
  | "plan"
  | "draft_cache"
  | "inputs"
  | "tokenizer_sha256"
  | "versions"
  | "created"
  | "pairs"
  | "max_tokens"
  | "prompts_sha256"
  | "resumed"
  | "decided"
  | "stop_rules"
> & {
  /** tokens drafted in a round that drafts; null where none does */
  meanDraftTokens: number | null;
};

/** @throws TEXT_TOO_SHORT where no prompt is answered by more than one token: no step was timed then */
export function figuresOf(
  segments: Segments,
  prompts: readonly PromptRuns[],
  alternatives: readonly AlternativeModel[],
  { drawing, penalty }: { drawing?: Drawing | undefined; penalty?: number | undefined } = {},
): Figures {
  const distribution = drawing === undefined ? null : distributionOf(drawing, prompts);
  const timings = timingsOf(prompts, ({ plan }) => plan);
  const speedup = speedupInterval(timings);
  const predicted = predictedSpeedup(segments, prompts);
  const error = predicted === null ? null : predictedSpeedupError(segments, prompts);
  const rounds = prompts.flatMap(({ plan }) => plan[0].rounds);
  const { acceptance, curve, acceptedLength, drafted, speculative } = acceptanceOf(rounds);
  const meanDraftTokens = speculative === 0 ? null : drafted / speculative;
  const { tokens, plainUs, otherUs } = totalTimes(timings);
  return {
    lossless: prompts.every(({ verdict }) => verdict.firstMismatch === null) && (distribution?.holds ?? true),
    ...(distribution === null ? {} : { distribution }),
    ...samplingRecord(drawing, penalty),
    ties: prompts.reduce((sum, { verdict }) => sum + verdict.ties.length, 0),
    tokens: prompts.reduce((sum, { output }) => sum + output.length, 0),
    acceptance,
    acceptance_curve: curve,
    accepted_length: acceptedLength,
    meanDraftTokens,
    speedup,
    interval: "student",
    predicted_speedup: predicted,
    ...(error === null ? {} : { predicted_speedup_error: error }),
    prediction_error_percent: predicted === null ? null : 100 * (predicted / speedup.median - 1),
    machine_change_percent: machineChangePercent(segments, prompts),
    tokens_per_second: { target: (1e6 * tokens) / plainUs, plan: (1e6 * tokens) / otherUs },
    ...(drawing === undefined ? { reference_sha256: idsDigest(prompts.map(({ reference }) => reference)) } : {}),
    output_sha256: idsDigest(prompts.map(({ output }) => output)),
    by_position: byPosition(rounds),
    by_context: byContext(segments, prompts),
    prompts: prompts.map((prompt) => promptRecord(segments, prompt)),
    alternatives: alternatives.map(({ name }, i) => alternativeRecord(name, prompts, i)),
  };
}

/** What is told of a verification other than of the likeliest tokens. */
function samplingRecord(drawing: Drawing | undefined, penalty: number | undefined): Pick<Figures, "sampling"> {
  if (drawing !== undefined) return { sampling: { ...drawing.filters, seed: drawing.seed } };
  return penalty === undefined ? {} : { sampling: { temperature: 0, repetition_penalty: penalty } };
}

function distributionOf({ draws }: Drawing, prompts: readonly PromptRuns[]): NonNullable<Figures["distribution"]> {
  const statistics = prompts.flatMap(({ distribution = [] }) => (distribution.length === 0 ? [] : [distribution]));
  return { draws, prompts: statistics.length, false_alarm: FALSE_ALARM, ...decideDistribution(statistics) };
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
  const { prompt, reference, output, verdict, plan, plain } = runs;
  return {
    prompt: prompt.name,
    prompt_tokens: prompt.ids.length,
    tokens: output.length,
    ties: verdict.ties.length,
    first_mismatch: verdict.firstMismatch,
    worst_margin: verdict.worstMargin,
    acceptance: acceptanceOf(plan[0].rounds).acceptance,
    speedup: promptTiming(plain, plan)?.ratio ?? null,
    predicted_speedup: predictedSpeedup(segments, [runs]),
    ...(runs.distribution === undefined ? { reference_ids: [...reference] } : {}),
    ...(runs.distribution === undefined && output.join() === reference.join() ? {} : { output_ids: [...output] }),
    tie_margins: verdict.ties,
    pairs: pairRecords(runs),
  };
}

/** The times behind the speedup; none where an output is a single token. */
function pairRecords({ plain, plan }: PromptRuns): NonNullable<Figures["prompts"][number]["pairs"]> {
  if (promptTiming(plain, plan) === null) return [];
  return plan.map((run, pair) => {
    const tokens = run.ids.length - 1;
    const targetTokens = plain[pair].ids.length - 1;
    return {
      target_us: plain[pair].decodeUs,
      plan_us: run.decodeUs,
      tokens,
      ...(targetTokens === tokens ? {} : { target_tokens: targetTokens }),
    };
  });
}

/** For the i-th drafted token of a round: rounds in which it was reached, and those in which it was accepted. */
function byPosition(rounds: readonly Pick<Round, "drafted" | "accepted">[]): NonNullable<Figures["by_position"]> {
  const longest = rounds.reduce((most, { drafted }) => Math.max(most, drafted), 0);
  return Array.from({ length: longest }, (_, i) => ({
    position: i + 1,
    tried: rounds.filter(({ drafted, accepted }) => drafted > i && accepted >= i).length,
    accepted: rounds.filter(({ accepted }) => accepted > i).length,
  }));
}

/** SHA-256 of lists of token ids as JSON, `[[1,2],[3]]`. */
export const idsDigest = (lists: readonly (readonly number[])[]): string =>
  createHash("sha256").update(JSON.stringify(lists)).digest("hex");

function alternativeRecord(
  name: string,
  prompts: readonly PromptRuns[],
  index: number,
): Figures["alternatives"][number] {
  const timings = timingsOf(prompts, ({ alternatives }) => alternatives[index].runs);
  const { tokens, otherUs } = totalTimes(timings);
  const sum = (of: (runs: PromptRuns["alternatives"][number]) => number) =>
    prompts.reduce((total, { alternatives }) => total + of(alternatives[index]), 0);
  return {
    name,
    tokens_per_second: (1e6 * tokens) / otherUs,
    speedup: speedupInterval(timings),
    agreement: sum(({ agreeing }) => agreeing) / sum(({ positions }) => positions),
    agreeing_prefix: sum(({ prefix }) => prefix) / prompts.length,
  };
}
