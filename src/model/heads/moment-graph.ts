/**
 * Sums that a regression is found from, as one ONNX graph.
 *
 * Inputs:  inputs float[B, D], wanted float[B, W]
 * Outputs: squares float[D, D] = inputsᵀ · inputs, products float[D, W] = inputsᵀ · wanted
 */
import { FLOAT, type Graph, value } from "../graph/onnx.js";

export function momentGraph(rows: number, inputs: number, wanted: number): Graph {
  const product = (right: string, output: string) => ({
    ...{ input: ["inputs", right], output: [output], name: output, opType: "Gemm" },
    attribute: [{ name: "transA", type: 2, i: 1 }],
  });
  return {
    name: "draftplan-moments",
    node: [product("inputs", "squares"), product("wanted", "products")],
    initializer: [],
    input: [value("inputs", FLOAT, [rows, inputs]), value("wanted", FLOAT, [rows, wanted])],
    output: [value("squares", FLOAT, [inputs, inputs]), value("products", FLOAT, [inputs, wanted])],
  };
}
