/**
 * Heads on the target's last hidden state draft a tree: Medusa (Cai et al. 2024, arXiv:2401.10774), whose heads each guess
 * one token further ahead without knowing the ones between, and Hydra (Ankner et al. 2024, arXiv:2402.05109), whose heads
 * are told the path so far.
 *
 * A tree is given by ranks: [0, 2] is the third best guess for the second token behind the best guess for the first, so
 * its shape is the same in every round and only its tokens change.
 */
import { DraftplanError } from "../../core/errors.js";
import type { Heads } from "../../runtime/heads.js";
import type { Drafter } from "./drafter.js";
import { NOTHING } from "./drafter.js";

export type { Heads } from "../../runtime/heads.js";

/** Heads, and the folder that they were read from: what documents say of them. */
export interface LocatedHeads {
  heads: Heads;
  path: string;
}

/** A tree of ranks, made ready for one greatest depth and number of nodes. */
interface Shape {
  /** [nodes] index of the parent, null: the pending token */
  parents: (number | null)[];
  /** [nodes] ranks along the path */
  paths: (readonly number[])[];
  /** [depths] nodes that have children there, by the depth of the children; null: the pending token */
  expanded: (number | null)[][];
  depth: number;
}

/**
 * @param tree ranks along each node's path, parents before children; the first k of them are what is drafted where no more
 *             than k nodes fit, so the likeliest come first
 * @param at   where the tree came from, for errors
 * @throws TREE_INVALID where a node has no parent before it, appears twice, or asks for what the heads do not give
 */
export function headsDrafter(heads: Heads, tree: readonly (readonly number[])[], at = "tree"): Drafter {
  requireTree(heads, tree, at);
  const shapes = new Map<string, Shape>();
  const shapeFor = (depth: number, nodes: number): Shape => {
    const key = `${depth} ${nodes}`;
    const made = shapes.get(key) ?? shapeOf(tree.filter((path) => path.length <= depth).slice(0, nodes));
    shapes.set(key, made);
    return made;
  };
  const { states } = heads;
  return {
    key: `heads ${heads.sha256} ${tree.map((path) => path.join(".")).join(" ")}`,
    draft(state, draftTokens) {
      const shape = shapeFor(draftTokens, state.mostNodes);
      if (state.hidden === null || shape.paths.length === 0) return NOTHING;
      const tokens = heads.guessAll
        ? independent(heads, heads.guessAll(state.hidden), shape)
        : sequential(heads, state.hidden, state.pending, shape);
      return { tokens, parents: shape.parents };
    },
    costUs: (prices, _contextTokens, draftTokens) =>
      prices.headsUs?.(
        heads.sha256,
        shapeFor(draftTokens, tree.length).expanded.map((rows) => rows.length),
      ) ?? 0,
    ...(states === undefined ? {} : { states: states.bind(heads) }),
    close: () => heads.close(),
  };
}

/** @param paths parents before children */
function shapeOf(paths: (readonly number[])[]): Shape {
  const indexOf = new Map(paths.map((path, i) => [path.join(), i]));
  const parents = paths.map((path) => (path.length === 1 ? null : (indexOf.get(path.slice(0, -1).join()) as number)));
  const depth = paths.reduce((most, path) => Math.max(most, path.length), 0);
  const expanded = Array.from({ length: depth }, (_, at) => [
    ...new Set(parents.filter((_, node) => paths[node].length === at + 1)),
  ]);
  return { parents, paths, expanded, depth };
}

/** @param guesses [1, heads, ranks] */
function independent({ ranks }: Heads, guesses: Int32Array, { paths }: Shape): number[] {
  return paths.map((path) => guesses[(path.length - 1) * ranks + path[path.length - 1]]);
}

/** One guess a depth, over the paths that go on there. */
function sequential(heads: Heads, hidden: Float32Array, pending: number, shape: Shape): number[] {
  const { parents, paths, expanded, depth } = shape;
  const tokens = new Array<number>(paths.length);
  for (let at = 0; at < depth; at++) {
    const rows = expanded[at];
    const trail = new Int32Array(rows.length * (at + 1));
    rows.forEach((node, row) => {
      for (let up = node, i = at; up !== null; up = parents[up], i--) trail[row * (at + 1) + i] = tokens[up];
      trail[row * (at + 1)] = pending;
    });
    const guesses = heads.guess(repeated(hidden, rows.length), at, trail); // [rows, ranks]
    paths.forEach((path, node) => {
      if (path.length !== at + 1) return;
      tokens[node] = guesses[rows.indexOf(parents[node]) * heads.ranks + path[at]];
    });
  }
  return tokens;
}

/** [rows, length] of one row */
function repeated(row: Float32Array, rows: number): Float32Array {
  if (rows === 1) return row;
  const all = new Float32Array(rows * row.length);
  for (let i = 0; i < rows; i++) all.set(row, i * row.length);
  return all;
}

function requireTree({ heads, ranks }: Heads, tree: readonly (readonly number[])[], at: string): void {
  const invalid = (node: number, what: string) => treeInvalid(`${at}[${node}]`, what);
  const known = new Set<string>();
  tree.forEach((path, node) => {
    const parent = path.slice(0, -1);
    if (path.length === 0) throw invalid(node, "it has no ranks");
    if (path.length > heads) throw invalid(node, `it is ${path.length} tokens deep, and there are ${heads} heads`);
    const wrong = path.find((rank) => !Number.isInteger(rank) || rank < 0 || rank >= ranks);
    if (wrong !== undefined) throw invalid(node, `rank ${wrong} is not among the ${ranks} that the heads list`);
    if (parent.length > 0 && !known.has(parent.join())) throw invalid(node, `[${parent}] is not before [${path}]`);
    if (known.has(path.join())) throw invalid(node, `[${path}] is there twice`);
    known.add(path.join());
  });
}

const treeInvalid = (at: string, what: string) =>
  new DraftplanError({
    code: "TREE_INVALID",
    at,
    what,
    remedy: "Give the ranks along each node's path, every parent before its children and each node once.",
  });
