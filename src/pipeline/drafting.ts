/**
 * Who drafts: `--drafter`, the plan, and the heads that they name. What can be refused is refused before a model is loaded;
 * heads that were opened are closed whatever happens.
 */
import { DraftplanError } from "../core/errors.js";
import { besideDocument } from "../core/folders.js";
import type { Heads } from "../decode/drafters/heads.js";
import type { DraftPolicy } from "../decode/loop.js";
import { requireFits } from "../model/heads/fit.js";
import { openHeadsCheckpoint } from "../model/heads/open.js";
import type { HeadsCheckpoint } from "../model/heads/spec.js";
import type { Checkpoint } from "../model/spec.js";
import { openHeads } from "../runtime/heads-engine.js";
import { type LoadedModel, modelRef } from "../runtime/load.js";
import type { Loaded } from "../schema/document.js";
import { MAX_DRAFT_TOKENS, MAX_HEAD_RANKS, MAX_TREE_NODES } from "../schema/drafter.js";
import type { Plan, Segment } from "../schema/plan.js";
import type { PipelineContext } from "./context.js";
import { policyOf, warnOfTemperature } from "./plan-policy.js";

/** What `--drafter` says. */
export type DrafterChoice = { kind: "plan" } | { kind: "none" } | { kind: "self" } | { kind: "heads"; path: string };

/** @throws OPTION_INVALID for a word that is no drafter */
export function parseDrafter(text: string): DrafterChoice {
  if (text === "plan" || text === "none" || text === "self") return { kind: text };
  const [kind, ...rest] = text.split(":");
  const path = rest.join(":");
  if (kind === "heads" && path !== "") return { kind, path };
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: "--drafter",
    what: `'${text.slice(0, 60)}' is no drafter`,
    remedy: "Use one of: plan, none, self, heads:PATH",
  });
}

/** As the command line has it. */
export const drafterName = (choice: DrafterChoice): string =>
  choice.kind === "heads" ? `heads:${choice.path}` : choice.kind;

/** A folder of heads that was looked at. */
interface HeadsFolder {
  folder: string;
  checkpoint: HeadsCheckpoint;
}

/** Who is to draft, found and unchanged, but not looked at beside the model yet. */
export interface Drafting {
  plan: Loaded<Plan> | null;
  choice: DrafterChoice;
  folders: readonly HeadsFolder[];
}

/** What drafts on a model, which may still have to be opened. */
export interface Planned {
  /** the plan with the drafter that was asked for in its segments; null: plain decoding */
  plan: Loaded<Plan> | null;
  /** rows that a verification writes at most beside the pending token */
  mostNodes: number;
}

/**
 * Finds the plan's heads and those of the command line, and looks at their files.
 * @param asked null: as the plan says, and without one plain decoding
 * @throws USAGE where there is no plan to take drafts from, DIGEST_MISMATCH where a plan's heads have changed, what opening
 *   a folder of heads throws
 */
export async function findDrafting(plan: Loaded<Plan> | null, asked: DrafterChoice | null): Promise<Drafting> {
  const choice = asked ?? (plan === null ? { kind: "none" } : { kind: "plan" });
  if (plan === null && (choice.kind === "plan" || choice.kind === "self")) throw needsPlan(choice.kind);
  const folders = new Map<string, HeadsFolder>();
  if (choice.kind === "heads") {
    const found = await lookAt(choice.path);
    folders.set(found.checkpoint.sha256, found);
  }
  if (plan !== null && choice.kind === "plan") {
    for (const [i, { drafter }] of plan.document.segments.entries()) {
      if (drafter?.kind !== "heads" || folders.has(drafter.sha256)) continue;
      const found = await lookAt(besideDocument(plan.path, drafter.path));
      if (found.checkpoint.sha256 !== drafter.sha256) throw changed(`${plan.path}: segments[${i}].drafter`, found);
      folders.set(drafter.sha256, found);
    }
  }
  return { plan, choice, folders: [...folders.values()] };
}

async function lookAt(folder: string): Promise<HeadsFolder> {
  const checkpoint = await openHeadsCheckpoint(folder);
  checkpoint.close();
  return { folder, checkpoint };
}

/**
 * Holds what is to draft against the model, before its weights are loaded.
 * @throws HEADS_MISMATCH, DOCUMENT_MISMATCH, TREE_INVALID, BLOCK_UNKNOWN, OPTION_INVALID for `self` where the plan has no
 *   draft of the model's own blocks
 */
export function planDrafting(drafting: Drafting, checkpoint: Checkpoint, context: PipelineContext): Planned {
  for (const { checkpoint: heads } of drafting.folders) requireFits(heads, checkpoint.spec);
  if (drafting.plan !== null) warnOfTemperature(drafting.plan, context.progress);
  const plan = asAsked(drafting, checkpoint);
  // heads that say what they are and guess nothing: what is wrong with a plan is wrong with them too
  if (plan !== null) policyOf(plan, checkpoint, context, drafting.folders.map(unopened));
  const trees = plan?.document.segments.map(({ drafter }) => (drafter?.kind === "heads" ? drafter.tree.length : 0));
  return { plan, mostNodes: Math.max(0, ...(trees ?? [])) };
}

const unopened = ({ checkpoint: { spec, sha256 } }: HeadsFolder): Heads => ({
  ...{ kind: spec.kind, heads: spec.heads, ranks: MAX_HEAD_RANKS, sha256 },
  guess: () => {
    throw new Error("these heads are not open");
  },
  close: () => {},
});

/** The plan with the drafter that was asked for. */
function asAsked({ plan, choice, folders }: Drafting, checkpoint: Checkpoint): Loaded<Plan> | null {
  switch (choice.kind) {
    case "plan":
      return plan;
    case "none":
      return plan === null ? null : changedSegments(plan, plainSegment);
    case "self":
      return plan === null ? null : changedSegments(plan, ownBlocksAlone(plan));
    case "heads": {
      const [{ checkpoint: heads, folder }] = folders;
      const base = plan ?? planOfOneSegment(checkpoint, choice);
      return changedSegments(base, (segment) => headsSegment(segment, heads, folder));
    }
  }
}

const changedSegments = (plan: Loaded<Plan>, change: (segment: Segment) => Segment): Loaded<Plan> => ({
  ...plan,
  document: { ...plan.document, segments: plan.document.segments.map(change) },
});

const plainSegment = ({ context_tokens, extrapolated }: Segment): Segment => ({
  context_tokens,
  speculate: false,
  ...(extrapolated === undefined ? {} : { extrapolated }),
});

/** Segments in which others draft become plain ones. */
function ownBlocksAlone({ document, path }: Loaded<Plan>): (segment: Segment) => Segment {
  if (!document.segments.some(({ draft }) => draft !== undefined)) throw noOwnDraft(path);
  return (segment) => (segment.draft === undefined ? plainSegment(segment) : segment);
}

/** Its own tree where it has one of these heads. What was predicted for another drafter is not predicted for this one. */
function headsSegment(segment: Segment, heads: HeadsCheckpoint, folder: string): Segment {
  const { sha256 } = heads;
  if (segment.drafter?.kind === "heads" && segment.drafter.sha256 === sha256) return segment;
  const tree = defaultTree(heads.spec.heads);
  const drafter = { kind: "heads" as const, path: folder, sha256, tree };
  return { ...plainSegment(segment), speculate: true, drafter, draft_tokens: tree.length };
}

/**
 * What heads draft that nobody planned a tree for: the likeliest token of each, one behind the other. A chain is the
 * cheapest to verify at its depth; wider trees pay where verification is cheap, which `solve` knows by measuring.
 */
const defaultTree = (heads: number): number[][] =>
  Array.from({ length: Math.min(heads, MAX_DRAFT_TOKENS, MAX_TREE_NODES) }, (_, i) => new Array(i + 1).fill(0));

/** A plan for heads that none was made for. */
function planOfOneSegment(checkpoint: Checkpoint, choice: DrafterChoice): Loaded<Plan> {
  const { contextLimit } = checkpoint.spec;
  const segments: Segment[] = [{ context_tokens: { from: 0, to: contextLimit }, speculate: false }];
  const document: Plan = { kind: "draftplan/plan", version: 1, model: modelRef(checkpoint), segments };
  return { path: `--drafter ${drafterName(choice)}`, sha256: "", document };
}

/** Heads that were opened, and what is done when nobody needs them any more. */
interface OpenHeads {
  heads: readonly Heads[];
  close(): void;
}

/**
 * Opens the heads on a loaded model.
 * @throws what openHeads throws; nothing stays open then
 */
async function openDraftingHeads(
  { folders }: Drafting,
  { plan }: Planned,
  model: LoadedModel,
  { provider, threads, ortLibrary, targetPrecision, progress }: PipelineContext,
): Promise<OpenHeads> {
  const heads: Heads[] = [];
  const close = () => {
    for (const one of heads) one.close();
  };
  try {
    for (const { folder, checkpoint } of folders) {
      const options = { provider, threads, ortLibrary, targetPrecision, ranks: ranksOf(plan, checkpoint.sha256) };
      heads.push(await openHeads(folder, model, options, progress));
    }
  } catch (error) {
    close();
    throw error;
  }
  return { heads, close };
}

/** Ranks that the plan's trees ask of heads. */
function ranksOf(plan: Loaded<Plan> | null, sha256: string): number {
  const trees = (plan?.document.segments ?? []).flatMap(({ drafter }) =>
    drafter?.kind === "heads" && drafter.sha256 === sha256 ? drafter.tree : [],
  );
  return 1 + Math.max(0, ...trees.flat());
}

/** The policy of a plan on a loaded model, its heads open while it is used. */
export async function withDrafting<Result>(
  drafting: Drafting,
  planned: Planned,
  model: LoadedModel,
  context: PipelineContext,
  use: (policy: DraftPolicy | null, heads: readonly Heads[]) => Promise<Result>,
): Promise<Result> {
  const { heads, close } = await openDraftingHeads(drafting, planned, model, context);
  try {
    const checkpoint = { spec: model.spec, ...digestsOf(model) };
    return await use(planned.plan === null ? null : policyOf(planned.plan, checkpoint, context, heads), heads);
  } finally {
    close();
  }
}

const digestsOf = ({ ref }: LoadedModel) => ({
  architectureSha256: ref.architecture_sha256,
  weightsSha256: ref.weights_sha256,
});

const needsPlan = (kind: string) =>
  new DraftplanError({
    code: "USAGE",
    at: `--drafter ${kind}`,
    what: kind === "plan" ? "there is no plan" : "which blocks draft, a plan says, and there is none",
    remedy: "Give --plan PLAN as well, or --drafter heads:PATH, or leave --drafter out.",
  });

const noOwnDraft = (at: string) =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at: "--drafter self",
    what: `${at} has no draft of the model's own blocks`,
    remedy: "Leave --drafter out, or make a plan with one: draftplan solve --drafters self",
  });

const changed = (at: string, { folder, checkpoint }: HeadsFolder) =>
  new DraftplanError({
    code: "DIGEST_MISMATCH",
    at,
    what: `${folder} holds other heads than the plan was made for (${checkpoint.sha256.slice(0, 12)}…)`,
    remedy: "Put the plan's heads there, or make a plan for these: calibrate, profile and solve again.",
  });
