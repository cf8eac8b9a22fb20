/**
 * A head over a part of the vocabulary, as a graph beside the model's: the final norm and two products, one with the rows of
 * the tokens that it is made for, as its kernel stores them, and one with rows that come in with the pass, in floats.
 *
 * Inputs:  hidden float[1, rows, H], the last block's; extra float[others, H]
 * Outputs: logits float[1, rows, tokens]; extra_logits float[1, rows, others]
 */
import type { Kernel } from "../../schema/choice.js";
import { Branch, type Context, elementOf, type WeightFile } from "../graph/branch.js";
import type { GraphDialect } from "../graph/dialect.js";
import { finalLogits } from "../graph/ends.js";
import { FLOAT, type Graph, value } from "../graph/onnx.js";
import type { ModelSpec } from "../spec.js";

/** What a short head is made of, beside the model. */
export interface ShortForm {
  kernel: Kernel;
  /** [tokens] rising */
  tokens: Int32Array;
  dialect: GraphDialect;
}

export function shortHeadGraph(spec: ModelSpec, { kernel, tokens, dialect }: ShortForm, weights: WeightFile): Graph {
  const context: Context = { ...weights, dialect };
  const main = new Branch("main", context);
  const element = elementOf(context);
  const normed = main.rmsNorm(main.cast("hidden", FLOAT, element, "entered"), "norm", "state", spec.rmsEps);
  const head = { name: "head", shape: [tokens.length, spec.hiddenSize] as const, bias: false };
  const product = main.linear(normed, head, kernel, "product");
  const rows = main.cast("extra", FLOAT, element, "extra.rows");
  const others =
    dialect.product === "FusedMatMul"
      ? main.contrib("FusedMatMul", [normed, rows], "extra.product", { transB: 1 })
      : main.node("MatMul", [normed, main.node("Transpose", [rows], "extra.turned")], "extra.product");
  for (const [name, of] of [
    ["logits", product],
    ["extra_logits", others],
  ] as const) {
    const branch = new Branch(name, context);
    branch.cast(finalLogits(branch, spec, of, element), element, FLOAT, `=${name}`);
    main.take(branch);
  }
  return {
    name: "draftplan-short-head",
    node: main.nodes,
    initializer: main.initializers,
    input: [value("hidden", FLOAT, [1, "rows", spec.hiddenSize]), value("extra", FLOAT, ["others", spec.hiddenSize])],
    output: [value("logits", FLOAT, [1, "rows", tokens.length]), value("extra_logits", FLOAT, [1, "rows", "others"])],
  };
}
