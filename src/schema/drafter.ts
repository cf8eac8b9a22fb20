/**
 * Who drafts a context range of a plan, by the word `kind`. A new way to draft is a member of the union below and a file in
 * decode/drafters; a segment that names nobody is drafted for by the model's own blocks.
 */
import { z } from "zod";
import { InputRef } from "./common.js";

/** Tokens drafted one behind the other, at most: of a tree, its depth. */
export const MAX_DRAFT_TOKENS = 16;
/** With the pending token they make one pass of 64 rows. */
export const MAX_TREE_NODES = 63;
/** Likeliest tokens of a head that are looked at, at most. */
export const MAX_HEAD_RANKS = 64;

export const HeadsKind = z.enum(["medusa", "hydra"]);
export type HeadsKind = z.infer<typeof HeadsKind>;

/** Trained heads: a folder, and the digest of its files. */
export const HeadsRef = InputRef;

const Rank = z
  .int()
  .min(0)
  .max(MAX_HEAD_RANKS - 1);
/** 0 is the likeliest token of its head. */
export const RankPath = z.array(Rank).min(1).max(MAX_DRAFT_TOKENS);

/**
 * A draft tree: [nodes] the ranks along each node's path, [0, 2] for the third likeliest second token behind the likeliest
 * first. A node stands behind the node it follows, so that a pass may take them in order.
 */
export const DraftTree = z
  .array(RankPath)
  .min(1)
  .max(MAX_TREE_NODES)
  .superRefine((paths, context) => {
    const before = new Set<string>([""]);
    paths.forEach((path, i) => {
      const issue = (message: string) => context.addIssue({ code: "custom", message, path: [i] });
      const [key, parent] = [path.join(), path.slice(0, -1).join()];
      if (before.has(key)) issue(`the path [${path.join(", ")}] stands twice`);
      else if (!before.has(parent)) issue(`[${path.slice(0, -1).join(", ")}], which it follows, must stand before it`);
      before.add(key);
    });
  });

/** Tokens one behind the other that a tree drafts at most. */
export const treeDepth = (tree: readonly (readonly number[])[]): number =>
  tree.reduce((deepest, path) => Math.max(deepest, path.length), 0);

const SelfDrafter = z.strictObject({ kind: z.literal("self") });
const HeadsDrafter = z.strictObject({
  kind: z.literal("heads"),
  ...HeadsRef.shape,
  tree: DraftTree.describe("ranks along each node's path, parents before children"),
});

export const DrafterRef = z.discriminatedUnion("kind", [SelfDrafter, HeadsDrafter]);
export type DrafterRef = z.infer<typeof DrafterRef>;

interface Drafting {
  drafter?: DrafterRef | undefined;
  draft?: unknown;
  draft_tokens?: number | undefined;
}

/** What is wrong between a drafter and the keys beside it: blocks are the model's own, and a tree's depth is its draft length. */
export function drafterFaults({ drafter, draft, draft_tokens }: Drafting): { key: string; message: string }[] {
  const kind = drafter?.kind ?? "self";
  const faults: { key: string; message: string }[] = [];
  if (kind === "self" && draft === undefined)
    faults.push({ key: "draft", message: "missing, though the model's own blocks draft" });
  if (kind !== "self" && draft !== undefined)
    faults.push({ key: "draft", message: `present, though the drafter is ${kind}: blocks draft for 'self' alone` });
  if (drafter?.kind === "heads" && draft_tokens !== undefined && draft_tokens !== treeDepth(drafter.tree))
    faults.push({ key: "draft_tokens", message: `${draft_tokens}, and the tree is ${treeDepth(drafter.tree)} deep` });
  return faults;
}
