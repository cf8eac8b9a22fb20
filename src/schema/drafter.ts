/**
 * Who drafts a context range of a plan, by the word `kind`. A new way to draft is a member of the union below and a file in
 * decode/drafters; a segment that names nobody is drafted for by the model's own blocks.
 */
import { z } from "zod";
import { InputRef, KernelName, Sha256 } from "./common.js";

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

/** Tokens of an n-gram that is looked up, at most. */
export const MAX_NGRAM_TOKENS = 16;

/** Lengths of n-grams that are looked up in the text so far, both included: the longest that is found is gone on with. */
export const NgramTokens = z
  .strictObject({ min: z.int().min(1).max(MAX_NGRAM_TOKENS), max: z.int().min(1).max(MAX_NGRAM_TOKENS) })
  .refine(({ min, max }) => min <= max, "min is above max");
export type NgramTokens = z.infer<typeof NgramTokens>;

/** Places that a lookup goes on from at once, at most. */
export const MAX_BRANCHES = 8;

/** Several places that a lookup goes on from at once: what followed them is drafted together, as a tree. */
export const Branches = z.strictObject({
  count: z.int().min(2).max(MAX_BRANCHES).describe("places at most, the first of them included"),
  draft_tokens: z
    .int()
    .min(1)
    .max(MAX_DRAFT_TOKENS)
    .describe("drafted of each but the first, which has the whole draft's length"),
});
export type Branches = z.infer<typeof Branches>;

/** The key, where a lookup goes on from several places. */
export const branchesKey = (branches: Branches | undefined): { branches?: Branches } =>
  branches === undefined ? {} : { branches: { ...branches } };

/** Nodes of a lookup's draft at most: fewer where continuations begin alike. */
export const lookupNodes = (draftTokens: number, branches: Branches | undefined): number =>
  draftTokens + (branches === undefined ? 0 : (branches.count - 1) * branches.draft_tokens);

/** Alternatives of a draft's last token, at most. */
export const MAX_SIBLINGS = 7;
const SelfDrafter = z.strictObject({
  kind: z.literal("self"),
  siblings: z
    .int()
    .min(1)
    .max(MAX_SIBLINGS)
    .optional()
    .describe("the next likeliest tokens of the last draft step, verified beside its own; absent: none"),
});
const HeadsDrafter = z.strictObject({
  kind: z.literal("heads"),
  ...HeadsRef.shape,
  tree: DraftTree.describe("ranks along each node's path, parents before children"),
});
const LookupBranches = Branches.optional().describe("absent: only the most recent place of the longest match");
const LookupDrafter = z.strictObject({
  kind: z.literal("lookup"),
  ngram_tokens: NgramTokens,
  branches: LookupBranches,
});
/** Another checkpoint of the same vocabulary, all of it in one kernel. */
export const ModelDrafter = z.strictObject({
  kind: z.literal("model"),
  name: z.string().max(200),
  weights_sha256: Sha256,
  path: z.string().max(4096).describe("a model, as seen from the folder that the document lies in; or `embedded`"),
  kernel: KernelName.describe("of all its blocks and its head; target: its own precision"),
});
const HybridLookup = z
  .strictObject({
    min_match: z.int().min(1).max(MAX_NGRAM_TOKENS).describe("a match of fewer tokens is left to the other drafter"),
    ngram_tokens: NgramTokens,
    draft_tokens: z
      .int()
      .min(1)
      .max(MAX_DRAFT_TOKENS)
      .optional()
      .describe("drafted behind a match; absent: the segment's draft_tokens"),
    branches: LookupBranches,
  })
  .refine(
    ({ min_match, ngram_tokens }) => min_match <= ngram_tokens.max,
    "min_match is above ngram_tokens.max: nothing would ever be looked up",
  );
const OtherwiseDrafter = z.discriminatedUnion("kind", [SelfDrafter, ModelDrafter, HeadsDrafter]);
const HybridDrafter = z.strictObject({
  kind: z.literal("hybrid"),
  lookup: HybridLookup,
  otherwise: OtherwiseDrafter.describe("who drafts where no match is long enough; for self as `draft` has it"),
});

export const DrafterRef = z.discriminatedUnion("kind", [
  SelfDrafter,
  LookupDrafter,
  ModelDrafter,
  HeadsDrafter,
  HybridDrafter,
]);
export type DrafterRef = z.infer<typeof DrafterRef>;
export type LookupRef = z.infer<typeof LookupDrafter>;
export type ModelDrafterRef = z.infer<typeof ModelDrafter>;
export type HeadsDrafterRef = z.infer<typeof HeadsDrafter>;
export type HybridRef = z.infer<typeof HybridDrafter>;
/** A drafter that is no combination of others. */
export type SingleRef = Exclude<DrafterRef, HybridRef>;

/** Whom a segment's own blocks, heads or other model belong to: of a hybrid the drafter beside its lookup. */
export const mainDrafter = (drafter: DrafterRef | undefined): SingleRef =>
  drafter === undefined ? { kind: "self" } : drafter.kind === "hybrid" ? drafter.otherwise : drafter;

/** Siblings of the last token that the model's own blocks draft, alone or behind a lookup; undefined: none. */
export function siblingsOf(drafter: DrafterRef | undefined): number | undefined {
  const main = mainDrafter(drafter);
  return main.kind === "self" ? main.siblings : undefined;
}

/** A drafter's lookup, alone or in front of another; null: it looks nothing up. */
export const lookupIn = (
  drafter: DrafterRef | undefined,
): (Omit<LookupRef, "kind"> & Partial<HybridRef["lookup"]>) | null =>
  drafter?.kind === "lookup" ? drafter : drafter?.kind === "hybrid" ? drafter.lookup : null;

/** The drafter without siblings of its last token; itself where it has none. */
export function withoutSiblings(drafter: DrafterRef): DrafterRef {
  if (siblingsOf(drafter) === undefined) return drafter;
  return drafter.kind === "hybrid" ? { ...drafter, otherwise: { kind: "self" } } : { kind: "self" };
}

/** Nodes of a segment's draft tree at most; 0 where all its drafts are chains. */
export function mostNodesOf({ drafter, draft_tokens: draftTokens = 0 }: Drafting): number {
  const main = mainDrafter(drafter);
  const lookup = lookupIn(drafter);
  const siblings = siblingsOf(drafter);
  const own = siblings === undefined ? 0 : draftTokens + siblings;
  const looked = lookup?.branches === undefined ? 0 : lookupNodes(lookup.draft_tokens ?? draftTokens, lookup.branches);
  return Math.max(looked, own, main.kind === "heads" ? main.tree.length : 0);
}

interface Drafting {
  drafter?: DrafterRef | undefined;
  draft?: unknown;
  draft_tokens?: number | undefined;
}

/** What is wrong between a drafter and the keys beside it: blocks are the model's own, and a tree's depth is its draft length. */
export function drafterFaults({ drafter, draft, draft_tokens }: Drafting): { key: string; message: string }[] {
  const main = mainDrafter(drafter);
  const faults: { key: string; message: string }[] = [];
  if (main.kind === "self" && draft === undefined)
    faults.push({ key: "draft", message: "missing, though the model's own blocks draft" });
  if (main.kind !== "self" && draft !== undefined)
    faults.push({
      key: "draft",
      message: `present, though the drafter is ${main.kind}: blocks draft for 'self' alone`,
    });
  if (main.kind === "heads" && draft_tokens !== undefined && draft_tokens !== treeDepth(main.tree))
    faults.push({ key: "draft_tokens", message: `${draft_tokens}, and the tree is ${treeDepth(main.tree)} deep` });
  const lookup = lookupIn(drafter);
  const longest = lookup?.draft_tokens ?? draft_tokens;
  if (lookup?.branches !== undefined && longest !== undefined) {
    const { draft_tokens: others } = lookup.branches;
    const nodes = lookupNodes(longest, lookup.branches);
    const wrong = (what: string) => faults.push({ key: "drafter", message: `its branches ${what}` });
    if (others > longest) wrong(`of ${others} tokens are longer than the lookup's ${longest}`);
    if (nodes > MAX_TREE_NODES) wrong(`may have ${nodes} nodes, and ${MAX_TREE_NODES} is the most`);
  }
  return faults;
}
