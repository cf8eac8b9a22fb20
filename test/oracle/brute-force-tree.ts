/** Every tree of at most so many nodes, tried. Imports nothing from src. */

/** Ways to write a tree: a set of nodes, each with its parent in it. Nodes are ranks along a path, joined by commas. */
export function everyTree(branching: readonly number[], mostNodes: number): string[][] {
  const seen = new Set<string>();
  const trees: string[][] = [];
  const grow = (tree: string[]) => {
    const key = [...tree].sort().join(" ");
    if (seen.has(key)) return;
    seen.add(key);
    trees.push(tree);
    if (tree.length === mostNodes) return;
    for (const parent of ["", ...tree]) {
      const depth = parent === "" ? 0 : parent.split(",").length;
      for (let rank = 0; rank < (branching[depth] ?? 0); rank++) {
        const child = parent === "" ? `${rank}` : `${parent},${rank}`;
        if (!tree.includes(child)) grow([...tree, child]);
      }
    }
  };
  grow([]);
  return trees;
}

/**
 * Expected tokens of a round, by following every way the text can go on: at each depth rank r is right with its chance,
 * or none is, and the round yields the longest path of the tree that is right, and one token more.
 */
export function tokensOf(tree: readonly string[], acceptance: readonly (readonly number[])[]): number {
  const nodes = new Set(tree);
  const walk = (path: string, depth: number): number => {
    const chances = acceptance[depth] ?? [];
    let expected = 0;
    chances.forEach((chance, rank) => {
      const child = path === "" ? `${rank}` : `${path},${rank}`;
      if (nodes.has(child)) expected += chance * (1 + walk(child, depth + 1));
    });
    return expected;
  };
  return 1 + walk("", 0);
}
