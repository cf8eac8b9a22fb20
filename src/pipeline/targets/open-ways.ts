/** Every way to decode, open at once: an engine for each target, and on it whoever drafts. Closed whatever happens. */
import type { DraftPolicy } from "../../decode/loop.js";
import { requantisedText } from "../../model/formats/own-codes.js";
import { weightBytes } from "../../model/graph/matrices.js";
import type { Checkpoint } from "../../model/spec.js";
import type { LoadedModel } from "../../runtime/load.js";
import { kernelsFor } from "../../schema/choice.js";
import type { Loaded } from "../../schema/document.js";
import { MAX_TREE_NODES } from "../../schema/drafter.js";
import type { TargetPrecision } from "../../schema/numerics.js";
import type { Plan } from "../../schema/plan.js";
import { draftingText } from "../../schema/plan-text.js";
import { usualChoices } from "../choices.js";
import type { PipelineContext } from "../context.js";
import { findDrafting, planDrafting, withDrafting } from "../drafting.js";
import { withModel } from "../with-model.js";
import type { NamedDrafter, WaysRequest } from "./options.js";

export interface OpenTarget {
  target: TargetPrecision;
  loaded: LoadedModel;
  /** matrices of all blocks and of the head */
  weightBytes: number;
  requantised: string | null;
}

export interface OpenWay {
  target: TargetPrecision;
  drafter: string;
  loaded: LoadedModel;
  policy: DraftPolicy | null;
  /** what it drafts at a context, in words */
  drafts(contextTokens: number): string;
}

/** What opening takes. */
export interface WaysToOpen extends WaysRequest {
  model: string;
  context: PipelineContext;
  /** tokens that caches hold beside a tree's nodes */
  tokens: number;
  /** the plan of a target's own blocks; asked once for each target where they are to draft */
  planOf(loaded: LoadedModel, context: PipelineContext): Promise<Plan>;
}

/** @throws what loading models and opening drafters throws; nothing stays open then */
export function withWays<Result>(
  asked: WaysToOpen,
  use: (targets: readonly OpenTarget[], ways: readonly OpenWay[]) => Promise<Result>,
): Promise<Result> {
  const { model, context, tokens } = asked;
  const open = (targets: readonly OpenTarget[], ways: readonly OpenWay[]): Promise<Result> => {
    const target = asked.targets[targets.length];
    if (target === undefined) return use(targets, ways);
    const own = { ...context, targetPrecision: target };
    return withModel(
      model,
      { ...own, kernels: kernelsFor(usualChoices(target)) },
      (checkpoint) => ({ checkpoint, capacity: Math.min(checkpoint.spec.contextLimit, tokens + MAX_TREE_NODES) }),
      async (loaded, { checkpoint }) => {
        const { engine, storedTypes } = loaded;
        const { attn, mlp, head } = weightBytes(engine.spec, ["target"], engine.numerics);
        const bytes = engine.spec.layers * ((attn.target ?? 0) + (mlp.target ?? 0)) + (head.target ?? 0);
        const opened = { target, loaded, weightBytes: bytes, requantised: requantisedText(storedTypes, target) };
        const drafters = asked.asked.includes(target) ? asked.drafters : asked.drafters.slice(0, 1);
        const found = { target, loaded, checkpoint, context: own };
        const plan = await planFor(asked, drafters, loaded, own);
        return withDrafters(asked, found, drafters, plan, [], (these) =>
          open([...targets, opened], [...ways, ...these]),
        );
      },
    );
  };
  return open([], []);
}

async function planFor(
  { planOf }: WaysToOpen,
  drafters: readonly NamedDrafter[],
  loaded: LoadedModel,
  context: PipelineContext,
): Promise<Loaded<Plan> | null> {
  if (!drafters.some(({ choice }) => choice.kind === "self")) return null;
  const document = await planOf(loaded, context);
  return { path: `the plan for ${context.targetPrecision}`, sha256: "", document };
}

interface Found {
  target: TargetPrecision;
  loaded: LoadedModel;
  checkpoint: Checkpoint;
  context: PipelineContext;
}

async function withDrafters<Result>(
  asked: WaysToOpen,
  found: Found,
  drafters: readonly NamedDrafter[],
  plan: Loaded<Plan> | null,
  ways: readonly OpenWay[],
  use: (ways: readonly OpenWay[]) => Promise<Result>,
): Promise<Result> {
  const drafter = drafters[ways.length];
  if (drafter === undefined) return use(ways);
  const { choice, name } = drafter;
  const { target, loaded, checkpoint, context } = found;
  // a lookup goes in front of the plan's drafts where there is a plan; all others stand for themselves
  const base = choice.kind === "self" || choice.kind === "hybrid" ? plan : null;
  const drafting = await findDrafting(base, choice.kind === "self" ? { kind: "plan" } : choice, asked.model);
  const planned = planDrafting(drafting, checkpoint, context);
  return withDrafting(drafting, planned, loaded, context, (policy) => {
    const drafts = (contextTokens: number) => draftsAt(planned.plan, contextTokens, loaded.spec.layers);
    const way = {
      target,
      drafter: name,
      loaded,
      policy: choice.kind === "none" ? null : policy,
      drafts,
    };
    return withDrafters(asked, found, drafters, plan, [...ways, way], use);
  });
}

function draftsAt(plan: Loaded<Plan> | null, contextTokens: number, layers: number): string {
  const segment = plan?.document.segments.find(({ context_tokens: { to } }) => contextTokens < to);
  if (segment?.speculate !== true) return "nothing";
  return draftingText(segment, layers).slice(0, 400);
}
