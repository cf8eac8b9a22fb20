/** Pearson's test of counts against chances, with few counts a cell. */
import { gammaln } from "simple-statistics";

/** A statistic whose mean and variance are known where the chances are true: those of several tests may be added. */
export interface ChiSquare {
  /** Σ (count − expected)² / expected */
  statistic: number;
  /** cells − 1, which is also its mean */
  freedom: number;
  variance: number;
}

export const NO_CELLS: ChiSquare = { statistic: 0, freedom: 0, variance: 0 };

/**
 * @param counts  [cells]
 * @param chances [cells] above 0, their sum is 1
 */
export function chiSquare(counts: readonly number[], chances: readonly number[]): ChiSquare {
  const draws = counts.reduce((total, count) => total + count, 0);
  const cells = counts.length;
  if (draws === 0 || cells < 2) return NO_CELLS;
  let [statistic, reciprocals] = [0, 0];
  chances.forEach((chance, i) => {
    statistic += (counts[i] - chance * draws) ** 2 / (chance * draws);
    reciprocals += 1 / chance;
  });
  // Haldane 1937, "The exact value of the moments of the distribution of χ²": more than 2 (cells − 1) where cells are rare
  const variance = 2 * (cells - 1) + (reciprocals - cells * cells - 2 * cells + 2) / draws;
  return { statistic, freedom: cells - 1, variance };
}

export const addedChiSquares = (all: readonly ChiSquare[]): ChiSquare =>
  all.reduce(
    (sum, one) => ({
      statistic: sum.statistic + one.statistic,
      freedom: sum.freedom + one.freedom,
      variance: sum.variance + one.variance,
    }),
    NO_CELLS,
  );

/**
 * Chance of a statistic at least as large where the chances are true: by the gamma distribution of the same mean and
 * variance (Satterthwaite 1946), which is χ² itself where cells are many and full.
 */
export function chanceOfAtLeast({ statistic, freedom, variance }: ChiSquare): number {
  if (freedom === 0 || !(variance > 0)) return 1;
  const scale = variance / freedom;
  return upperGamma(freedom / scale, statistic / scale);
}

/** Q(a, x) = Γ(a, x) / Γ(a), by its series below a + 1 and its continued fraction above (Gil, Segura and Temme 2007, 8.2). */
export function upperGamma(a: number, x: number): number {
  if (x <= 0) return 1;
  const front = Math.exp(a * Math.log(x) - x - gammaln(a));
  if (x < a + 1) {
    let term = 1 / a;
    let total = term;
    for (let n = 1; n < 10_000 && term > total * 1e-16; n++) {
      term *= x / (a + n);
      total += term;
    }
    return Math.max(0, 1 - front * total);
  }
  // Lentz's method
  let b = x + 1 - a;
  let c = 1e300;
  let d = 1 / b;
  let h = d;
  for (let i = 1; i < 10_000; i++) {
    const an = -i * (i - a);
    b += 2;
    d = 1 / nonZero(an * d + b);
    c = nonZero(b + an / c);
    h *= d * c;
    if (Math.abs(d * c - 1) < 1e-15) break;
  }
  return front * h;
}

const nonZero = (value: number): number => (Math.abs(value) < 1e-300 ? 1e-300 : value);
