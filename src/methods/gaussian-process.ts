/**
 * Gaussian-process regression over sets of blocks (Rasmussen and Williams 2006, algorithm 2.1), with a squared-exponential
 * kernel of the number of blocks in which two sets differ. Values are brought to mean 0 and variance 1.
 */
import { cumulativeStdNormalProbability, mean, standardDeviation } from "simple-statistics";

export interface Sample {
  x: readonly boolean[];
  y: number;
}

export interface Normal {
  mean: number;
  deviation: number;
}

export interface GaussianProcess {
  at(x: readonly boolean[]): Normal;
}

/** Length scale, as a share of the blocks; noise variance of a sample, as a share of the signal's. */
const LENGTH = 0.15;
const NOISE = 0.02;

const distance = (a: readonly boolean[], b: readonly boolean[]): number =>
  a.reduce((sum, value, i) => sum + (value === b[i] ? 0 : 1), 0);

function kernel(a: readonly boolean[], b: readonly boolean[]): number {
  const length = Math.max(1, LENGTH * a.length);
  return Math.exp(-distance(a, b) / (2 * length));
}

/** Lower Cholesky factor, row by row. */
function factor(matrix: readonly (readonly number[])[]): number[][] {
  const lower: number[][] = [];
  for (const [i, row] of matrix.entries()) {
    lower.push([]);
    for (let j = 0; j <= i; j++) {
      let sum = row[j];
      for (let k = 0; k < j; k++) sum -= lower[i][k] * lower[j][k];
      lower[i].push(i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / lower[j][j]);
    }
  }
  return lower;
}

/** x of L x = b */
function forward(lower: readonly (readonly number[])[], right: readonly number[]): number[] {
  const x: number[] = [];
  for (const [i, row] of lower.entries()) {
    let sum = right[i];
    for (let k = 0; k < i; k++) sum -= row[k] * x[k];
    x.push(sum / row[i]);
  }
  return x;
}

/** @param samples one at least */
export function gaussianProcess(samples: readonly Sample[]): GaussianProcess {
  const values = samples.map(({ y }) => y);
  const centre = mean(values);
  const scale = standardDeviation(values) || 1;
  const matrix = samples.map((a, i) => samples.map((b, j) => kernel(a.x, b.x) + (i === j ? NOISE : 0)));
  const lower = factor(matrix);
  const whitened = forward(
    lower,
    values.map((y) => (y - centre) / scale),
  );
  return {
    at(x) {
      const across = forward(
        lower,
        samples.map((sample) => kernel(sample.x, x)),
      );
      const expected = across.reduce((sum, value, i) => sum + value * whitened[i], 0);
      const variance = Math.max(1e-12, 1 - across.reduce((sum, value) => sum + value * value, 0));
      return { mean: centre + scale * expected, deviation: scale * Math.sqrt(variance) };
    },
  };
}

/** What a draw of it is expected to lie above the best by (Jones, Schonlau and Welch 1998, eq. 15). */
export function expectedImprovement({ mean: expected, deviation }: Normal, best: number): number {
  const z = (expected - best) / deviation;
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  return (expected - best) * cumulativeStdNormalProbability(z) + deviation * density;
}
