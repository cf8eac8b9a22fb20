/** Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1), without weight decay. */

export interface AdamState {
  /** [weights] the gradient's decaying mean */
  mean: Float32Array;
  /** [weights] that of its square */
  square: Float32Array;
  /** taken */
  steps: number;
}

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

export const newAdam = (weights: number): AdamState => ({
  mean: new Float32Array(weights),
  square: new Float32Array(weights),
  steps: 0,
});

/** Changes weights and state in place. */
export function adamStep(weights: Float32Array, gradient: Float32Array, state: AdamState, rate: number): void {
  const { mean, square } = state;
  state.steps += 1;
  const correction1 = 1 - BETA1 ** state.steps;
  const correction2 = 1 - BETA2 ** state.steps;
  for (let i = 0; i < weights.length; i++) {
    const g = gradient[i];
    mean[i] = BETA1 * mean[i] + (1 - BETA1) * g;
    square[i] = BETA2 * square[i] + (1 - BETA2) * g * g;
    weights[i] -= (rate * (mean[i] / correction1)) / (Math.sqrt(square[i] / correction2) + EPSILON);
  }
}
