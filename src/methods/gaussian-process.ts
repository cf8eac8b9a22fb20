/**
 * Gaussian-process regression over sets of blocks (Rasmussen and Williams 2006, algorithm 2.1), with a squared-exponential
 * kernel of the number of blocks in which two sets differ. Values are brought to mean 0 and variance 1.
 */
import { cumulativeStdNormalProbability, mean, standardDeviation } from "simple-statistics";
import { cholesky, solveCholesky } from "../stats/linear.js";
import { sum } from "../stats/numbers.js";

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

/** @param samples one at least */
export function gaussianProcess(samples: readonly Sample[]): GaussianProcess {
  const values = samples.map(({ y }) => y);
  const centre = mean(values);
  const scale = standardDeviation(values) || 1;
  const size = samples.length;
  const matrix = Float64Array.from({ length: size * size }, (_, at) => {
    const [i, j] = [Math.floor(at / size), at % size];
    return kernel(samples[i].x, samples[j].x) + (i === j ? NOISE : 0);
  });
  const factor = cholesky(matrix, size);
  const given = solveCholesky(
    factor,
    size,
    Float64Array.from(values, (y) => (y - centre) / scale),
  );
  return {
    at(x) {
      const across = Float64Array.from(samples, (sample) => kernel(sample.x, x));
      const explained = solveCholesky(factor, size, across);
      const expected = sum(across.map((value, i) => value * given[i]));
      const variance = Math.max(1e-12, 1 - sum(across.map((value, i) => value * explained[i])));
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
