/** Why a tree has the nodes it has: what its last and its next node bring against what they cost, and what other depths give. */
import { draftingUs, verifyingUs } from "../drafter.js";
import { knownOf } from "../evidence.js";
import { speedBy } from "../gain.js";
import { contextFor, type Problem } from "../problem.js";
import type { Evidence } from "../what-if.js";
import { type HeadsDrafter, headsDrafter, treesOf } from "./heads.js";

/** A node of a tree, or one that might be. */
export interface NodeReason {
  ranks: readonly number[];
  /** share of positions at which it is on the accepted path */
  chance: number;
}

/** A node at the edge of a tree: with it and without it. */
export interface MarginalNode extends NodeReason {
  /** µs that it adds to a round; 0 or less within a step of the verification's staircase */
  costUs: number;
  /** chance above which such a node is worth that time, at the speed without it */
  breakEven: number;
  /** predicted without it and with it */
  speedupWithout: number;
  speedupWith: number;
}

/** The best tree of some depth. */
export interface DepthReason {
  depth: number;
  nodes: number;
  speedup: number;
}

export interface TreeReason {
  /** [nodes] in the tree's own order */
  nodes: NodeReason[];
  /** µs of the heads' passes of a round, and of the pass that judges the tree */
  headsUs: number;
  verifyUs: number;
  /** its least likely leaf; null: it has one node */
  last: MarginalNode | null;
  /** the likeliest node that it does not have, as deep as it is at most; null: none is known */
  next: MarginalNode | null;
  /** by depth, by what trees are chosen by */
  depths: DepthReason[];
}

export function treeReason(problem: Problem, n: number, drafter: HeadsDrafter, evidence: Evidence): TreeReason | null {
  const context = contextFor(problem, n);
  const ofHeads = context.heads.get(drafter.heads.sha256);
  const text = ofHeads?.[evidence === "report" ? "report" : "choose"];
  const known = problem.heads.find(({ sha256 }) => sha256 === drafter.heads.sha256);
  if (text === undefined || known === undefined) return null;
  const { latency } = problem;
  const part = text === ofHeads?.report ? "report" : "choose";
  const speedup = (one: HeadsDrafter): number => {
    const draft = { drafter: one, draftTokens: one.rows.length };
    const curve = knownOf(context, part, draft)?.curve ?? [1];
    return (speedBy(latency, n, one, { curve }) * latency.stepUs(n)) / 1e6;
  };
  const roundUs = (one: HeadsDrafter): number =>
    draftingUs(latency, n, one, one.rows.length) + verifyingUs(latency, n, one, one.rows.length) + latency.roundUs;
  const nodes = drafter.tree.map((ranks) => ({ ranks, chance: text.counted.chance(ranks) }));
  const marginal = (without: HeadsDrafter, ranks: readonly number[]): MarginalNode => {
    const grown = headsDrafter(drafter.heads, [...without.tree, ranks]);
    const costUs = roundUs(grown) - roundUs(without);
    const [before, after] = [speedup(without), speedup(grown)];
    const perUs = before / latency.stepUs(n); // tokens that the time would yield without it
    return {
      ...{ ranks, chance: text.counted.chance(ranks), costUs, breakEven: costUs * perUs },
      ...{ speedupWithout: before, speedupWith: after },
    };
  };
  return {
    nodes,
    headsUs: draftingUs(latency, n, drafter, drafter.rows.length),
    verifyUs: verifyingUs(latency, n, drafter, drafter.rows.length),
    last: lastNode(drafter, nodes, marginal),
    next: nextNode(
      drafter,
      (count) => text.counted.likeliest(count, drafter.rows.length, { leastPositions: 1 }).map(({ ranks }) => ranks),
      latency.maxTreeNodes,
      marginal,
    ),
    depths: depthReasons(problem, n, known),
  };
}

const keyOf = (ranks: readonly number[]): string => ranks.join(".");

function lastNode(
  drafter: HeadsDrafter,
  nodes: readonly NodeReason[],
  marginal: (without: HeadsDrafter, ranks: readonly number[]) => MarginalNode,
): MarginalNode | null {
  if (nodes.length < 2) return null;
  const parents = new Set(drafter.tree.map((ranks) => keyOf(ranks.slice(0, -1))));
  const leaves = nodes.filter(({ ranks }) => !parents.has(keyOf(ranks)));
  const { ranks } = leaves.reduce((a, b) => (b.chance <= a.chance ? b : a));
  const rest = drafter.tree.filter((other) => keyOf(other) !== keyOf(ranks));
  return marginal(headsDrafter(drafter.heads, rest), ranks);
}

function nextNode(
  drafter: HeadsDrafter,
  likeliest: (count: number) => (readonly number[])[],
  mostNodes: number,
  marginal: (without: HeadsDrafter, ranks: readonly number[]) => MarginalNode,
): MarginalNode | null {
  if (drafter.tree.length >= mostNodes) return null;
  const has = new Set(drafter.tree.map(keyOf));
  const reached = (ranks: readonly number[]) => ranks.length === 1 || has.has(keyOf(ranks.slice(0, -1)));
  const next = likeliest(drafter.tree.length + has.size + 1).find((ranks) => !has.has(keyOf(ranks)) && reached(ranks));
  return next === undefined ? null : marginal(drafter, next);
}

function depthReasons(problem: Problem, n: number, known: Problem["heads"][number]): DepthReason[] {
  const context = contextFor(problem, n);
  const text = context.heads.get(known.sha256)?.choose;
  if (text === undefined) return [];
  const { latency } = problem;
  return treesOf(known, text.counted, latency.maxTreeNodes, problem.maxDraft).flatMap((trees, i) => {
    const speeds = trees.map((drafter) => {
      const curve = knownOf(context, "choose", { drafter, draftTokens: i + 1 })?.curve ?? [1];
      return {
        nodes: drafter.tree.length,
        speedup: (speedBy(latency, n, drafter, { curve }) * latency.stepUs(n)) / 1e6,
      };
    });
    if (speeds.length === 0) return [];
    const best = speeds.reduce((a, b) => (b.speedup > a.speedup ? b : a));
    return [{ depth: i + 1, ...best }];
  });
}
