/**
 * The surrogate held against what was measured. −ln α(S) ≈ e^a · (Σ ℓ)^γ: one factor and one curvature for all drafts
 * of a context. It is monotone, so it leaves the knapsack's frontier as it is and moves only the choice along it.
 */
import type { ContextData } from "./problem.js";
import { surrogateLoss } from "./problem.js";

export interface Correction {
  a: number;
  gamma: number;
}

/** How many measured drafts the uncorrected surrogate (a = 0, γ = 1) counts for. */
const PRIOR = 1;

/** Per-token acceptance that a curve amounts to: accepted tokens per token tried. */
export function acceptanceRate(curve: readonly number[]): number {
  const accepted = curve.slice(1).reduce((sum, a) => sum + a, 0);
  const tried = curve.slice(0, -1).reduce((sum, a) => sum + a, 0);
  return tried === 0 ? 0 : accepted / tried;
}

/** Weighted ridge regression of ln(−ln α) on ln Σℓ. */
export function fitCorrection(context: ContextData): Correction {
  let [saa, sag, sgg, ba, bg] = [PRIOR, 0, PRIOR, 0, PRIOR];
  for (const { set, curve, part } of context.measured) {
    const x = surrogateLoss(context.losses, set);
    const y = -Math.log(Math.max(acceptanceRate(curve), 1e-6));
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
  return { a, gamma: Math.min(2, Math.max(0.5, gamma)) };
}

/** α a draft of surrogate loss x is expected to reach. */
export function expectedRate({ a, gamma }: Correction, loss: number): number {
  return loss <= 0 ? 1 : Math.exp(-Math.exp(a) * loss ** gamma);
}
