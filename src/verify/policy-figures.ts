/** From runs by turns to what each policy reached. Nothing is run or timed here. */
import type { Round } from "../decode/loop.js";
import { acceptanceOf } from "../decode/statistics.js";
import type { Interval } from "../schema/common.js";
import type { PromptPolicyRuns } from "./compare-policies.js";
import { promptTiming, rateInterval, speedupInterval, tokenUs } from "./speedup.js";

/** What one policy reached at one context. */
export interface PolicyFigures {
  /** accepted tokens per token drafted up to and including the first rejection; null where nothing was drafted */
  acceptance: number | null;
  /** tokens drafted in a round that drafts; null where none does */
  meanDraftTokens: number | null;
  tokensPerSecond: Interval;
  /** over plain decoding */
  speedup: Interval;
  /** the baseline's tokens per second over this policy's */
  baselineRatio: Interval;
  lossless: boolean;
  ties: number;
  /** [prompts][runs] */
  usPerToken: number[][];
}

export interface FigureOptions {
  /** index of the policy that decodes plainly */
  plain: number;
  /** index of the policy that the others are held against */
  baseline: number;
}

/** @param prompts at least one @returns [policies] */
export function policyFigures(
  prompts: readonly PromptPolicyRuns[],
  { plain, baseline }: FigureOptions,
): PolicyFigures[] {
  return prompts[0].runs.map((_, policy) => {
    const rounds: Round[] = prompts.flatMap(({ runs }) => runs[policy][0].rounds);
    const usPerToken = prompts.map(({ runs }) => runs[policy].flatMap((run) => tokenUs(run) ?? []));
    const { acceptance, drafted, speculative } = acceptanceOf(rounds);
    return {
      acceptance,
      meanDraftTokens: speculative === 0 ? null : drafted / speculative,
      tokensPerSecond: rateInterval(prompts.map(({ runs }) => runs[policy])),
      speedup: pairedInterval(prompts, plain, policy),
      baselineRatio: pairedInterval(prompts, policy, baseline),
      lossless: prompts.every(({ verdicts }) => verdicts[policy].firstMismatch === null),
      ties: prompts.reduce((sum, { verdicts }) => sum + verdicts[policy].ties.length, 0),
      usPerToken,
    };
  });
}

/** How much faster `other` is than `one`, in pairs; a policy is as fast as itself. */
function pairedInterval(prompts: readonly PromptPolicyRuns[], one: number, other: number): Interval {
  const timings = prompts.flatMap(({ runs }) => promptTiming(runs[one], runs[other]) ?? []);
  return speedupInterval(timings);
}
