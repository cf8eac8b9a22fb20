/**
 * What a plan is chosen by: tokens per time of draft-and-verify decoding, for one sequence at a time (batch 1).
 *
 *     TPT(d) = (1 + Σ_{i=1..d} a_i) / (d · draft + verify(d) + round)
 *
 * Leviathan, Kalman and Matias 2023 (arXiv:2211.17192) give the numerator for a_i = α^i in eq. 1, and charge
 * verification as one step; KnapSpec (arXiv:2602.20217) maximises the quotient over draft and length. Here
 * verification of d + 1 tokens is charged as measured, and so is what the decoding loop adds.
 *
 * All times are µs.
 */
import { DraftplanError } from "../core/errors.js";

/** What one round of d drafted tokens costs and yields. */
export interface Round {
  /** [d+1] a_i, chance that the first i drafted tokens are all accepted; a_0 = 1 */
  acceptanceCurve: readonly number[];
  /** µs of one draft step */
  draftUs: number;
  /** µs of one target pass over d + 1 tokens */
  verifyUs: number;
  /** µs the decoding loop itself adds to a round */
  roundUs: number;
  /** µs that every emitted token bears besides: a prompt read once more, over the tokens of an answer; default: 0 */
  perTokenUs?: number;
}

/** The times and acceptance of one draft at one context, for every draft length. */
export interface DraftLengthProblem {
  /** µs of one draft step */
  draftUs: number;
  /** µs of one target pass over d + 1 tokens */
  verifyUs: (draftTokens: number) => number;
  /** µs the decoding loop itself adds to a round */
  roundUs: number;
  /** [d+1] acceptance curve for d drafted tokens */
  curve: (draftTokens: number) => readonly number[];
  /** µs that every emitted token bears besides; default: 0 */
  perTokenUs?: number;
  /** longest draft to consider, ≥ 1 */
  maxDraft: number;
}

export interface DraftLength {
  /** d, bonus token not counted */
  draftTokens: number;
  tokensPerSecond: number;
}

/**
 * Accepted length: tokens that a round yields, bonus token counted, 1 + Σ a_i.
 * With a_i = α^i it is (1 − α^{d+1}) / (1 − α), eq. 1 of arXiv:2211.17192.
 * @param curve [d+1] a_i, a_0 = 1
 */
export function expectedTokens(curve: readonly number[]): number {
  return curve.reduce((sum, a) => sum + a, 0);
}

/** Expected tokens per second of draft-and-verify decoding, bonus token counted; [1] as curve is d = 0, no draft. */
export function tokensPerSecond({ acceptanceCurve, draftUs, verifyUs, roundUs, perTokenUs = 0 }: Round): number {
  const draftTokens = acceptanceCurve.length - 1;
  const tokens = expectedTokens(acceptanceCurve);
  return (1e6 * tokens) / (draftTokens * draftUs + verifyUs + roundUs + tokens * perTokenUs);
}

/**
 * Times faster than plain decoding.
 * @param tps          tokens per second of the plan
 * @param targetStepUs µs of one target pass over one token, verify(n, 0)
 * @param stepUs       µs the decoding loop itself adds to a plain step
 */
export function speedup(tps: number, targetStepUs: number, stepUs: number): number {
  return (tps * (targetStepUs + stepUs)) / 1e6;
}

/**
 * Acceptance curve [d+1] where every drafted token is accepted with the same chance, a_i = α^i.
 * @param alpha acceptance rate, 0 to 1
 * @param d     draft length
 */
export function curveFromRate(alpha: number, d: number): number[] {
  return Array.from({ length: d + 1 }, (_, i) => alpha ** i);
}

/**
 * The draft length of most tokens per second, found by trying 1 to maxDraft: measured curves and verification times
 * need not be smooth, so nothing is assumed of their shape. Of equal lengths the shortest.
 * Whether to speculate at all is the caller's comparison with plain decoding.
 */
export function bestDraftLength({
  draftUs,
  verifyUs,
  roundUs,
  perTokenUs = 0,
  curve,
  maxDraft,
}: DraftLengthProblem): DraftLength {
  let best: DraftLength | undefined;
  for (let draftTokens = 1; draftTokens <= maxDraft; draftTokens += 1) {
    const acceptanceCurve = curve(draftTokens);
    const tps = tokensPerSecond({ acceptanceCurve, draftUs, verifyUs: verifyUs(draftTokens), roundUs, perTokenUs });
    if (acceptanceCurve.length !== draftTokens + 1 || !Number.isFinite(tps))
      throw unusable(draftTokens, acceptanceCurve, tps);
    if (best === undefined || tps > best.tokensPerSecond) best = { draftTokens, tokensPerSecond: tps };
  }
  if (best === undefined) throw unusable(maxDraft, [], Number.NaN);
  return best;
}

export interface BreakEvenProblem {
  /** [d+1] acceptance curve for d drafted tokens */
  curve: (draftTokens: number) => readonly number[];
  /** µs of one target pass over d + 1 tokens */
  verifyUs: (draftTokens: number) => number;
  /** µs the decoding loop itself adds to a round */
  roundUs: number;
  /** longest draft to consider, ≥ 1 */
  maxDraft: number;
  /** µs a token of what it has to beat */
  perTokenUs: number;
}

export interface BreakEven {
  /** µs that a draft step may take at most; with less a round of `draftTokens` is faster */
  draftUs: number;
  draftTokens: number;
}

/**
 * The dearest draft step that still pays, and the draft length at which it does: greatest of
 * (perTokenUs · Σ a_i − verify(d) − round) / d over the lengths. With a dearer step no length is faster.
 * @returns null where not even a draft that costs nothing is faster
 */
export function breakEven({ curve, verifyUs, roundUs, maxDraft, perTokenUs }: BreakEvenProblem): BreakEven | null {
  let best: BreakEven | null = null;
  for (let draftTokens = 1; draftTokens <= maxDraft; draftTokens++) {
    const left = perTokenUs * expectedTokens(curve(draftTokens)) - verifyUs(draftTokens) - roundUs;
    const draftUs = left / draftTokens;
    if (draftUs > 0 && (best === null || draftUs > best.draftUs)) best = { draftUs, draftTokens };
  }
  return best;
}

function unusable(draftTokens: number, curve: readonly number[], tps: number): DraftplanError {
  return new DraftplanError({
    code: "INTERNAL",
    at: `bestDraftLength: draft of ${draftTokens} tokens`,
    what: `an acceptance curve of ${curve.length} values gives ${tps} tokens per second`,
    remedy:
      "a draft length is at least 1, its curve has one value more, and times are positive; please report this bug",
  });
}
