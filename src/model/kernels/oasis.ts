/**
 * What OASIS computes (arXiv:2507.23035, first called KLLM), with the operators that there are: weights and activations are
 * codes of 4 bits into codebooks of K-means, and the greatest and least inputs of a token are kept in full. There a product
 * is a sum of entries of a table that holds every weight level times every input level; here levels are put in place of
 * codes and floats are multiplied, which gives the same numbers at no speed. So it is simulated: `evaluate --simulate oasis`
 * counts what a draft in it would keep, and no plan can have it.
 *
 * The abstract and the parts that are public leave open how scales and codebooks are shared. Here a matrix has one codebook
 * for its weights, after division by each row's root mean square, and one for its inputs, after division by the greatest
 * magnitude of those of the token that are no outliers. A table of 16 by 16 then serves a whole matrix.
 */
import { emitFloatProduct, storedFloats } from "./floats.js";
import { kMeans, nearestLevel } from "./k-means.js";
import {
  FLOAT_BYTES,
  type KernelDefinition,
  type Matrix,
  type Product,
  type ProductGraph,
  type WeightPart,
} from "./kernel.js";

const BITS = 4;
export const LEVELS = 2 ** BITS;
/** At each end of a token's inputs: half a percent of them, one at least. */
const OUTLIER_SHARE = 0.005;
/** Weights that a matrix's levels are found from. */
const SAMPLED_WEIGHTS = 1 << 17;
/** Multiples of it, modulo one, spread evenly and fall into step with no row (Weyl). */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Inputs of a matrix that are kept in full at each end. */
export const outliersAtEachEnd = (inner: number): number =>
  Math.min(Math.max(1, Math.round(OUTLIER_SHARE * inner)), Math.floor((inner - 1) / 2));

export const oasis: KernelDefinition<"oasis"> = {
  name: "oasis",
  bits: BITS,
  weights: (matrix) => roundedMatrix(matrix),
  emit: (graph, product) => emitFloatProduct(graph, { ...product, input: emitRoundedInputs(graph, product) }),
  bytes: (out, inner) => FLOAT_BYTES.fp32 * (out * inner + 2 * LEVELS - 1),
  numerics: ({ float }) => `simulated: ${BITS}-bit K-means codebooks for weights and activations, outliers in ${float}`,
};

function roundedMatrix({ label, out, inner, read, inputLevels }: Matrix): WeightPart[] {
  const found = (part: keyof ReturnType<typeof rounding>) => () => {
    if (inputLevels === undefined) throw new Error(`nobody has learned the levels of the inputs of ${label}`);
    return rounding(inputLevels())[part];
  };
  return [
    storedFloats("fp32", label, [out, inner], () => roundedWeights(read(), out, inner)),
    storedFloats("fp32", `${label}.bounds`, [LEVELS - 1], found("bounds")),
    storedFloats("fp32", `${label}.steps`, [LEVELS - 1, 1], found("steps")),
    storedFloats("fp32", `${label}.lowest`, [1], found("lowest")),
  ];
}

/** @returns [out, inner] every weight's nearest level times its row's root mean square */
export function roundedWeights(weights: Float32Array, out: number, inner: number): Float32Array {
  const scales = Float64Array.from({ length: out }, (_, row) => {
    let squares = 0;
    for (let i = row * inner; i < (row + 1) * inner; i++) squares += weights[i] ** 2;
    return Math.sqrt(squares / inner);
  });
  const scaled = (i: number): number => {
    const scale = scales[Math.floor(i / inner)];
    return scale === 0 ? 0 : weights[i] / scale;
  };
  const isSampled = weights.length > SAMPLED_WEIGHTS;
  const sample = Float32Array.from({ length: isSampled ? SAMPLED_WEIGHTS : weights.length }, (_, i) =>
    scaled(isSampled ? Math.floor(((i * GOLDEN) % 1) * weights.length) : i),
  );
  const levels = kMeans(sample, LEVELS);
  return weights.map((_, i) => nearestLevel(levels, scaled(i)) * scales[Math.floor(i / inner)]);
}

/** Levels as the graph adds them up: the lowest, and a step for every bound that a value lies above. */
function rounding(levels: Float64Array): { bounds: Float32Array; steps: Float32Array; lowest: Float32Array } {
  const between = Array.from({ length: LEVELS - 1 }, (_, k) => k);
  return {
    bounds: Float32Array.from(between, (k) => (levels[k] + levels[k + 1]) / 2),
    steps: Float32Array.from(between, (k) => levels[k + 1] - levels[k]),
    lowest: Float32Array.of(levels[0]),
  };
}

/** x [1, q, inner] -> its levels times the token's scale, and outliers as they are. @returns the output's name in the graph */
function emitRoundedInputs(graph: ProductGraph, { input, label, inner, output }: Product): string {
  const node = (operator: string, inputs: string[], local: string, attributes = {}) =>
    graph.node(operator, inputs, `${output}.${local}`, attributes);
  const last = graph.integers(`${output}.last`, [-1]);
  const { least, greatest } = restOf(graph, input, inner, output);
  const scale = node("Max", [node("Abs", [least], "least.size"), node("Abs", [greatest], "greatest.size")], "scale");
  // of noughts alone 0 / 0 is above no bound, and its level times the scale is nought again
  const shares = node("Div", [input, scale], "shares");
  const above = node("Greater", [node("Unsqueeze", [shares, last], "apart"), graph.weight(`${label}.bounds`)], "above");
  const counted = node("Cast", [above], "counted", { to: 1 });
  const steps = node("Squeeze", [node("MatMul", [counted, graph.weight(`${label}.steps`)], "added"), last], "steps");
  const levels = node("Add", [steps, graph.weight(`${label}.lowest`)], "levels");
  const rounded = node("Mul", [levels, scale], "rounded");
  const isOut = node("Or", [node("Greater", [input, greatest], "high"), node("Less", [input, least], "low")], "out");
  return node("Where", [isOut, input, rounded], "inputs");
}

/** The least and the greatest input of a token that are no outliers, [1, q, 1] each. */
function restOf(graph: ProductGraph, input: string, inner: number, output: string) {
  const outliers = outliersAtEachEnd(inner);
  const k = graph.integers(`${output}.k`, [outliers + 1]);
  const place = graph.integers(`${output}.place`, [outliers]);
  const end = (largest: 0 | 1, local: string): string => {
    const outputs = [`${output}.${local}.values`, `${output}.${local}.places`];
    const values = graph.node("TopK", [input, k], outputs, { axis: -1, largest });
    return graph.node("Gather", [values, place], `${output}.${local}`, { axis: -1 });
  };
  return { least: end(0, "least"), greatest: end(1, "greatest") };
}
