/**
 * The draft tree of most tokens per time, for a measured cost of a round at every number of nodes.
 *
 * A node is one drafted token, named by the ranks along its path from the root: [0, 2] is the third best guess for the
 * second token after the best guess for the first. With a_{i,r} the chance that the child of rank r at depth i is right
 * given that its parent is, a node is on the accepted path with the product of the a along its own path, and since at
 * most one child of a node is right,
 *
 *     tokens(tree) = 1 + Σ_nodes Π_path a        (Cai et al. 2024, arXiv:2401.10774, section 2.3.3)
 *     TPT(tree)    = tokens(tree) / roundUs[nodes]
 *
 * For a given number of nodes the best tree is made of the nodes of greatest product (likeliest-nodes.ts), and the best of
 * the trees of every size is the answer. Where the ranks along whole paths were counted, no product is needed: see
 * rank-paths.ts.
 */
import { DraftplanError } from "../../core/errors.js";
import { likeliestNodes, type TreeNode } from "./likeliest-nodes.js";

export interface DraftTree {
  /** [nodes] ranks along each node's path, parents before children, by falling chance; empty: drafting does not pay */
  paths: number[][];
  /** expected tokens of a round, the target's own counted */
  tokensPerRound: number;
  tokensPerSecond: number;
}

/** Sums of chances may exceed 1 by what was lost in rounding them. */
const ROUNDING = 1e-6;

/**
 * @param acceptance [depth][rank] a: the chance that the child of that rank is right given that its parent is; depth and
 *                   rank count from 0, and the chances of one depth sum to at most 1
 * @param roundUs    [most nodes + 1] µs of a whole round (draft, verification, loop) with k nodes; `roundUs[0]` is a plain
 *                   step. Its length bounds the tree
 * @returns the tree of most tokens per second; of trees as fast the smallest
 * @throws TREE_INVALID where a chance is no chance, the chances of a depth exceed 1, or a round takes no time
 */
export function bestTree(acceptance: readonly (readonly number[])[], roundUs: readonly number[]): DraftTree {
  requireChances(acceptance);
  requireTimes(roundUs);
  const paths = likeliestByRank(acceptance, roundUs.length - 1);
  let tokens = 1;
  let best = { nodes: 0, tokens, perSecond: 1e6 / roundUs[0] };
  paths.forEach(({ chance }, i) => {
    tokens += chance;
    const perSecond = (1e6 * tokens) / roundUs[i + 1];
    if (perSecond > best.perSecond) best = { nodes: i + 1, tokens, perSecond };
  });
  return {
    paths: paths.slice(0, best.nodes).map(({ ranks }) => [...ranks]),
    tokensPerRound: best.tokens,
    tokensPerSecond: best.perSecond,
  };
}

/** The nodes of greatest product, by falling product. */
function likeliestByRank(acceptance: readonly (readonly number[])[], count: number): TreeNode[] {
  // [depth] ranks by falling chance: where ranks come ordered, as from a head's top k, this is 0, 1, 2, …
  const order = acceptance.map((chances) => chances.map((_, rank) => rank).sort((a, b) => chances[b] - chances[a]));
  return likeliestNodes(({ ranks, chance }, next) => {
    const depth = ranks.length;
    const rank = order[depth]?.[next];
    return rank === undefined ? undefined : { ranks: [...ranks, rank], chance: chance * acceptance[depth][rank] };
  }, count);
}

function requireChances(acceptance: readonly (readonly number[])[]): void {
  acceptance.forEach((chances, depth) => {
    const wrong = chances.findIndex((a) => !(a >= 0 && a <= 1));
    if (wrong !== -1) throw invalid(`acceptance[${depth}][${wrong}]`, `${chances[wrong]} is not a chance`);
    const sum = chances.reduce((total, a) => total + a, 0);
    if (sum > 1 + ROUNDING)
      throw invalid(`acceptance[${depth}]`, `its chances sum to ${sum}, and one child at most is right`);
  });
}

function requireTimes(roundUs: readonly number[]): void {
  if (roundUs.length === 0) throw invalid("roundUs", "it is empty, and its first entry is a plain step");
  const wrong = roundUs.findIndex((us) => !(us > 0 && us < Number.POSITIVE_INFINITY));
  if (wrong !== -1) throw invalid(`roundUs[${wrong}]`, `${roundUs[wrong]} µs is not a duration`);
}

const invalid = (at: string, what: string) =>
  new DraftplanError({
    code: "TREE_INVALID",
    at: `bestTree: ${at}`,
    what,
    remedy: "Give acceptance[depth][rank] between 0 and 1, and roundUs[k] above 0 for 0 to N nodes.",
  });
