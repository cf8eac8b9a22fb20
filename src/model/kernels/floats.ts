/** Matrices as plain floats, and the kernels that multiply with them. */
import { DraftplanError } from "../../core/errors.js";
import { firstNotFinite, toHalf } from "./half.js";
import {
  FLOAT_BYTES,
  type FloatType,
  type Product,
  type ProductGraph,
  type TargetDefinition,
  type WeightPart,
} from "./kernel.js";

const bytesOf = (data: Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/**
 * A tensor of floats.
 * @param read gives fp32
 */
export function storedFloats(float: FloatType, name: string, dims: number[], read: () => Float32Array): WeightPart {
  if (float === "fp32") return { name, dims, type: "float32", bytes: () => bytesOf(read()) };
  const bytes = () => {
    const values = read();
    const halves = toHalf(values);
    const bad = firstNotFinite(halves);
    if (bad !== undefined) throw tensorNotHalf(name, values[bad]);
    return bytesOf(halves);
  };
  return { name, dims, type: "float16", bytes };
}

/** @param tensor the graph's name of it */
function tensorNotHalf(tensor: string, value: number): DraftplanError {
  return new DraftplanError({
    code: "TENSOR_TYPE_UNSUPPORTED",
    at: `weights: ${tensor}`,
    what: `a weight of ${value} cannot be written in fp16, which ends at 65504, and this provider's target is fp16`,
    remedy: "Use --provider cpu, whose target is fp32.",
  });
}

/** A kernel of plain floats: one tensor a matrix, [out, inner] as checkpoints have it. */
export const floatKernel = <Name extends FloatType>(
  name: Name,
  tieMargin: number,
): TargetDefinition<Name> & { float: FloatType } => ({
  name,
  bits: 8 * FLOAT_BYTES[name],
  float: name,
  tieMargin,
  weights: ({ label, out, inner, read }) => [storedFloats(name, label, [out, inner], read)],
  emit: emitFloatProduct,
  bytes: (out, inner) => out * inner * FLOAT_BYTES[name],
  numerics: () => name,
});

/** A product with one stored tensor of floats, by the operator that the provider has. */
export function emitFloatProduct(graph: ProductGraph, product: Product): string {
  const { input, label, bias, output } = product;
  const weight = graph.weight(label);
  if (graph.floatProduct === "Gemm") return gemm(graph, weight, product);
  const unbiased = graph.contrib("FusedMatMul", [input, weight], bias === null ? output : `${output}.product`, {
    transB: 1,
  });
  return bias === null ? unbiased : graph.node("Add", [unbiased, graph.weight(bias)], output);
}

/** ONNX's own Gemm takes two dimensions, so it has a Reshape on each side. */
function gemm(graph: ProductGraph, weight: string, { input, out, inner, bias, output }: Product): string {
  const flat = graph.integers(`${output}.flat`, [-1, inner]);
  const full = graph.integers(`${output}.full`, [1, -1, out]);
  const rows = graph.node("Reshape", [input, flat], `${output}.rows`);
  const inputs = [rows, weight, ...(bias === null ? [] : [graph.weight(bias)])];
  const product = graph.node("Gemm", inputs, `${output}.product`, { transB: 1 });
  return graph.node("Reshape", [product, full], output);
}
