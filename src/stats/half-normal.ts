/** How far the members of a group differ from each other, given estimates of a few: half-normal prior (Gelman 2006). */
import { sum } from "./numbers.js";

/** Steps of the integral over τ. */
const STEPS = 60;

/**
 * The mean of τ² given what was seen of members that scatter about 0 with standard deviation τ. Without anything seen it
 * is that of the prior, scale² but for a tail.
 * @param seen  estimates of members, each with the variance of its own error
 * @param scale standard deviation of the half-normal prior on τ, in the unit of the values
 */
export function meanTauSquared(seen: readonly { value: number; variance: number }[], scale: number): number {
  const spread = Math.sqrt(sum(seen.map(({ value }) => value ** 2)) / Math.max(1, seen.length));
  const most = 3 * Math.max(scale, spread);
  const taus = Array.from({ length: STEPS }, (_, i) => most * ((i + 0.5) / STEPS) ** 2);
  const logs = taus.map((tau) =>
    seen.reduce(
      (total, { value, variance }) =>
        total - 0.5 * (Math.log(variance + tau ** 2) + value ** 2 / (variance + tau ** 2)),
      // steps are narrow where τ is small
      Math.log(Math.sqrt(tau / most)) - 0.5 * (tau / scale) ** 2,
    ),
  );
  const highest = Math.max(...logs);
  const masses = logs.map((log) => Math.exp(log - highest));
  return sum(masses.map((mass, i) => mass * taus[i] ** 2)) / sum(masses);
}
