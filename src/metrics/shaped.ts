/** A curve of acceptance for an engine that tells how many tokens were accepted, and not at which position. */
import { sum } from "../stats/numbers.js";
import type { EngineCounts } from "./counts.js";

/** enough to halve any bracket of exponents to below a millionth */
const HALVINGS = 60;
const LARGEST_EXPONENT = 64;

/**
 * The predicted curve p bent to what was counted: a_i = p_i^γ with the one γ that gives the engine's own ratio, which is
 * Σ a_i / Σ a_{i−1} where it counts tokens up to the first rejection (cut rounds do not change it), else Σ a_i / d. Of a draft
 * that nothing is predicted of p_i is 2^−i, and so a_i one rate to the power of i.
 * @param shape [d+1] predicted, a_0 = 1; null: none
 * @param draftTokens d
 * @returns [d+1] a_i; null where the engine does not tell enough
 */
export function shapedCurve(
  { drafted, evaluated, accepted }: Pick<EngineCounts, "drafted" | "evaluated" | "accepted">,
  shape: readonly number[] | null,
  draftTokens: number,
): number[] | null {
  const tried = evaluated ?? drafted;
  if (accepted === null || tried === null || tried === 0) return null;
  const wanted = Math.min(1, accepted / tried);
  const isUsable =
    shape !== null && shape.length === draftTokens + 1 && shape.every((p, i) => i === 0 || (p > 0 && p < 1));
  const likely = isUsable ? shape : Array.from({ length: draftTokens + 1 }, (_, i) => 2 ** -i);
  const bent = (exponent: number) => likely.map((p) => p ** exponent);
  const ratio = (curve: readonly number[]) =>
    (sum(curve) - 1) / (evaluated === null ? draftTokens : sum(curve.slice(0, -1)));
  // both ratios fall as the exponent rises: every a_i falls, and those behind by more
  let [low, high] = [0, LARGEST_EXPONENT];
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    if (ratio(bent(middle)) > wanted) low = middle;
    else high = middle;
  }
  return bent(high);
}
