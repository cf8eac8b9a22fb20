/** Kernels of com.microsoft.MatMulNBits: integer codes, and one scale for every 32 inputs of a row. */

import { fitRows } from "./fit.js";
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
import { evenMoments } from "./moments.js";
import { type Bits, type Quantised, quantiseRows } from "./quantise.js";
import { takeOver } from "./stored-codes.js";

const QUANT_BLOCK = 32;

const blocksOf = (inner: number): number => Math.ceil(inner / QUANT_BLOCK);

/** @param bits of a code */
export const blockQuantised = <Name extends string>(name: Name, bits: Bits): KernelDefinition<Name> => ({
  name,
  bits,
  weights: (matrix, numbers) => codesAndScales(matrix, bits, numbers),
  emit: (graph, product) => emitMatMulNBits(graph, product, bits),
  bytes: (out, inner, { float }) => out * blocksOf(inner) * ((QUANT_BLOCK * bits) / 8 + FLOAT_BYTES[float]),
  numerics: ({ float, activations, scales }) =>
    `MatMulNBits, ${bits} bits, symmetric, block ${QUANT_BLOCK}, ${
      activations === "int8" ? "accuracy_level 4" : `${float} activations and scales`
    }${scales === "fitted" ? ", fitted to the inputs' moments" : ""}`,
});

function codesAndScales(matrix: Matrix, bits: Bits, { float, scales: found }: Numbers): WeightPart[] {
  const { label, out, inner, read, stored, moments = () => evenMoments(inner, QUANT_BLOCK) } = matrix;
  const blocks = blocksOf(inner);
  let quantised: Quantised | undefined; // codes and scales are written one after the other
  const find = (values: Float32Array): Quantised =>
    found === "fitted"
      ? fitRows(values, [out, inner], bits, QUANT_BLOCK, float, moments())
      : quantiseRows(values, out, inner, bits, QUANT_BLOCK, float);
  const empty = (): Quantised => ({
    codes: new Uint8Array((out * blocks * QUANT_BLOCK * bits) / 8),
    scales: new Float32Array(out * blocks),
  });
  const make = () => {
    const values = read();
    const own = stored?.().filter((rows) => rows.bits === bits) ?? [];
    const isAll = own.reduce((sum, { rows }) => sum + rows, 0) === out;
    const made = isAll ? empty() : find(values);
    takeOver(made, values, inner, own);
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
