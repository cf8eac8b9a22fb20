/** How tokens enter the graph and logits leave it, where an architecture does more than look up and multiply. */
import type { ModelSpec } from "../spec.js";
import { type Branch, elementOf, type StoredMatrix } from "./branch.js";
import { matrixShapes } from "./matrices.js";
import { embeddingName } from "./weights.js";

/** Rows of the embedding table, as the first block reads them. @returns the name of hidden states [1, q, hiddenSize] */
export function embeddedRows(branch: Branch, spec: ModelSpec, ids: string): string {
  const rows = branch.node("Gather", [branch.weight(embeddingName(spec, branch.context.dialect)), ids], "rows");
  if (spec.embeddingScale === undefined) return rows;
  return branch.node("Mul", [rows, branch.number("embedding_scale", spec.embeddingScale)], "rows.scaled");
}

/** The matrix that the head multiplies by. */
export const headMatrix = (spec: ModelSpec): StoredMatrix => ({
  name: "head",
  shape: matrixShapes(spec).head.head,
  bias: false,
});

/** Whether the head's product is not yet the model's logits. */
export const changesLogits = ({ logitScale, logitSoftCap }: ModelSpec): boolean =>
  logitScale !== undefined || logitSoftCap !== undefined;

/**
 * The head's product as the model's logits: scaled, and held below a cap.
 * @param element its type
 * @returns their name; `product` itself where `changesLogits` is false
 */
export function finalLogits(
  branch: Branch,
  spec: ModelSpec,
  product: string,
  element = elementOf(branch.context),
): string {
  const times = (input: string, factor: number, output: string) =>
    branch.node("Mul", [input, branch.number(`${output}.factor`, factor, element)], output);
  const { logitScale, logitSoftCap: cap } = spec;
  const scaled = logitScale === undefined ? product : times(product, logitScale, "logits.scaled");
  if (cap === undefined) return scaled;
  return times(branch.node("Tanh", [times(scaled, 1 / cap, "logits.over_cap")], "logits.tanh"), cap, "logits.capped");
}
