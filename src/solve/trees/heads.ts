/**
 * Heads as the solver weighs them: which trees are worth a look, and how often each accepts what.
 *
 * For a depth and a number of nodes the likeliest nodes are the best tree (rank-paths.ts), so the trees to look at are the
 * first k nodes for every k and every depth: a deeper tree may cost more beside its nodes, since Hydra's heads
 * (arXiv:2402.05109) take a pass for each depth. Which of them is best depends on what a round of k nodes costs at a
 * context, and that is measured.
 */
import type { InputRef } from "../../schema/common.js";
import type { HeadsCalibration } from "../../schema/heads-calibration.js";
import { depthOf, type RankPaths } from "./rank-paths.js";

/** Heads whose accuracy and whose passes are known. */
export type KnownHeads = Pick<HeadsCalibration, "kind" | "heads" | "ranks" | "sha256" | "path">;

export interface HeadsDrafter {
  kind: "heads";
  /** their folder, as seen from where the plan will lie, and digest */
  heads: InputRef;
  /** [nodes] ranks along each node's path, parents before children, the likeliest first */
  tree: readonly (readonly number[])[];
  /** [depth] nodes that have children there, the pending token first: rows of each pass of Hydra's heads */
  rows: readonly number[];
  /** equal for the same heads and the same nodes, in whatever order */
  key: string;
}

/** @param tree ranks along each node's path, parents before children */
export function headsDrafter({ path, sha256 }: InputRef, tree: readonly (readonly number[])[]): HeadsDrafter {
  const nodes = tree.map((ranks) => ranks.join(".")).sort();
  const heads = { path, sha256 };
  return { kind: "heads", heads, tree, rows: rowsOf(tree), key: `heads ${heads.sha256} ${nodes.join(" ")}` };
}

function rowsOf(tree: readonly (readonly number[])[]): number[] {
  const parents = new Set(tree.map((ranks) => ranks.slice(0, -1).join(".")));
  const rows = new Array<number>(depthOf(tree)).fill(0);
  for (const parent of parents) rows[parent === "" ? 0 : parent.split(".").length]++;
  return rows;
}

/** Rounds that have to have come to a position for a draft to go so far; of a tree, to a node's parent. */
export const LEAST_ROUNDS = 30;

/** The first k nodes for every k, at every depth: [depths][k - 1]. */
export function treesOf(heads: KnownHeads, paths: RankPaths, mostNodes: number, maxDraft: number): HeadsDrafter[][] {
  return Array.from({ length: Math.min(heads.heads, maxDraft) }, (_, i) => {
    const nodes = paths.likeliest(mostNodes, i + 1, { leastPositions: LEAST_ROUNDS }).map(({ ranks }) => ranks);
    const trees = nodes.map((_, k) => headsDrafter(heads, nodes.slice(0, k + 1)));
    return trees.filter(({ tree }) => depthOf(tree) === i + 1); // shallower ones are another depth's
  });
}
