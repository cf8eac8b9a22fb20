/** Against the closed form without evidence, and an integral of 200,000 even steps with it. */
import { expect, test } from "vitest";
import { meanTauSquared } from "../../src/stats/half-normal.js";

type Seen = Parameters<typeof meanTauSquared>[0];

/** The posterior written out: half-normal density times normal densities, by the trapezoid rule up to 12 scales. */
function integrated(seen: Seen, scale: number, most: number): number {
  const steps = 200_000;
  let [mass, moment] = [0, 0];
  for (let i = 1; i <= steps; i++) {
    const tau = (most * i) / steps;
    const density = seen.reduce(
      (product, { value, variance }) =>
        product * (Math.exp((-value * value) / 2 / (variance + tau * tau)) / Math.sqrt(variance + tau * tau)),
      Math.exp(-((tau / scale) ** 2) / 2),
    );
    mass += density;
    moment += density * tau * tau;
  }
  return moment / mass;
}

test("without evidence it is the second moment of a half-normal cut off at three standard deviations", () => {
  // 1 − 2 · 3 φ(3) / (2 Φ(3) − 1)
  const [phi, inside] = [Math.exp(-4.5) / Math.sqrt(2 * Math.PI), 0.9973002039];
  for (const scale of [1, 0.02])
    expect(meanTauSquared([], scale) / scale ** 2 / (1 - (6 * phi) / inside)).toBeCloseTo(1, 2);
});

test("many members known well: in another unit it is the same, squared", () => {
  const seen = Array.from({ length: 400 }, (_, i) => ({ value: Math.sin(i), variance: 0.01 }));
  const tau = meanTauSquared(seen, 1);
  expect(tau).toBeCloseTo(0.49, 1); // sin² is a half on average
  for (const unit of [1e-3, 1e3]) {
    const scaled = seen.map(({ value, variance }) => ({ value: unit * value, variance: unit ** 2 * variance }));
    expect(meanTauSquared(scaled, unit) / unit ** 2).toBeCloseTo(tau, 9);
  }
});

test.each<[string, number[], number]>([
  ["members that scatter as the prior expects", [0.9, -1.1, 0.2, -0.4, 1.3], 0.1],
  ["members that scatter less than their own noise", [0.05, -0.02, 0.04], 0.5],
  ["two members, noisy", [1.5, -1.2], 1],
  ["one member", [0.7], 0.2],
])("%s: as the integral in even steps", (_, values, variance) => {
  for (const scale of [0.5, 1, 2]) {
    const seen = values.map((value) => ({ value, variance }));
    const most = 3 * Math.max(scale, Math.hypot(...values) / Math.sqrt(values.length));
    expect(meanTauSquared(seen, scale) / integrated(seen, scale, most)).toBeCloseTo(1, 2);
  }
});
