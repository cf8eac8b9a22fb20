/**
 * The nodes that are most often on the accepted path, of any way to say how often a child is.
 *
 * A child is on the path only where its parent is, so its chance is never above its parent's. The k nodes of greatest
 * chance therefore always form a tree, and no tree of k nodes has a greater sum of chances, which is what a round accepts
 * on average. Taking nodes by falling chance gives the best tree of every size at once.
 */

export interface TreeNode {
  /** along the path from the root, this node's last */
  ranks: readonly number[];
  /** that the node is on the accepted path */
  chance: number;
}

/** The child of `next`-greatest chance among a node's children, counted from 0; undefined: it has no more. */
export type ChildOf = (parent: TreeNode, next: number) => TreeNode | undefined;

const ROOT: TreeNode = { ranks: [], chance: 1 };

/**
 * @returns at most `count` nodes by falling chance, each after its parent; nodes without a chance are left out. Of nodes of
 *   one chance the one that was offered first
 */
export function likeliestNodes(childOf: ChildOf, count: number): TreeNode[] {
  const taken: TreeNode[] = [];
  const open: { child: TreeNode; parent: TreeNode; next: number }[] = [];
  // Of a node's children only the best one not yet taken is open: the others cannot come before it.
  const offer = (parent: TreeNode, next: number) => {
    const child = childOf(parent, next);
    if (child !== undefined && child.chance > 0) open.push({ child, parent, next });
  };
  offer(ROOT, 0);
  while (taken.length < count && open.length > 0) {
    // at most two open nodes for each taken one: a search through them all is fast enough, and ties stay in order
    const first = open.reduce((most, { child }, i) => (child.chance > open[most].child.chance ? i : most), 0);
    const [{ child, parent, next }] = open.splice(first, 1);
    taken.push(child);
    offer(child, 0);
    offer(parent, next + 1);
  }
  return taken;
}
