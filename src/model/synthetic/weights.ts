/**
 * Weights made up from a configuration, for timing: what a pass costs does not depend on their values.
 *
 * They are random and not zeros because two things do depend on them. Subnormal numbers are many times slower to compute
 * with on most processors, and activations shrink into them where weights are all tiny; so a matrix keeps activations
 * about as large as they come in, and no value is near zero's end of the range. And memory full of zeros is not memory in
 * use: the operating system may back it with one page, file systems and some devices compress it, and sparse kernels skip
 * it. The int8 form is made from the fp32 one, as for a real model, so that a draft agrees with its target now and then.
 */
import { createHash } from "node:crypto";
import { seededRandom } from "../../stats/random.js";
import type { ModelSpec, WeightSource } from "../spec.js";

export const SYNTHETIC_SEED = 1;

/** Norms lie around 1 and biases around 0, both by this much. */
const VECTOR_SPREAD = 0.1;

/**
 * @param seed the same seed gives the same weights, whatever the order in which tensors are read
 * @returns weights that are made when they are asked for, one tensor at a time
 */
export function syntheticWeights(spec: ModelSpec, seed = SYNTHETIC_SEED): WeightSource {
  return {
    spec,
    tensor(name, shape) {
      const values = new Float32Array(shape.reduce((product, n) => product * n, 1));
      const isMatrix = shape.length === 2;
      const centre = name.endsWith("norm.weight") ? 1 : 0;
      // uniform in ±√(3 / inputs): variance 1 / inputs, so that a product is as large as its input
      fillUniform(values, centre, isMatrix ? Math.sqrt(3 / shape[1]) : VECTOR_SPREAD, seedOf(name, seed));
      return values;
    },
  };
}

const seedOf = (name: string, seed: number): number =>
  createHash("sha256").update(`${seed}\0${name}`).digest().readInt32LE(0);

/** centre ± spread; never exactly the centre, since an odd number is never 0 */
function fillUniform(values: Float32Array, centre: number, spread: number, seed: number): void {
  const random = seededRandom(seed); // 5 ns a value (EPYC, Node 20): a layer of an 8B model in a second
  const scale = spread / 2 ** 31;
  for (let i = 0; i < values.length; i++) values[i] = centre + (random.bits() | 1) * scale;
}
