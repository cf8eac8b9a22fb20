/** The acceptance of whole drafts along texts that the target continued: quickly, to choose among them. */

import type { Progress } from "../core/progress.js";
import { prefill, type Round } from "../decode/loop.js";
import { acceptanceOf } from "../decode/statistics.js";
import type { Engine } from "../runtime/engine.js";
import type { ChoiceSet } from "../schema/choice.js";
import type { ConfidenceTable } from "../schema/stop/confidence.js";
import { acceptedLengthError } from "../stats/length-error.js";
import { significant } from "../stats/numbers.js";
import { countRounds, curveOfRounds, roundsReaching } from "./acceptance-curve.js";
import { ConfidenceCounts, tableOf } from "./confidence.js";
import { type Continuation, fillCache, spansBackwards } from "./continuation.js";
import { type DraftPass, draftPass } from "./draft-pass.js";
import {
  type SampledRound,
  sampledCurve,
  sampledReaching,
  sampledRound,
  sampledTokens,
  targetDistributions,
} from "./sampled-acceptance.js";
import { siblingShares } from "./siblings.js";

export interface MeasuredCurve {
  /** positions behind the curve */
  tokens: number;
  /** [d+1] */
  curve: number[];
  /** [d] rounds that came to position i: all i - 1 tokens before it were accepted */
  reached: number[];
  /** [d] standard error of the tokens of a round of k = 1, 2, …, as a share of them; left out: too few texts to say */
  length_errors?: number[];
  /** [d][ranks] what siblings of the last token are worth (siblings.ts); left out where that was not looked at */
  siblings?: number[][];
  /** acceptance by the draft's confidence; left out where that was not looked at */
  confidence?: ConfidenceTable;
}

export type Trial = Pick<Round, "drafted" | "accepted">;

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
    curve.push(significant(curve[i - 1] * rate, 6));
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
const withUnseenMiss = (curve: readonly number[], tokens: number): number[] =>
  curve.map((a, i) => significant(a * (tokens / (tokens + UNSEEN_MISSES)) ** i, 6));

/** What one draft showed along some texts, from which its curve follows at any number of texts. */
export class DraftEvidence {
  /** [texts][positions] whether the draft's token is the target's; greedy text alone */
  private readonly hits: boolean[][] = [];
  /** [texts][positions] rank of the target's token among the draft's; greedy text alone */
  private readonly ranks: number[][] = [];
  /** [texts] rounds along sampled text */
  private readonly sampled: SampledRound[][] = [];
  /** [positions] 1 or 0 for a hit or a miss; where the text was sampled, the overlap, which is the chance of acceptance */
  readonly positions: number[] = [];
  /** [texts] of what kind each is */
  private readonly kinds: (number | undefined)[] = [];
  private readonly confidence = new ConfidenceCounts();

  beginText(kind?: number): void {
    this.kinds.push(kind);
    this.hits.push([]);
    this.ranks.push([]);
    this.sampled.push([]);
  }

  addHits(from: number, { hits, confidences, ranks }: Pick<DraftPass, "hits" | "confidences" | "ranks">): void {
    const text = this.hits[this.hits.length - 1];
    ranks.forEach((rank, k) => {
      this.ranks[this.ranks.length - 1][from + k] = rank;
    });
    hits.forEach((hit, k) => {
      text[from + k] = hit;
      if (confidences.length > 0) this.confidence.add(confidences[k], Number(hit));
    });
    this.positions.push(...hits.map(Number));
  }

  addSampled(round: SampledRound): void {
    this.sampled[this.sampled.length - 1].push(round);
    this.positions.push(...round.overlaps);
    for (const [k, confidence] of round.confidences.entries()) this.confidence.add(confidence, round.overlaps[k]);
  }

  /** The same draft's evidence on further texts is taken in. */
  take(other: DraftEvidence): void {
    this.kinds.push(...other.kinds);
    this.hits.push(...other.hits);
    this.ranks.push(...other.ranks);
    this.sampled.push(...other.sampled);
    this.positions.push(...other.positions);
    this.confidence.take(other.confidence);
  }

  /** @param d length of the curve */
  curve(d: number): MeasuredCurve {
    const tokens = Math.max(1, this.positions.length);
    const rounds = this.sampled.flat();
    const beside = { ...lengthErrors(d, tokens, (k) => this.error(k)), ...tableOf(this.confidence) };
    if (rounds.length > 0) {
      const curve = sampledCurve(rounds, d, POOLED_ROUNDS);
      return { tokens, curve, reached: sampledReaching(rounds, d), ...beside };
    }
    const curve = withUnseenMiss(curveOfRounds(this.hits, d, POOLED_ROUNDS), tokens);
    const shares = siblingShares(this.ranks, d);
    const siblings = shares === null ? {} : { siblings: shares };
    return { tokens, curve, reached: roundsReaching(this.hits, d), ...siblings, ...beside };
  }

  /** Standard error of the tokens of a round of k, as a share of them; null under two texts. */
  error(k: number): number | null {
    const counts = this.sampled.some((rounds) => rounds.length > 0)
      ? this.sampled.map((rounds) => sampledTokens(rounds, k))
      : this.hits.map((hits) => countRounds([hits], k));
    return acceptedLengthError(counts.map((count, i) => ({ ...count, kind: this.kinds[i] })));
  }
}

/**
 * A draft that has not missed is not known for certain: half a miss in all its positions (withUnseenMiss) takes i / 2n off
 * a_i, and so k / 4n off the tokens of a round of k. It is added in squares.
 * @param positions n
 * @param of        error of rounds of k tokens; null: too few texts
 */
export function lengthErrors(
  d: number,
  positions: number,
  of: (k: number) => number | null,
): Pick<MeasuredCurve, "length_errors"> {
  const errors = Array.from({ length: d }, (_, i) => of(i + 1));
  if (errors.some((error) => error === null)) return {};
  const unseen = (k: number) => (UNSEEN_MISSES * k) / 2 / positions;
  return { length_errors: errors.map((error, i) => significant(Math.hypot(error as number, unseen(i + 1)), 3)) };
}

/** A draft's curve, and the evidence behind it: comparable with another draft's over the same continuations. */
export interface MeasuredPositions extends MeasuredCurve {
  positions: readonly number[];
  evidence: DraftEvidence;
}

/**
 * Curves of several drafts over the same continuations, one pass for every d tokens (draft-pass.ts), read as rounds that
 * follow one another (acceptance-curve.ts; sampled-acceptance.ts for sampled text).
 * @param d       tokens of a pass, the length of the curves
 * @param isCached whether the cache holds the target's states of the first continuation already, as after making it
 */
export async function measureDrafts(
  engine: Engine,
  continuations: readonly Continuation[],
  drafts: readonly ChoiceSet[],
  d: number,
  progress: Progress,
  isCached = false,
): Promise<MeasuredPositions[]> {
  const found = drafts.map(() => new DraftEvidence());
  for (const [index, continuation] of continuations.entries()) {
    if (index > 0 || !isCached) await fillCache(engine, continuation, progress);
    for (const evidence of found) evidence.beginText(continuation.kind);
    const distributions = continuation.temperature === undefined ? null : targetDistributions(engine, continuation);
    for (const span of spansBackwards(continuation, d)) {
      for (const [i, choices] of drafts.entries()) {
        if (distributions === null)
          found[i].addHits(span.from, draftPass(engine, continuation, span, choices, null, true));
        else found[i].addSampled(sampledRound(engine, continuation, span, choices, distributions));
        await progress.tick();
      }
    }
    await progress.tick({ stage: "measure", done: index + 1, total: continuations.length });
  }
  return found.map((evidence) => ({ ...evidence.curve(d), positions: evidence.positions, evidence }));
}

/**
 * The same of drafts with a cache of their own. A draft's token at a position depends on nothing but the text before it: the
 * cache holds the draft's own states of that text, and up to the first miss of a round what was drafted is the text. So every
 * position is that of a real round, and each draft runs over the text once.
 * @param own   an engine of the same weights, whose cache the drafts fill one after another
 * @param engine whose cache the prompt is put into, where the text was sampled and the target's distributions are needed
 */
export async function measureStandalone(
  engine: Engine,
  own: Engine,
  continuations: readonly Continuation[],
  drafts: readonly ChoiceSet[],
  d: number,
  progress: Progress,
): Promise<MeasuredPositions[]> {
  const found = drafts.map(() => new DraftEvidence());
  for (const [index, continuation] of continuations.entries()) {
    const sampled = continuation.temperature !== undefined;
    if (sampled) await fillCache(engine, continuation, progress);
    const distributions = sampled ? targetDistributions(engine, continuation) : [];
    for (const [i, choices] of drafts.entries()) {
      found[i].beginText(continuation.kind);
      await prefill(own, continuation.prompt, choices, progress);
      for (const span of spansBackwards(continuation, d).reverse()) {
        if (sampled) found[i].addSampled(sampledRound(own, continuation, span, choices, distributions));
        else found[i].addHits(span.from, draftPass(own, continuation, span, choices, null, true));
        await progress.tick();
      }
    }
    await progress.tick({ stage: "measure", done: index + 1, total: continuations.length });
  }
  return found.map((evidence) => ({ ...evidence.curve(d), positions: evidence.positions, evidence }));
}
