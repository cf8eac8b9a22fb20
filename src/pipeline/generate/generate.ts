/** Decoding of one prompt: a plan changes the speed and nothing else. */
import { DraftplanError } from "../../core/errors.js";
import { type AdaptivePolicy, type AdaptiveSummary, adaptivePolicy } from "../../decode/adaptive/policy.js";
import { selfChoices } from "../../decode/drafters/self.js";
import type { DraftPolicy } from "../../decode/loop.js";
import type { Checkpoint } from "../../model/spec.js";
import { systemClock } from "../../runtime/device.js";
import type { Loaded } from "../../schema/document.js";
import type { Plan } from "../../schema/plan.js";
import { drafterText } from "../../schema/plan-text.js";
import { planKernels } from "../choices.js";
import type { PipelineContext } from "../context.js";
import {
  type DrafterChoice,
  type Drafting,
  drafterName,
  findDrafting,
  type Planned,
  planDrafting,
  withDrafting,
} from "../drafting.js";
import { readInputs } from "../plan-inputs.js";
import { warnOfSeed } from "../plan-policy.js";
import { requireInVocabulary } from "../text/token-ids.js";
import { withModel } from "../with-model.js";
import { openAdaptation } from "./adaptation.js";
import { continuationsOf } from "./continuations.js";
import { chooseMaxTokens, type Prompt, readPrompt } from "./prompt.js";
import type { AdaptedSummary, GenerateRequest, Generation, TextSink } from "./types.js";

interface Prepared {
  capacity: number;
  maxTokens: number;
  planned: Planned;
  /** makes the plan's policy one that adapts; null: the plan as it stands */
  adapt: ((planned: DraftPolicy) => AdaptivePolicy) | null;
}

/**
 * @param sink null: the text is not wanted before it is whole
 * @throws USAGE, OPTION_INVALID, NOT_YET_SUPPORTED, TOKEN_IDS_INVALID, CONTEXT_LIMIT, DOCUMENT_MISMATCH, HEADS_MISMATCH,
 *   what loading the model and opening heads throw
 */
export async function generateFrom(
  model: string,
  request: GenerateRequest,
  sink: TextSink | null,
  context: PipelineContext,
): Promise<Generation> {
  const { plan, drafter, adapt, sampling, stops = [] } = request;
  const { progress } = context;
  requireStops(request);
  if (adapt) requireAdaptable(plan, drafter);
  const drafting = await findDrafting(plan, drafter, model);
  const prompt = await readPrompt(model, request.prompt);
  const kernels = planKernels([plan?.document ?? null], adapt ? plan?.document.choices : []);
  return withModel(
    model,
    { ...context, kernels },
    (checkpoint) => {
      if (adapt && typeof sampling?.seed === "number") warnOfSeed(progress);
      return prepare(checkpoint, prompt, request, drafting, context);
    },
    (loaded, { planned, maxTokens, adapt: adapted }) =>
      withDrafting(drafting, planned, loaded, context, async (policy) => {
        const drafts = drafting.choice.kind === "none" ? null : policy;
        const adaptive = drafts === null ? null : (adapted?.(drafts) ?? null);
        const options = { policy: adaptive?.policy ?? drafts, maxTokens, sampling, stops, sink, progress };
        const continuations = await continuationsOf(loaded.engine, prompt, options);
        return {
          ...continuations[0],
          promptTokens: prompt.ids.length,
          drafter: drafterName(drafting.choice),
          continuations: sampling?.count === undefined ? null : continuations,
          adapted: adaptive === null ? null : adaptedOf(adaptive.summary()),
        };
      }),
  );
}

/** @throws OPTION_INVALID for a text without characters, USAGE where there is no text to stop at */
function requireStops({ stops = [], prompt }: GenerateRequest): void {
  if (stops.includes("")) throw emptyStop();
  if (stops.length > 0 && prompt.kind === "ids") throw stopWithoutText();
}

const emptyStop = () =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at: "--stop",
    what: "it is empty, and every text has that at its beginning",
    remedy: "Give a text, or leave --stop out.",
  });

const stopWithoutText = () =>
  new DraftplanError({
    code: "USAGE",
    at: "--stop --prompt-ids",
    what: "a prompt of token ids is gone on with in token ids, without a tokenizer to make text of them",
    remedy: "Give the prompt as text: --prompt TEXT or --chat TEXT.",
  });

/** @throws USAGE without a plan to begin with, NOT_YET_SUPPORTED for one that others than the model's own blocks draft in */
function requireAdaptable(plan: Loaded<Plan> | null, drafter: DrafterChoice | null): void {
  if (plan === null) throw adaptWithoutPlan();
  if (drafter !== null && drafter.kind !== "plan") throw adaptAnother(drafter);
  const { segments } = plan.document;
  const other = segments.findIndex(({ drafter: who }) => who !== undefined && who.kind !== "self");
  if (other !== -1) throw adaptOther(`${plan.path}: segments[${other}].drafter`, drafterText(segments[other].drafter));
  if (plan.document.draft_cache === "own") throw adaptOwnCache(`${plan.path}: draft_cache`);
}

const adaptAnother = (drafter: DrafterChoice) =>
  new DraftplanError({
    code: "USAGE",
    at: `--adapt --drafter ${drafterName(drafter)}`,
    what: "adapting begins with the plan's own drafts",
    remedy: "Leave one of the two options out.",
  });

const adaptOther = (at: string, who: string) =>
  new DraftplanError({
    code: "NOT_YET_SUPPORTED",
    at,
    what: `there drafts ${who}, and --adapt weighs drafts of the model's own blocks alone`,
    remedy: "Leave --adapt out, or solve a plan of the model's own blocks: draftplan solve --drafters self",
  });

const adaptOwnCache = (at: string) =>
  new DraftplanError({
    code: "NOT_YET_SUPPORTED",
    at,
    what: "its drafts have a KV cache of their own, and --adapt weighs drafts over the target's",
    remedy: "Leave --adapt out, or solve a plan without --standalone.",
  });

const adaptWithoutPlan = () =>
  new DraftplanError({
    code: "USAGE",
    at: "--adapt",
    what: "there is no plan to begin with",
    remedy: "Give --plan PLAN as well, or leave --adapt out.",
  });

function prepare(
  checkpoint: Checkpoint,
  prompt: Prompt,
  options: Pick<GenerateRequest, "maxTokens" | "adapt">,
  drafting: Drafting,
  context: PipelineContext,
): Prepared {
  const { spec } = checkpoint;
  requireInVocabulary(prompt.ids, spec.vocabSize, prompt.at);
  const maxTokens = chooseMaxTokens(prompt, spec, options.maxTokens);
  const planned = planDrafting(drafting, checkpoint, context);
  // a tree's rows lie behind the text until its path is moved together: the last rounds keep room for all of them
  const capacity = prompt.ids.length + maxTokens + planned.mostNodes;
  const { plan } = planned;
  return { maxTokens, capacity, planned, adapt: plan === null || !options.adapt ? null : adaptiveOf(plan) };
}

/** @throws INPUTS_MISSING, DIGEST_MISMATCH where the plan's profile and calibration are not at hand */
function adaptiveOf(plan: Loaded<Plan>): (planned: DraftPolicy) => AdaptivePolicy {
  const { profile, calibration } = readInputs(plan);
  const adaptation = openAdaptation(plan.document, profile, calibration, plan.path);
  return (planned) => adaptivePolicy(adaptation, systemClock, planned);
}

const adaptedOf = ({ arms, ...summary }: AdaptiveSummary): AdaptedSummary => ({
  ...summary,
  arms: arms.map(({ arm, ...use }) => ({
    drafter: arm?.draft.drafter.key ?? null,
    choices: arm === null ? null : selfChoices(arm.draft.drafter),
    draftTokens: arm?.draftTokens ?? 0,
    ...use,
  })),
});
