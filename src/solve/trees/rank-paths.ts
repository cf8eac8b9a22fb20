/**
 * How often each node of any draft tree would have been accepted, by what calibration counted: for every position of the
 * target's own text the ranks that successive heads gave the tokens that followed, up to the first head that did not have
 * its token among its likeliest.
 *
 *     P(node)      = positions whose ranks begin with the node's path / all positions
 *     tokens(tree) = 1 + Σ_nodes P(node)
 *
 * exactly, for every tree: at most one node of each depth is on a position's path. Nothing is assumed of how the heads'
 * successes hang together, where a product of each head's own accuracy (Cai et al. 2024, arXiv:2401.10774, section 2.3.3)
 * takes them to be independent.
 */
import { likeliestNodes, type TreeNode } from "./likeliest-nodes.js";

/** Positions whose ranks are these, and no further head had its token. */
export interface CountedPath {
  ranks: readonly number[];
  positions: number;
}

/** Children of a node, and the positions whose ranks begin with its path. */
interface Counted {
  positions: number;
  children: Map<number, Counted>;
  /** [children] ranks by falling positions; formed when first asked for */
  order?: readonly number[];
}

/** Positions that a node's parent must have been reached at: of fewer nothing is known of what follows. */
export interface Supported {
  leastPositions: number;
}

export class RankPaths {
  private readonly root: Counted;

  /** @param positions all of them, also those at which the first head was wrong */
  constructor(
    paths: readonly CountedPath[],
    readonly positions: number,
  ) {
    this.root = { positions, children: new Map() };
    for (const { ranks, positions: counted } of paths) {
      let at = this.root;
      for (const rank of ranks) {
        let child = at.children.get(rank);
        if (child === undefined) {
          child = { positions: 0, children: new Map() };
          at.children.set(rank, child);
        }
        child.positions += counted;
        at = child;
      }
    }
  }

  /** P(node), for the ranks along its path. */
  chance(ranks: readonly number[]): number {
    return this.reached(ranks) / this.positions;
  }

  /** Positions whose ranks begin with these. */
  reached(ranks: readonly number[]): number {
    return this.find(ranks)?.positions ?? 0;
  }

  /**
   * The likeliest nodes, by falling chance, each after its parent: the first k of them are the tree of k nodes that accepts
   * the most tokens.
   * @param depth longest path
   * @param leastPositions that came to a node's parent
   */
  likeliest(count: number, depth: number, { leastPositions }: Supported): TreeNode[] {
    return likeliestNodes(({ ranks }, next) => {
      if (ranks.length >= depth) return undefined;
      const parent = this.find(ranks);
      if (parent === undefined || parent.positions < leastPositions) return undefined;
      parent.order ??= [...parent.children.keys()].sort(
        (a, b) => positionsOf(parent, b) - positionsOf(parent, a) || a - b,
      );
      const rank = parent.order[next];
      if (rank === undefined) return undefined;
      return { ranks: [...ranks, rank], chance: positionsOf(parent, rank) / this.positions };
    }, count);
  }

  /**
   * [depth + 1] a_i: share of positions at which a tree accepts at least i tokens; a_0 = 1. Rounds begin behind a miss and
   * not at every position alike; what they accept says stats/tree-rounds.ts.
   */
  curve(tree: Tree): number[] {
    const curve = new Array<number>(depthOf(tree) + 1).fill(0);
    curve[0] = this.positions;
    for (const ranks of tree) curve[ranks.length] += this.reached(ranks);
    return curve.map((positions) => positions / this.positions);
  }

  private find(ranks: readonly number[]): Counted | undefined {
    let at: Counted | undefined = this.root;
    for (const rank of ranks) {
      at = at.children.get(rank);
      if (at === undefined) return undefined;
    }
    return at;
  }
}

const positionsOf = ({ children }: Counted, rank: number): number => children.get(rank)?.positions ?? 0;

/** [nodes] ranks along each node's path. */
type Tree = readonly (readonly number[])[];

/** Longest path. */
export const depthOf = (tree: Tree): number => tree.reduce((depth, { length }) => Math.max(depth, length), 0);
