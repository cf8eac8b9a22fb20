/** How many numbers a model's weights are. */
import { expectedTensors, product } from "./formats/tensors.js";
import type { ModelSpec } from "./spec.js";

/** Of the whole model; a head that is the embedding table is counted once. */
export function parametersOf(spec: ModelSpec): number {
  let parameters = 0;
  for (const shape of expectedTensors(spec).values()) parameters += product(shape);
  return parameters;
}

/** Of these, those that a token goes through: a mixture's router, and as many of its experts as are chosen. */
export function activeParametersOf(spec: ModelSpec): number {
  const { experts } = spec;
  if (experts === undefined) return parametersOf(spec);
  const one = 3 * spec.intermediateSize * spec.hiddenSize;
  return parametersOf(spec) - spec.layers * (experts.count - experts.perToken) * one;
}
