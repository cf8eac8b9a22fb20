/** Why a tree of heads has its nodes, in words and as a drawing of characters. */
import type { ExplainedDraft, MarginalNode, TreeReason } from "../../solve/index.js";
import { formatPercent } from "../format.js";

const ms = (us: number): string => `${(us / 1000).toFixed(us < 10_000 ? 2 : 1)} ms`;
const us = (amount: number): string => `${amount.toFixed(0)} µs`;

/** A tree larger than this is shown by its likeliest nodes, unless all are asked for. */
const DRAWN = 24;

/** Sentences about a tree, each to be wrapped. */
export function treeSentences({ headsUs, verifyUs, last, next, depths }: TreeReason, draft: ExplainedDraft): string[] {
  return [
    `The heads take ${ms(headsUs)} a round, judging the tree ${ms(verifyUs)}.`,
    ...(last === null ? [] : [`Its last node, ${marginText(last, true)}`]),
    next === null
      ? "No further node was ever right, or the profile goes no further."
      : `The next node, ${marginText(next, false)}`,
    ...depthSentence(depths, draft),
  ];
}

/** `[0, 1], is right in 4.1 % of positions and adds 56 µs, which takes 3.2 %: 2.05 -> 2.06 times as fast.` */
function marginText({ ranks, chance, costUs, breakEven, speedupWithout, speedupWith }: MarginalNode, has: boolean) {
  const worth =
    costUs <= 0
      ? `${has ? "costs" : "would cost"} nothing more to verify`
      : `${has ? "adds" : "would add"} ${us(costUs)}, which pays from ${formatPercent(breakEven)} on`;
  const effect = `${speedupWithout.toFixed(3)} without it, ${speedupWith.toFixed(3)} with it`;
  return `[${ranks.join(", ")}], is on the accepted path at ${formatPercent(chance)} of positions and ${worth}: ${effect}.`;
}

function depthSentence(depths: TreeReason["depths"], draft: ExplainedDraft): string[] {
  const others = depths.filter(({ depth }) => depth !== draft.draftTokens);
  if (others.length === 0) return [];
  const texts = others.map(({ depth, nodes, speedup }) => `depth ${depth} ${speedup.toFixed(2)} (${nodes})`);
  return [`The best trees of other depths by the text of choosing, with their nodes: ${texts.join(", ")}.`];
}

interface Drawn {
  rank: number;
  chance: number;
  children: Drawn[];
}

/**
 * The tree as lines, each node's rank and how often it is on the accepted path; children below their parents.
 *
 *     pending
 *     ├─ 0   63.9 %
 *     │  ├─ 0   41.0 %
 *     │  └─ 1    9.2 %
 *     └─ 1   11.4 %
 */
export function treeLines({ nodes }: Pick<TreeReason, "nodes">, all: boolean): string[] {
  const shown = all ? nodes : nodes.slice(0, DRAWN);
  const root: Drawn = { rank: -1, chance: 1, children: [] };
  const placed = new Map<string, Drawn>([["", root]]);
  for (const { ranks, chance } of shown) {
    const node: Drawn = { rank: ranks[ranks.length - 1], chance, children: [] };
    placed.get(ranks.slice(0, -1).join())?.children.push(node);
    placed.set(ranks.join(), node);
  }
  const left = nodes.length - shown.length;
  return [
    "pending token",
    ...below(root, ""),
    ...(left === 0 ? [] : [`and ${left} less likely nodes (--all lists every one)`]),
  ];
}

function below({ children }: Drawn, indent: string): string[] {
  return children.flatMap((node, i) => {
    const last = i === children.length - 1;
    const chance = `${(100 * node.chance).toFixed(1)} %`.padStart(8);
    return [
      `${indent}${last ? "└─" : "├─"} ${String(node.rank).padEnd(2)}${chance}`,
      ...below(node, `${indent}${last ? "   " : "│  "}`),
    ];
  });
}

export const TREE_LEGEND =
  "Each line is a drafted token: its rank in its head's list, 0 the likeliest, and how often it is on the accepted path, by the text that the acceptance above was measured on.";
