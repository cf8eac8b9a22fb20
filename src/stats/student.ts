/**
 * Student's t: how far a mean of few observations lies from the truth, in its own estimated standard errors.
 *
 * From the incomplete beta function, exact for any number of degrees of freedom. The expansion around the normal quantile
 * (Abramowitz and Stegun 1964, 26.7.5) is off by a quarter with one degree of freedom and by 2 % with three, which is
 * where intervals over few prompts need it.
 */
import { gammaln } from "simple-statistics";

/** Chance that t is at most `t`. @param freedom degrees of freedom, above 0 */
export function studentProbability(t: number, freedom: number): number {
  if (!Number.isFinite(t)) return t > 0 ? 1 : 0;
  const square = t * t;
  // the tail beyond |t| is ½ I_x(ν/2, ½) at x = ν / (ν + t²); near the middle 1 - x is the exact one of the two
  const tail =
    square < freedom
      ? 0.5 * (1 - incompleteBeta(square / (freedom + square), 0.5, freedom / 2))
      : 0.5 * incompleteBeta(freedom / (freedom + square), freedom / 2, 0.5);
  return t > 0 ? 1 - tail : tail;
}

/**
 * The t that is not exceeded with the given chance.
 * @param probability in (0, 1): 0.975 for a two-sided 95 % interval
 * @param freedom     degrees of freedom, above 0
 * @throws RangeError outside of these
 */
export function studentQuantile(probability: number, freedom: number): number {
  if (!(probability > 0 && probability < 1)) throw new RangeError(`a quantile of ${probability} lies not in (0, 1)`);
  if (!(freedom > 0)) throw new RangeError(`${freedom} degrees of freedom are too few`);
  if (probability === 0.5) return 0;
  // the lower tail, where a probability keeps its digits
  const tail = Math.min(probability, 1 - probability);
  const t = -lowerQuantile(tail, freedom);
  return probability > 0.5 ? t : -t;
}

/** Bisection of log |t|: sure to end, and quick enough for what is asked a few times a run. */
function lowerQuantile(tail: number, freedom: number): number {
  let [near, far] = [0, 1];
  while (studentProbability(-far, freedom) > tail) far *= 2;
  for (let step = 0; step < 200 && far - near > Number.EPSILON * far; step++) {
    const middle = (near + far) / 2;
    if (middle === near || middle === far) break;
    if (studentProbability(-middle, freedom) > tail) near = middle;
    else far = middle;
  }
  return -(near + far) / 2;
}

/** Regularised incomplete beta function I_x(a, b), by its continued fraction (Press et al., Numerical Recipes, 6.4). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a); // the fraction converges fast only below
  const front = Math.exp(gammaln(a + b) - gammaln(a) - gammaln(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  return front * betaFraction(x, a, b);
}

const MOST_TERMS = 10_000;
const TINY = 1e-300;

/** Lentz's way of evaluating a continued fraction from its beginning. */
function betaFraction(x: number, a: number, b: number): number {
  const away = (value: number) => (Math.abs(value) < TINY ? TINY : value);
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= MOST_TERMS; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    fraction *= d * c;
    if (Math.abs(d * c - 1) < Number.EPSILON) break;
  }
  return fraction;
}
