/** Kernels of com.microsoft.MatMulNBits: integer codes, and one scale for every 32 inputs of a row. */
import { storedFloats } from "./floats.js";
import {
  FLOAT_BYTES,
  type KernelDefinition,
  type Matrix,
  type Numbers,
  type Product,
  type ProductGraph,
  type WeightPart,
} from "./kernel.js";
import { quantiseRows } from "./quantise.js";
import { takeOver } from "./stored-codes.js";

const QUANT_BLOCK = 32;

const blocksOf = (inner: number): number => Math.ceil(inner / QUANT_BLOCK);

/** @param bits of a code: quantise.ts writes 8 and 4 */
export const blockQuantised = <Name extends string>(name: Name, bits: 8 | 4): KernelDefinition<Name> => ({
  name,
  bits,
  weights: (matrix, numbers) => codesAndScales(matrix, bits, numbers),
  emit: (graph, product) => emitMatMulNBits(graph, product, bits),
  bytes: (out, inner, { float }) => out * blocksOf(inner) * ((QUANT_BLOCK * bits) / 8 + FLOAT_BYTES[float]),
  numerics: ({ float, activations }) =>
    `MatMulNBits, ${bits} bits, symmetric, block ${QUANT_BLOCK}, ${
      activations === "int8" ? "accuracy_level 4" : `${float} activations and scales`
    }`,
});

function codesAndScales({ label, out, inner, read, stored }: Matrix, bits: 8 | 4, { float }: Numbers): WeightPart[] {
  const blocks = blocksOf(inner);
  let quantised: ReturnType<typeof quantiseRows> | undefined; // codes and scales are written one after the other
  const make = () => {
    const made = quantiseRows(read(), out, inner, bits, QUANT_BLOCK, float);
    takeOver(made, read(), inner, bits, stored?.() ?? []);
    return made;
  };
  const both = () => (quantised ??= make());
  const scales = () => {
    const made = both().scales;
    quantised = undefined;
    return made;
  };
  return [
    {
      name: `${label}.codes`,
      dims: [out, blocks, (QUANT_BLOCK * bits) / 8],
      type: "uint8",
      bytes: () => both().codes,
    },
    storedFloats(float, `${label}.scales`, [out, blocks], scales),
  ];
}

function emitMatMulNBits(graph: ProductGraph, product: Product, bits: number): string {
  const { input, label, out, inner, bias, output } = product;
  const inputs = [input, graph.weight(`${label}.codes`), graph.weight(`${label}.scales`)];
  if (bias !== null) inputs.push("", "", graph.weight(bias));
  return graph.contrib("MatMulNBits", inputs, output, {
    K: inner,
    N: out,
    bits,
    block_size: QUANT_BLOCK,
    // 4 asks for int8 activations; 0, the operator's default, for none in particular
    accuracy_level: graph.numbers.activations === "int8" ? 4 : 0,
  });
}
