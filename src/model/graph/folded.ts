/**
 * Attention of several rows over a long cache, the query heads that share keys and values folded into one head.
 *
 * On the CPU GroupQueryAttention multiplies head by head: the keys and values of one head are read, and packed for the
 * product, once for each of the query heads that share them, and each time for the few rows of a verification. Told that
 * there are as many query heads as key heads, and g times as many rows (row r of member m as row m·q + r), the same operator
 * reads and packs them once, over the cache where it lies. Every row is the same sums in the same order.
 *
 * The operator appends keys and values for all of its rows. Those of the first member are the pass's; the others' are copies
 * behind them, which no row sees (tree-inputs.ts) and the next pass overwrites.
 */
import type { ModelSpec } from "../spec.js";
import type { Branch } from "./branch.js";
import type { GraphDialect } from "./dialect.js";
import { storedHeadDim } from "./heads.js";
import { ints } from "./onnx.js";

/** Input: whether this pass, which is then one with TREE's inputs, has its heads folded. */
export const FOLDED = "folded";

/** Query heads to a head of keys and values. */
export const groupSize = ({ heads, kvHeads }: Pick<ModelSpec, "heads" | "kvHeads">): number => heads / kvHeads;

/** Whether a graph has folded heads: where there is anything to fold, beside the inputs of trees. */
export const foldsHeads = (
  spec: Pick<ModelSpec, "heads" | "kvHeads">,
  { trees, folds }: Pick<GraphDialect, "trees" | "folds">,
): boolean => trees && folds && groupSize(spec) > 1;

/**
 * @param projections query, key and value [1, q, heads · width], or all three side by side in the first
 * @returns the names of query, key and value [1, g · q, kvHeads · width]
 */
export function foldedRows(at: Branch, spec: ModelSpec, [query, key, value]: readonly string[]): string[] {
  const { heads, kvHeads } = spec;
  const [width, group] = [storedHeadDim(spec), groupSize(spec)];
  let parts = [query, key, value];
  if (key === "") {
    const widths = at.integers("fold.widths", [heads * width, kvHeads * width, kvHeads * width]);
    at.node("Split", [query, widths], ["fold.q", "fold.k", "fold.v"], { axis: -1 });
    parts = ["fold.q", "fold.k", "fold.v"].map((name) => at.name(name));
  }
  const apart = at.node("Reshape", [parts[0], at.integers("fold.apart", [1, -1, kvHeads, group, width])], "fold.heads");
  const by = at.node("Transpose", [apart], "fold.members", order([0, 3, 1, 2, 4])); // [1, g, q, kvHeads, width]
  const rows = at.node("Reshape", [by, at.integers("fold.rows", [1, -1, kvHeads * width])], "fold.query");
  const copies = (of: string, name: string) => at.node("Concat", new Array(group).fill(of), name, { axis: 1 });
  return [rows, copies(parts[1], "fold.key"), copies(parts[2], "fold.value")];
}

/** @returns the name of [1, q, heads · width], of attended rows as `foldedRows` made them */
export function unfoldedRows(at: Branch, spec: ModelSpec, attended: string): string {
  const [width, group] = [storedHeadDim(spec), groupSize(spec)];
  const apart = at.integers("unfold.apart", [1, group, -1, spec.kvHeads, width]);
  const members = at.node("Reshape", [attended, apart], "unfold.members");
  const by = at.node("Transpose", [members], "unfold.heads", order([0, 2, 3, 1, 4])); // [1, q, kvHeads, g, width]
  return at.node("Reshape", [by, at.integers("unfold.joined", [1, -1, spec.heads * width])], "attended");
}

const order = (perm: readonly number[]) => [ints("perm", perm)];
