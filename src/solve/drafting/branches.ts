/**
 * What a lookup drafts that goes on from several places at once, by what the calibration says of each: how far its
 * continuation is the text's own, and how far it is that of a place before it, whose nodes it shares in the tree.
 */
import type { Branches } from "../../schema/drafter.js";
import type { LookupContext } from "../../schema/text-calibration.js";
import type { TreeShare } from "./known.js";

export interface LookupLengths {
  /** of the shortest n-gram that is gone on with */
  min: number;
  /** of the first place */
  draftTokens: number;
  branches: Branches | undefined;
}

export interface LookupTree {
  /** tokens that the target accepts */
  accepted: number;
  nodes: number;
  /** some nodes share a parent; false: it is a chain, and run as one */
  isTree: boolean;
}

/** The draft of a round that begins at a position with a match (decode/drafters/lookup.ts). */
export function treeAt(
  { followed, branches: further }: LookupContext,
  { min, draftTokens, branches }: LookupLengths,
  text: number,
  position: number,
): LookupTree {
  let accepted = Math.min(draftTokens, followed[text][position]);
  let nodes = draftTokens;
  if (branches === undefined) return { accepted, nodes, isTree: false };
  const length = Math.min(draftTokens, branches.draft_tokens);
  for (const [matched, shared, follows] of (further?.[text][position] ?? []).slice(0, branches.count - 1)) {
    if (matched < min) break; // those behind it match no longer
    nodes += Math.max(0, length - shared);
    accepted = Math.max(accepted, Math.min(length, follows));
  }
  return { accepted, nodes, isTree: nodes > draftTokens };
}

/** Rounds by the shape of what they verify. */
export class TreeCounts {
  private readonly counts = new Map<string, { nodes: number; isTree: boolean; rounds: number }>();

  add({ nodes, isTree }: Pick<LookupTree, "nodes" | "isTree">, rounds: number): void {
    const key = `${nodes} ${isTree}`;
    const counted = this.counts.get(key) ?? { nodes, isTree, rounds: 0 };
    counted.rounds += rounds;
    this.counts.set(key, counted);
  }

  /** undefined: nothing was counted */
  shares(): TreeShare[] | undefined {
    const all = [...this.counts.values()].sort((a, b) => a.nodes - b.nodes || Number(a.isTree) - Number(b.isTree));
    const total = all.reduce((sum, { rounds }) => sum + rounds, 0);
    if (total === 0) return undefined;
    return all.map(({ nodes, isTree, rounds }) => ({ nodes, isTree, share: rounds / total }));
  }
}
