/**
 * Weights made up from a configuration, for timing: what a pass costs does not depend on their values.
 *
 * They are random and not zeros because two things do depend on them. Subnormal numbers are many times slower to compute
 * with on most processors, and activations shrink into them where weights are all tiny; so a matrix keeps activations
 * about as large as they come in, and no value is near zero's end of the range. And memory full of zeros is not memory in
 * use: the operating system may back it with one page, file systems and some devices compress it, and sparse kernels skip
 * it. The int8 form is made from the fp32 one, as for a real model, so that a draft agrees with its target now and then.
 *
 * A matrix is made for the first layer; the others have the same rows, turned by some rows of each layer's own, so that a
 * model of 32 layers is made and quantised in the time of one, and yet no two layers are equal.
 */
import type { TensorOrigin } from "../conversion/origin.js";
import type { ModelSpec, WeightSource } from "../spec.js";
import { madeRows, madeVector } from "./values.js";

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
      const [rows, inner] = shape;
      if (inner === undefined)
        return madeVector({ name, seed }, rows, name.endsWith("norm.weight") ? 1 : 0, VECTOR_SPREAD);
      const { shift, ...made } = originOf(name, rows, spec.layers, seed);
      return turned(madeRows(made, 0, rows, inner), shift * inner);
    },
    origin: (name, [rows]) => originOf(name, rows, spec.layers, seed),
  };
}

const LAYER = /^model\.layers\.(\d+)\./;

function originOf(name: string, rows: number, layers: number, seed: number): TensorOrigin & { kind: "made" } {
  const layer = Number(LAYER.exec(name)?.[1] ?? 0);
  const shift = (layer * Math.max(1, Math.floor(rows / layers))) % rows;
  return { kind: "made", name: name.replace(LAYER, "model.layers.0."), seed, shift };
}

/** The last `by` numbers go to the front. */
function turned(values: Float32Array, by: number): Float32Array {
  if (by === 0) return values;
  const out = new Float32Array(values.length);
  out.set(values.subarray(0, values.length - by), by);
  out.set(values.subarray(values.length - by));
  return out;
}
