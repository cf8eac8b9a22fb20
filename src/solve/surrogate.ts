/**
 * The surrogate held against what was measured. −ln α(S) ≈ e^a · (Σ ℓ + Σ pairs)^γ: one factor and one curvature for all
 * drafts of a context, and terms for pairs of blocks where there is evidence for them (interactions.ts). Factor and
 * curvature are monotone, so they leave the knapsack's frontier as it is and move only the choice along it; pairs do not.
 */
import type { ChoiceSet } from "../schema/choice.js";
import { clamp } from "../stats/numbers.js";
import { fitPairs, type PairTerm, pairLoss } from "./interactions.js";
import type { ContextData, MeasuredSet } from "./problem.js";
import { surrogateLoss } from "./problem.js";

export interface Correction {
  a: number;
  gamma: number;
}

/** The corrected surrogate of one context. */
export interface Surrogate {
  correction: Correction;
  pairs: readonly PairTerm[];
}

/** How many measured drafts the uncorrected surrogate (a = 0, γ = 1) counts for. */
const PRIOR = 1;
/** A rate below this tells no more than that the draft is useless. */
const LEAST_RATE = 1e-6;

/** Per-token acceptance that a curve amounts to: accepted tokens per token tried. */
export function acceptanceRate(curve: readonly number[]): number {
  const accepted = curve.slice(1).reduce((sum, a) => sum + a, 0);
  const tried = curve.slice(0, -1).reduce((sum, a) => sum + a, 0);
  return tried === 0 ? 0 : accepted / tried;
}

const measuredLoss = (curve: readonly number[]): number => -Math.log(Math.max(acceptanceRate(curve), LEAST_RATE));

/** Weighted ridge regression of ln(−ln α) on ln of the surrogate's loss. */
export function fitCorrection(context: ContextData, pairs: readonly PairTerm[] = []): Correction {
  let [saa, sag, sgg, ba, bg] = [PRIOR, 0, PRIOR, 0, PRIOR];
  for (const { set, curve, part } of context.measured) {
    const x = lossWithPairs(context, pairs, set);
    const y = measuredLoss(curve);
    if (part !== "choose" || x <= 0 || y <= 0) continue;
    const lx = Math.log(x);
    saa += 1;
    sag += lx;
    sgg += lx * lx;
    ba += Math.log(y);
    bg += lx * Math.log(y);
  }
  // normal equations of min Σ (y − a − γ x)² + PRIOR · (a² + (γ − 1)²)
  const determinant = saa * sgg - sag * sag;
  const a = (ba * sgg - bg * sag) / determinant;
  const gamma = (saa * bg - sag * ba) / determinant;
  return { a, gamma: clamp(gamma, 0.5, 2) };
}

/** Factor and curvature, then pairs for what they leave, then factor and curvature again. */
export function fitSurrogate(context: ContextData): Surrogate {
  const first = fitCorrection(context);
  const skipLoss = context.losses.attn.skip?.flatMap(({ loss }, layer) => [
    loss,
    context.losses.mlp.skip?.[layer].loss ?? 0,
  ]);
  if (skipLoss === undefined) return { correction: first, pairs: [] };
  const pairs = fitPairs(
    context.measured.flatMap((m) => onLossScale(context, first, m)),
    skipLoss,
  );
  return { correction: pairs.length === 0 ? first : fitCorrection(context, pairs), pairs };
}

/** A measured draft's loss with factor and curvature taken off, and its standard error from the number of tokens. */
function onLossScale(context: ContextData, { a, gamma }: Correction, { set, curve, part, tokens }: MeasuredSet) {
  const additive = surrogateLoss(context.losses, set);
  const rate = acceptanceRate(curve);
  const loss = measuredLoss(curve);
  if (part !== "choose" || additive <= 0 || loss <= 0 || rate <= LEAST_RATE) return [];
  const seen = (loss / Math.exp(a)) ** (1 / gamma);
  // −ln of a share of `tokens` trials, by the delta method
  const standardError = ((seen / loss) * Math.sqrt((1 - rate) / (rate * tokens))) / gamma;
  return [{ set, additive, seen, standardError }];
}

/** Pairs may not take more than nearly all of what the blocks lose by themselves. */
const LEAST_SHARE = 0.05;

function lossWithPairs(context: ContextData, pairs: readonly PairTerm[], set: ChoiceSet): number {
  const additive = surrogateLoss(context.losses, set);
  return Math.max(LEAST_SHARE * additive, additive + pairLoss(pairs, set));
}

/** α a draft of surrogate loss x is expected to reach. */
export function expectedRate({ a, gamma }: Correction, loss: number): number {
  return loss <= 0 ? 1 : Math.exp(-Math.exp(a) * loss ** gamma);
}

/** α a draft is expected to reach, pairs counted. */
export const expectedRateOf = (context: ContextData, { correction, pairs }: Surrogate, set: ChoiceSet): number =>
  expectedRate(correction, lossWithPairs(context, pairs, set));
