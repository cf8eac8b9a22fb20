/** The acceptance of whole drafts: quickly, to choose among them, and by real drafting, to report the one chosen. */
import type { Progress } from "../core/progress.js";
import { decode, type Round } from "../decode/loop.js";
import { acceptanceOf } from "../decode/statistics.js";
import type { Clock, Engine } from "../runtime/engine.js";
import type { ChoiceSet } from "../schema/choice.js";
import { curveOfRounds } from "./acceptance-curve.js";
import { type Continuation, fillCache, spansBackwards } from "./continuation.js";
import { probeRound } from "./draft-pass.js";
import { type SampledRound, sampledCurve, sampledRound, targetDistributions } from "./sampled-acceptance.js";

export interface MeasuredCurve {
  /** positions behind the curve */
  tokens: number;
  /** [d+1] */
  curve: number[];
}

type Trial = Pick<Round, "drafted" | "accepted">;

/** Rounds that the pooled rate counts for at each position: few reach the far positions. */
const POOLED_ROUNDS = 8;

/**
 * An acceptance curve of d positions whose conditional rates are drawn towards the pooled rate, each position by as much
 * as POOLED_ROUNDS rounds would: with some dozens of rounds the raw curve's tail is noise.
 */
export function steadiedCurve(trials: readonly Trial[], d: number): number[] {
  const pooled = acceptanceOf(trials).acceptance ?? 0;
  const curve = [1];
  for (let i = 1; i <= d; i++) {
    const reached = trials.filter((trial) => trial.drafted >= i && trial.accepted >= i - 1);
    const kept = reached.filter((trial) => trial.accepted >= i).length;
    const rate = (kept + POOLED_ROUNDS * pooled) / (reached.length + POOLED_ROUNDS);
    curve.push(Number((curve[i - 1] * rate).toPrecision(6)));
  }
  return curve;
}

/** Misses that a rate is taken to have beyond those seen (Jeffreys' prior for a rate). */
const UNSEEN_MISSES = 0.5;

/**
 * A curve as it is on average where so many positions showed it: among few, a draft that hardly ever misses has often not
 * missed at all, and would look best at the longest length. SmolLM2-135M, everything in int8, 128 positions at each of 1,000
 * and 4,000 tokens: 0.994 and 1 of the tokens accepted, and on other text 0.977 and 0.986.
 * @param curve  [d+1]
 * @param tokens positions behind it
 */
export const withUnseenMiss = (curve: readonly number[], tokens: number): number[] =>
  curve.map((a, i) => Number((a * (tokens / (tokens + UNSEEN_MISSES)) ** i).toPrecision(6)));

/** A draft's curve, and what each position showed: comparable with another draft's over the same continuations. */
export interface MeasuredPositions extends MeasuredCurve {
  /** [positions] 1 or 0 for a hit or a miss; where the text was sampled, the overlap, which is the chance of acceptance */
  positions: number[];
}

/**
 * Curves of several drafts over the same continuations, one pass for every d tokens (draft-pass.ts), read as rounds that follow
 * one another (acceptance-curve.ts; sampled-acceptance.ts for sampled text).
 * @param d tokens of a pass, the length of the curves
 */
export async function measureDrafts(
  engine: Engine,
  continuations: readonly Continuation[],
  drafts: readonly ChoiceSet[],
  d: number,
  progress: Progress,
): Promise<MeasuredPositions[]> {
  const walked: boolean[][][] = drafts.map(() => []);
  const sampled: SampledRound[][] = drafts.map(() => []);
  const positions: number[][] = drafts.map(() => []);
  for (const [index, continuation] of continuations.entries()) {
    await fillCache(engine, continuation, progress);
    for (const hits of walked) hits.push([]);
    const distributions = continuation.temperature === undefined ? null : targetDistributions(engine, continuation);
    for (const span of spansBackwards(continuation, d)) {
      for (const [i, choices] of drafts.entries()) {
        if (distributions === null) {
          const { hits } = probeRound(engine, continuation, span, { choices }, null);
          hits.forEach((hit, k) => {
            walked[i][index][span.from + k] = hit;
          });
          positions[i].push(...hits.map(Number));
        } else {
          const round = sampledRound(engine, continuation, span, choices, distributions);
          sampled[i].push(round);
          positions[i].push(...round.overlaps);
        }
        await progress.tick();
      }
    }
    await progress.tick({ stage: "measure", done: index + 1, total: continuations.length });
  }
  const tokens = Math.max(1, positions[0]?.length ?? 0);
  return drafts.map((_, i) => {
    const curve =
      sampled[i].length > 0
        ? sampledCurve(sampled[i], d, POOLED_ROUNDS)
        : withUnseenMiss(curveOfRounds(walked[i], d, POOLED_ROUNDS), tokens);
    return { tokens, curve, positions: positions[i] };
  });
}

/** One draft by real drafting, d tokens a round, after prompts it was not chosen on. */
export async function measureByDrafting(
  engine: Engine,
  clock: Clock,
  prompts: readonly (readonly number[])[],
  draft: { choices: ChoiceSet; draftTokens: number },
  tokens: number,
  progress: Progress,
): Promise<MeasuredCurve> {
  const rounds: Round[] = [];
  let positions = 0;
  for (const [index, prompt] of prompts.entries()) {
    const options = { maxTokens: tokens, endTokens: engine.spec.eosTokenIds, policy: () => draft, clock, progress };
    const decoded = await decode(engine, prompt, options);
    rounds.push(...decoded.rounds);
    positions += decoded.ids.length;
    await progress.tick({ stage: "report", done: index + 1, total: prompts.length });
  }
  return {
    tokens: Math.max(1, positions),
    curve: steadiedCurve(
      rounds.filter((r) => r.drafted > 0),
      draft.draftTokens,
    ),
  };
}
