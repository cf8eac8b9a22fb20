/** What happened in each segment of the plan, beside what the plan predicted there. */
import type { Decoded, Round } from "../decode/loop.js";
import { acceptanceOf } from "../decode/statistics.js";
import { type Plan, predictedAt, predictionOf, type Segment, type Speed, speedupError } from "../schema/plan.js";
import type { Verification } from "../schema/verification.js";
import { sum } from "../stats/numbers.js";
import type { PromptRuns } from "./measure.js";
import { promptTiming } from "./speedup.js";

export type ContextRecord = Verification["by_context"][number];

type Segments = readonly Segment[];

/** The plan's segments, and one past its end up to `limit`, where nothing is speculated. */
export function segmentsUpTo(plan: Plan, limit: number): Segments {
  const { to } = plan.segments[plan.segments.length - 1].context_tokens;
  return to >= limit
    ? plan.segments
    : [...plan.segments, { context_tokens: { from: to, to: limit }, speculate: false }];
}

const within = ({ context_tokens: { from, to } }: Segment, rounds: readonly Round[]) =>
  rounds.filter(({ context }) => context >= from && context < to);

const roundsOf = (runs: readonly Decoded[]): Round[] => runs.flatMap(({ rounds }) => rounds);

/** Tokens per second of the rounds; null where there are none. */
function rate(rounds: readonly Round[]): number | null {
  const us = rounds.reduce((sum, { totalUs }) => sum + totalUs, 0);
  return rounds.length === 0 ? null : (1e6 * rounds.reduce((sum, { emitted }) => sum + emitted, 0)) / us;
}

/** The prediction for these rounds of a segment, each at its context, weighed by the tokens it emitted. */
function predictedOver(segment: Segment, rounds: readonly Round[], key: keyof Speed): number | null {
  const predicted = predictionOf(segment);
  if (predicted === undefined || rounds.length === 0) return null;
  const tokens = rounds.reduce((sum, { emitted }) => sum + emitted, 0);
  const perToken = rounds.reduce(
    (sum, { emitted, context }) => sum + emitted / predictedAt(predicted, context)[key],
    0,
  );
  return tokens / perToken;
}

/** Plain decoding at the contexts of these rounds, as the plan has it: its tokens per second without its speedup. */
function predictedPlain(segment: Segment, rounds: readonly Round[]): number | null {
  const predicted = predictionOf(segment);
  if (predicted === undefined || rounds.length === 0) return null;
  const seconds = rounds.map(({ emitted, context }) => {
    const { tokens_per_second, speedup } = predictedAt(predicted, context);
    return (emitted * speedup) / tokens_per_second;
  });
  return sum(rounds.map(({ emitted }) => emitted)) / sum(seconds);
}

/**
 * How much faster the machine was than when it was profiled: plain decoding measured against plain decoding predicted, over
 * the ranges where both are known, each by the tokens that the plan emitted there. What a prediction of tokens per second is
 * off by beyond that is the plan's own error, and so is all that a predicted speedup is off by.
 */
export function machineChangePercent(segments: Segments, prompts: readonly PromptRuns[]): number | null {
  const first = roundsOf(prompts.map(({ plan }) => plan[0]));
  const plain = roundsOf(prompts.flatMap((prompt) => prompt.plain));
  let [predictedSeconds, measuredSeconds] = [0, 0];
  for (const segment of segments) {
    const rounds = within(segment, first);
    const [predicted, measured] = [predictedPlain(segment, rounds), rate(within(segment, plain))];
    if (predicted === null || measured === null) continue;
    const tokens = sum(rounds.map(({ emitted }) => emitted));
    predictedSeconds += tokens / predicted;
    measuredSeconds += tokens / measured;
  }
  return measuredSeconds === 0 ? null : 100 * (predictedSeconds / measuredSeconds - 1);
}

/** Rounds and acceptance of each prompt's first run; times of all runs. A round belongs to the segment it began in. */
export function byContext(segments: Segments, prompts: readonly PromptRuns[]): ContextRecord[] {
  const first = roundsOf(prompts.map(({ plan }) => plan[0]));
  const plan = roundsOf(prompts.flatMap((prompt) => prompt.plan));
  const plain = roundsOf(prompts.flatMap((prompt) => prompt.plain));
  return segments.flatMap((segment) => {
    const rounds = within(segment, first);
    const measured = rate(within(segment, plan));
    if (measured === null) return [];
    const { acceptance, acceptedLength } = acceptanceOf(rounds);
    const target = rate(within(segment, plain));
    return {
      context_tokens: segment.context_tokens,
      rounds: rounds.length,
      accepted_length: acceptedLength,
      acceptance,
      target_tokens_per_second: target,
      measured_tokens_per_second: measured,
      predicted_tokens_per_second: predictedOver(segment, rounds, "tokens_per_second"),
      speedup: target === null ? null : measured / target,
      ...(segment.extrapolated === true ? { extrapolated: true as const } : {}),
      predicted_speedup: segment.speculate ? predictedOver(segment, rounds, "speedup") : 1,
      predicted_target_tokens_per_second: predictedPlain(segment, rounds),
    };
  });
}

/**
 * The speedup the plan predicted for what was decoded. Tokens emitted by rounds that began in segment s would have
 * taken the plain time w_s; the plan takes w_s / speedup_s, speedup_s at the contexts visited, and w_s where it does not
 * speculate. So
 *
 *     predicted = Σ_s w_s / Σ_s (w_s / speedup_s)
 *
 * with w_s measured. Only the weights are: where the plan speculates in every segment visited, weights predicted by
 * target_step_us would differ by no more than the profile errs between those segments, but a segment that does not
 * speculate has no predicted step, and on another device predicted µs and measured µs do not add.
 *
 * @returns null where nothing visited has a prediction, or where a segment visited speculates without one
 */
export function predictedSpeedup(
  segments: Segments,
  prompts: readonly Pick<PromptRuns, "plain" | "plan">[],
): number | null {
  let plainUs = 0;
  let planUs = 0;
  let predictions = 0;
  for (const { plain, plan } of prompts) {
    const tokenUs = promptTiming(plain, plan)?.plainUs ?? 0;
    for (const segment of segments) {
      const rounds = within(segment, plan[0].rounds);
      if (rounds.length === 0) continue;
      if (segment.speculate && predictionOf(segment) === undefined) return null;
      predictions += predictionOf(segment) === undefined ? 0 : 1;
      const us = tokenUs * rounds.reduce((sum, { emitted }) => sum + emitted, 0);
      plainUs += us;
      planUs += us / (predictedOver(segment, rounds, "speedup") ?? 1);
    }
  }
  return predictions === 0 || plainUs === 0 ? null : plainUs / planUs;
}

/**
 * Standard error of that speedup, as a share of it. Segments rest on much of the same text and on one profile, so their errors
 * are taken to be in step: d ln predicted = Σ_s share_s · d ln speedup_s, share_s that of the time the plan takes. It is the
 * error of what is predicted: what prompts as few as these would measure differs by more.
 * @returns null where nothing is predicted, or where a segment visited does not say how well its acceptance is known
 */
export function predictedSpeedupError(
  segments: Segments,
  prompts: readonly Pick<PromptRuns, "plain" | "plan">[],
): number | null {
  let [planUs, off] = [0, 0];
  for (const { plain, plan } of prompts) {
    const tokenUs = promptTiming(plain, plan)?.plainUs ?? 0;
    for (const segment of segments) {
      const rounds = within(segment, plan[0].rounds);
      if (rounds.length === 0) continue;
      const speedup = segment.speculate ? predictedOver(segment, rounds, "speedup") : 1;
      const error = segment.speculate ? speedupError(segment) : 0;
      if (speedup === null || error === null) return null;
      const us = (tokenUs * sum(rounds.map(({ emitted }) => emitted))) / speedup;
      planUs += us;
      off += us * error;
    }
  }
  return planUs === 0 || off === 0 ? null : off / planUs;
}
