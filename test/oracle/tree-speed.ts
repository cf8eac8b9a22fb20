/** Tokens per second of draft trees by the formulas written out. Imports nothing from src. */

/** Tokens that rounds of a tree yield along texts, one behind the other. Nodes are ranks along a path, joined by commas. */
export function yieldOf(tree: readonly string[], texts: readonly (readonly (readonly number[])[])[]): number {
  let [rounds, tokens] = [0, 0];
  for (const text of texts)
    for (let at = 0; at < text.length; ) {
      let accepted = 0;
      while (accepted < text[at].length && tree.includes(text[at].slice(0, accepted + 1).join(","))) accepted++;
      rounds += 1;
      tokens += accepted + 1;
      at += accepted + 1;
    }
  return tokens / rounds;
}

const depthOf = (tree: readonly string[]): number => Math.max(...tree.map((node) => node.split(",").length));

/** Nodes with children at each depth, the pending token first. */
export const expandedOf = (tree: readonly string[]): number[] =>
  Array.from({ length: depthOf(tree) }, (_, depth) =>
    depth === 0
      ? 1
      : tree.filter((node) => node.split(",").length === depth && tree.some((other) => other.startsWith(`${node},`)))
          .length,
  );

export const isChain = (tree: readonly string[]): boolean => depthOf(tree) === tree.length;
