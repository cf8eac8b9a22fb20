/**
 * Whether a pass folds the query heads that share keys and values into one (model/graph/folded.ts). It costs nothing but time
 * to be wrong: every row is the same sums.
 *
 * The operator hands whole heads to its threads. A head costs what reading and packing its keys and values does, and beside
 * that something for each row. Folded there are fewer heads, each of more rows, and the threads may share them unevenly:
 *
 *     unfolded  ⌈heads / threads⌉ · (READING + q)
 *     folded    ⌈kvHeads / threads⌉ · (FOLDED_READING + MASKED_ROW · g · q)
 *
 * in units of one row over the context. SmolLM2-135M's attention (9 query heads, 3 key heads) at 8,000 tokens, processor time
 * on one thread of an EPYC (Zen 3), ms of all layers: 95, 104, 122, 152 at q = 2, 4, 6, 9, folded 56, 73, 92, 118; so a head
 * takes some 0.28 + 0.030 q ms a layer and a folded one 0.43 + 0.033 g q (`bench/long-verification.mjs`).
 */
import { groupSize } from "../../model/graph/folded.js";
import type { ModelSpec } from "../../model/spec.js";
import { blockKind, type ChoiceSet } from "../../schema/choice.js";
import { MAX_TREE_ROWS } from "../limits.js";

/** What a head takes whatever the rows, in rows. */
const READING = 9;
/** Folded: no other head finds the keys in a cache. */
const FOLDED_READING = 14;
/** Folded: a row, its mask added. */
const MASKED_ROW = 1.08;
/**
 * Below this what is folded is too little for the nodes that fold it. Whole passes of SmolLM2-135M of 2 to 9 tokens, folded to
 * unfolded, processor time on one thread: 0.98 to 1.02 at 500 tokens, 0.97 to 1.08 at 1,000, 0.86 to 1.00 at 2,000, 0.86 to
 * 0.92 at 4,000, 0.72 to 0.78 at 8,000 (docs/measurements.md).
 */
export const FOLD_FROM = 2000;

export interface FoldedPass {
  /** tokens that the cache holds before it */
  position: number;
  q: number;
  capacity: number;
  threads: number;
}

/** Whether such a pass of the target is folded, by the spec of a model whose graph can. */
export function isFolded(
  spec: Pick<ModelSpec, "heads" | "kvHeads">,
  { position, q, capacity, threads }: FoldedPass,
  from = FOLD_FROM,
): boolean {
  const rows = groupSize(spec) * q;
  if (q < 2 || position < Math.max(from, 1) || rows > MAX_TREE_ROWS || position + rows > capacity) return false;
  const turns = (heads: number) => Math.ceil(heads / threads);
  return turns(spec.kvHeads) * (FOLDED_READING + MASKED_ROW * rows) < turns(spec.heads) * (READING + q);
}

/** Whether all attention that runs is the target's: nothing else takes trees or folds heads. */
export const attendsAsTarget = ({ blocks }: ChoiceSet): boolean =>
  blocks.every((choice, block) => blockKind(block) !== "attn" || choice === "target" || choice === "skip");
