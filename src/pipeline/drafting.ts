/**
 * Who drafts: `--drafter`, the plan, and the heads and models that they name. What can be refused is refused before a model
 * is loaded; what was opened is closed whatever happens.
 */
import { DraftplanError } from "../core/errors.js";
import { besideDocument } from "../core/folders.js";
import type { Heads } from "../decode/drafters/heads.js";
import { OwnCache } from "../decode/drafters/own-cache.js";
import type { SecondCache } from "../decode/drafters/standalone.js";
import type { DraftPolicy } from "../decode/loop.js";
import type { Opened } from "../decode/policy.js";
import { requireFits } from "../model/heads/fit.js";
import { openHeadsCheckpoint } from "../model/heads/open.js";
import type { HeadsCheckpoint } from "../model/heads/spec.js";
import { modelBeside } from "../model/hub/cached.js";
import type { Checkpoint } from "../model/spec.js";
import type { Engine } from "../runtime/engine.js";
import { openHeads } from "../runtime/heads-engine.js";
import type { LoadedModel } from "../runtime/load.js";
import type { Kernel } from "../schema/choice.js";
import type { Loaded } from "../schema/document.js";
import { MAX_HEAD_RANKS, mainDrafter, mostNodesOf } from "../schema/drafter.js";
import type { Plan } from "../schema/plan.js";
import type { PipelineContext } from "./context.js";
import { type DrafterChoice, drafterName } from "./drafting/choice.js";
import { type DraftModelFile, lookAtDraftModel, openDraftModel, requireFitsTarget } from "./drafting/draft-models.js";
import {
  changedSegments,
  defaultDraftKernel,
  headsSegment,
  hybridSegment,
  lookupSegment,
  modelSegment,
  ownBlocksAlone,
  plainSegment,
  planOfOneSegment,
} from "./drafting/segments.js";
import { policyOf } from "./plan-policy.js";
import { secondEngine, standalonePlan } from "./standalone.js";

export { type DrafterChoice, drafterName, parseDrafter } from "./drafting/choice.js";

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
  models: readonly DraftModelFile[];
}

/** What drafts on a model, which may still have to be opened. */
export interface Planned {
  /** the plan with the drafter that was asked for in its segments; null: plain decoding */
  plan: Loaded<Plan> | null;
  /** rows that a verification writes at most beside the pending token, of trees: a chain's are part of the text's room */
  mostNodes: number;
}

/**
 * Finds the plan's heads and models and those of the command line, and looks at their files.
 * @param asked null: as the plan says, and without one plain decoding
 * @param model that is drafted for, as the user named it
 * @param standalone whether drafts of the model's own blocks have a cache of their own, whatever the plan says
 * @param answerTokens that such a draft's reading of the prompt is shared by in what is predicted of it; null: nothing is predicted
 * @throws USAGE where there is no plan to take drafts from, DIGEST_MISMATCH where a plan's heads or model have changed,
 *   DRAFT_MODEL_MISMATCH, what opening a folder of heads or a model throws
 */
export async function findDrafting(
  plan: Loaded<Plan> | null,
  asked: DrafterChoice | null,
  model: string,
  standalone = false,
  answerTokens: number | null = null,
): Promise<Drafting> {
  const choice = asked ?? (plan === null ? { kind: "none" } : { kind: "plan" });
  if (plan === null && (choice.kind === "plan" || choice.kind === "self")) throw needsPlan(choice.kind);
  if (standalone && !["plan", "self", "hybrid"].includes(choice.kind)) throw noOwnCache(choice);
  const folders = new Map<string, HeadsFolder>();
  const models = new Map<string, DraftModelFile>();
  if (choice.kind === "heads") {
    const found = await lookAt(choice.path);
    folders.set(found.checkpoint.sha256, found);
  }
  if (choice.kind === "model") {
    const found = await lookAtDraftModel(choice.path, model);
    models.set(found.checkpoint.weightsSha256, found);
  }
  if (plan !== null && (choice.kind === "plan" || choice.kind === "hybrid")) {
    for (const [i, { drafter }] of plan.document.segments.entries()) {
      const main = mainDrafter(drafter);
      const at = `${plan.path}: segments[${i}].drafter`;
      if (main.kind === "heads" && !folders.has(main.sha256)) {
        const found = await lookAt(besideDocument(plan.path, main.path));
        if (found.checkpoint.sha256 !== main.sha256) throw changedHeads(at, found);
        folders.set(main.sha256, found);
      }
      if (main.kind === "model" && !models.has(main.weights_sha256)) {
        const found = await lookAtDraftModel(modelBeside(plan.path, main.path), model);
        if (found.checkpoint.weightsSha256 !== main.weights_sha256) throw changedModel(at, found);
        models.set(main.weights_sha256, found);
      }
    }
  }
  const standing = standalone && plan !== null ? standalonePlan(plan, answerTokens) : plan;
  return { plan: standing, choice, folders: [...folders.values()], models: [...models.values()] };
}

async function lookAt(folder: string): Promise<HeadsFolder> {
  const checkpoint = await openHeadsCheckpoint(folder);
  checkpoint.close();
  return { folder, checkpoint };
}

/**
 * Holds what is to draft against the model, before its weights are loaded.
 * @throws HEADS_MISMATCH, DRAFT_MODEL_MISMATCH, DOCUMENT_MISMATCH, TREE_INVALID, BLOCK_UNKNOWN, OPTION_INVALID for `self`
 *   where the plan has no draft of the model's own blocks
 */
export function planDrafting(drafting: Drafting, checkpoint: Checkpoint, context: PipelineContext): Planned {
  for (const { checkpoint: heads } of drafting.folders) requireFits(heads, checkpoint.spec);
  for (const model of drafting.models) requireFitsTarget(model, checkpoint.spec);
  const plan = asAsked(drafting, checkpoint, context);
  // heads and models that say what they are and guess nothing: what is wrong with a plan is wrong with them too
  const unopened = [...drafting.folders.map(unopenedHeads), ...drafting.models.map(unopenedModel), UNOPENED_CACHE];
  if (plan !== null) policyOf(plan, checkpoint, context, unopened);
  return { plan, mostNodes: Math.max(0, ...(plan?.document.segments ?? []).map(mostNodesOf)) };
}

const unopenedHeads = ({ checkpoint: { spec, sha256 } }: HeadsFolder): Heads => ({
  ...{ kind: spec.kind, heads: spec.heads, ranks: MAX_HEAD_RANKS, sha256 },
  guess: () => {
    throw new Error("these heads are not open");
  },
  close: () => {},
});

const unopenedModel = ({ checkpoint: { spec, weightsSha256 } }: DraftModelFile): Opened => ({
  ...{ kind: "model", weightsSha256, cache: new OwnCache({ spec } as Engine), close: () => {} },
});

const UNOPENED_CACHE = { kind: "own cache", close: () => {} } as SecondCache;

/** The plan with the drafter that was asked for. */
function asAsked(
  { plan, choice, folders, models }: Drafting,
  checkpoint: Checkpoint,
  { provider }: PipelineContext,
): Loaded<Plan> | null {
  const base = () => plan ?? planOfOneSegment(checkpoint, drafterName(choice));
  switch (choice.kind) {
    case "plan":
      return plan;
    case "none":
      return plan === null ? null : changedSegments(plan, plainSegment);
    case "self":
      return plan === null ? null : changedSegments(plan, ownBlocksAlone(plan));
    case "lookup":
      return changedSegments(base(), lookupSegment);
    case "hybrid":
      return changedSegments(base(), hybridSegment);
    case "model":
      return changedSegments(base(), (segment) => modelSegment(segment, models[0], defaultDraftKernel(provider)));
    case "heads": {
      const [{ checkpoint: heads, folder }] = folders;
      return changedSegments(base(), (segment) => headsSegment(segment, heads, folder));
    }
  }
}

/** What was opened to draft, and what is done when nobody needs it any more. */
interface OpenDrafters {
  open: readonly Opened[];
  close(): void;
}

/**
 * Opens the heads on a loaded model, the models beside it, and a second cache where the plan's drafts have one.
 * @throws what openHeads and openDraftModel throw; nothing stays open then
 */
async function openDrafters(
  { folders, models }: Drafting,
  { plan }: Planned,
  model: LoadedModel,
  context: PipelineContext,
): Promise<OpenDrafters> {
  const { provider, threads, ortLibrary, targetPrecision, progress } = context;
  const open: Opened[] = [];
  const close = () => {
    for (const one of open) one.close();
  };
  try {
    for (const { folder, checkpoint } of folders) {
      const options = { provider, threads, ortLibrary, targetPrecision, ranks: ranksOf(plan, checkpoint.sha256) };
      open.push(await openHeads(folder, model, options, progress));
    }
    for (const { path, checkpoint } of models) {
      const kernels = kernelsOf(plan, checkpoint.weightsSha256);
      if (kernels.length > 0) open.push(await openDraftModel(path, kernels, model.engine.capacity, context));
    }
    if (plan?.document.draft_cache === "own") open.push(secondCache(model));
  } catch (error) {
    close();
    throw error;
  }
  return { open, close };
}

function secondCache(model: Pick<LoadedModel, "engine">): SecondCache {
  const second = secondEngine(model);
  return { kind: "own cache", cache: new OwnCache(second), close: () => second.close() };
}

const mainDrafters = (plan: Loaded<Plan> | null) =>
  (plan?.document.segments ?? []).map(({ drafter }) => mainDrafter(drafter));

/** Ranks that the plan's trees ask of heads. */
function ranksOf(plan: Loaded<Plan> | null, sha256: string): number {
  const trees = mainDrafters(plan).flatMap((main) =>
    main.kind === "heads" && main.sha256 === sha256 ? main.tree : [],
  );
  return 1 + Math.max(0, ...trees.flat());
}

/** Kernels that the plan runs a model in. */
const kernelsOf = (plan: Loaded<Plan> | null, sha256: string): Kernel[] =>
  mainDrafters(plan).flatMap((main) => (main.kind === "model" && main.weights_sha256 === sha256 ? main.kernel : []));

/** The policy of a plan on a loaded model, its heads and models open while it is used. */
export async function withDrafting<Result>(
  drafting: Drafting,
  planned: Planned,
  model: LoadedModel,
  context: PipelineContext,
  use: (policy: DraftPolicy | null, open: readonly Opened[]) => Promise<Result>,
): Promise<Result> {
  const { open, close } = await openDrafters(drafting, planned, model, context);
  try {
    const checkpoint = { spec: model.spec, ...digestsOf(model) };
    return await use(planned.plan === null ? null : policyOf(planned.plan, checkpoint, context, open), open);
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
    remedy: "Give --plan PLAN as well, or --drafter heads:PATH, model:PATH or lookup, or leave --drafter out.",
  });

const noOwnCache = (choice: DrafterChoice) =>
  new DraftplanError({
    code: "USAGE",
    at: `--standalone --drafter ${drafterName(choice)}`,
    what: "a cache of its own is for drafts of the model's own blocks, which are not to draft here",
    remedy: "Give a plan with such drafts and leave --drafter out, or leave --standalone out.",
  });

const changedHeads = (at: string, { folder, checkpoint }: HeadsFolder) =>
  new DraftplanError({
    code: "DIGEST_MISMATCH",
    at,
    what: `${folder} holds other heads than the plan was made for (${checkpoint.sha256.slice(0, 12)}…)`,
    remedy: "Put the plan's heads there, or make a plan for these: calibrate, profile and solve again.",
  });

const changedModel = (at: string, { path, checkpoint }: DraftModelFile) =>
  new DraftplanError({
    code: "DIGEST_MISMATCH",
    at,
    what: `${path} is another model than the plan was made for (${checkpoint.weightsSha256.slice(0, 12)}…)`,
    remedy: "Put the plan's draft model there, or make a plan for this one: calibrate, profile and solve again.",
  });
