/** A plan verified on a model: from files to a document, gone on with where an earlier run was interrupted. */
import { DraftplanError } from "../../core/errors.js";
import { isKept } from "../../core/output-file.js";
import { modelSeenFrom } from "../../model/hub/cached.js";
import { usualKernels } from "../../schema/choice.js";
import type { Loaded } from "../../schema/document.js";
import { writeDocument } from "../../schema/document.js";
import type { TargetPrecision } from "../../schema/numerics.js";
import type { Plan } from "../../schema/plan.js";
import { isPlainGreedy } from "../../schema/sampling.js";
import type { Verification } from "../../schema/verification.js";
import { requirePrompts, type Thresholds } from "../../verify/index.js";
import { planLoading } from "../choices.js";
import { contextFor, type PipelineContext, precisionOf } from "../context.js";
import { deviceOf } from "../device.js";
import { type DrafterChoice, type Drafting, findDrafting, planDrafting, withDrafting } from "../drafting.js";
import { inputRef } from "../paths.js";
import { warnOfTemperature } from "../plan-policy.js";
import type { SamplingRequest } from "../sampling.js";
import { fitPrompts, openPrompts } from "../text/model-prompts.js";
import { withModel } from "../with-model.js";
import {
  buildBothRules,
  buildVerification,
  DEFAULT_MAX_TOKENS,
  DEFAULT_PAIRS,
  type VerificationRequest,
} from "./document.js";
import { FileJournal, journalHeader, journalPath } from "./journal.js";

export interface VerifyRequest {
  /** a model's folder or file, or `embedded` */
  model: string;
  /** a file of JSON lines; undefined: the bundled prompts */
  prompts?: string | undefined;
  /** who drafts in the plan's segments; null: as the plan says */
  drafter?: DrafterChoice | null | undefined;
  /** drafts of the model's own blocks have a cache of their own; a plan that says so has one anyway */
  standalone?: boolean | undefined;
  /** where the document is written, a journal beside it while it is measured; null: nothing is written */
  output: string | null;
  thresholds: Thresholds;
  maxTokens?: number | undefined;
  pairs?: number | undefined;
  /** also decode with a cheaper kernel alone, for comparison: int8, beside a target in int8 int4 */
  alternatives?: boolean | undefined;
  /** also run the plan's drafts under the rule of ending that it did not choose: fixed lengths beside early stops */
  stopRules?: boolean | undefined;
  /** undefined: greedily */
  sampling?: SamplingRequest | undefined;
}

/** Texts drawn from each of a few prompts where no number is asked for. */
const DEFAULT_DRAWS = 400;

/** How a verification draws; nothing where the likeliest tokens are taken as they are. */
function drawingOf({
  filters,
  seed,
  count = DEFAULT_DRAWS,
}: SamplingRequest): Pick<VerificationRequest, "drawing" | "penalty"> {
  if (seed !== null) return { drawing: { filters, seed, draws: count } };
  const { repetition_penalty: penalty = 1 } = filters;
  return penalty === 1 ? {} : { penalty };
}

/** @throws DOCUMENT_MISMATCH for a plan of another model, what reading prompts and loading the model throw, FILE_UNWRITABLE, OPTION_INVALID for a least speedup and fewer than four prompts */
export async function verifyPlanOn(
  plan: Loaded<Plan>,
  request: VerifyRequest,
  given: PipelineContext,
): Promise<Verification> {
  const context = contextFor(given, plan);
  const { output, thresholds, alternatives = false, maxTokens = DEFAULT_MAX_TOKENS, pairs = DEFAULT_PAIRS } = request;
  const { progress } = context;
  if (alternatives && request.sampling !== undefined && !isPlainGreedy(request.sampling.filters))
    throw alternativesDrawn();
  const { stopRules = false } = request;
  if (stopRules && !plan.document.segments.some(({ stop }) => stop !== undefined)) throw noRules(plan.path);
  const others = alternatives ? usualKernels(precisionOf(context)) : [];
  if (alternatives && others.length === 0) throw noAlternative(precisionOf(context));
  const drafting = await findDrafting(plan, request.drafter ?? null, request.model, request.standalone, maxTokens);
  const prompts = await openPrompts(request.model, request.prompts, context.progress);
  let journal: FileJournal | undefined;
  try {
    const verification = await withModel(
      request.model,
      { ...context, ...planLoading([plan.document], others) },
      (checkpoint) => {
        warnOfTemperature(plan, progress, request.sampling?.filters);
        const planned = planDrafting(drafting, checkpoint, context);
        const fitting = fitPrompts(prompts, checkpoint.spec, maxTokens, progress);
        requirePrompts(fitting.prompts.length, thresholds.minSpeedup);
        return { ...fitting, planned, capacity: fitting.capacity + planned.mostNodes };
      },
      (loaded, { prompts: kept, planned }) =>
        withDrafting(drafting, planned, loaded, context, (_policy, open) => {
          const asked = {
            ...{ loaded, plan: (planned.plan ?? plan).document, planRef: inputRef(plan, output ?? "-") },
            ...{ planPath: plan.path, drafter: drafterRecord(drafting, output ?? "-"), open },
            ...{ prompts: kept, tokenizerSha256: prompts.tokenizerSha256, alternatives, maxTokens, pairs, thresholds },
            ...(request.sampling === undefined ? {} : drawingOf(request.sampling)),
            device: deviceOf(context, loaded.engine),
          };
          // what an interrupted run keeps is the plan's own runs: both rules are measured in one go
          if (stopRules) return buildBothRules(asked, progress);
          if (output === null || !isKept(output)) return buildVerification(asked, progress);
          journal = new FileJournal(journalPath(output), journalHeader(asked), kept, progress);
          if (journal.finished.size > 0)
            context.note(
              `going on after ${journal.finished.size} of ${kept.length} prompts, which an interrupted run finished (${journal.path}; delete it to begin anew)`,
            );
          return buildVerification({ ...asked, journal }, progress);
        }),
    );
    if (output !== null) writeDocument(output, verification);
    journal?.discard();
    return verification;
  } catch (error) {
    const kept = journal?.kept() ?? null;
    if (kept !== null) context.note(kept);
    throw error;
  }
}

const alternativesDrawn = () =>
  new DraftplanError({
    code: "USAGE",
    at: "--alternatives",
    what: "it counts how often a cheaper kernel alone takes the target's likeliest token, and here tokens are drawn or penalised",
    remedy: "Leave it out, or the options of sampling.",
  });

const noRules = (path: string) =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at: "--stop-rules",
    what: `no segment of ${path} says when a draft ends, so there is one rule alone`,
    remedy:
      "Leave it out, or plan with documents that know how sure drafts are: profile and calibrate again, then solve.",
  });

const noAlternative = (target: TargetPrecision) =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at: `--alternatives --target ${target}`,
    what: `there is no cheaper kernel than ${target} to decode with alone`,
    remedy: "Leave --alternatives out.",
  });

/** Who drafted in place of the plan's own drafters, as the document has it. */
function drafterRecord({ choice, folders, models }: Drafting, output: string): Verification["drafter"] {
  switch (choice.kind) {
    case "plan":
      return undefined;
    case "heads": {
      const [{ folder, checkpoint }] = folders;
      return { kind: choice.kind, ...inputRef({ path: folder, sha256: checkpoint.sha256 }, output) };
    }
    case "model": {
      const [{ path, checkpoint }] = models;
      const { spec, weightsSha256: weights_sha256 } = checkpoint;
      return { kind: choice.kind, name: spec.name, weights_sha256, path: modelSeenFrom(output, path) };
    }
    default:
      return { kind: choice.kind };
  }
}

/**
 * Where speed alone is in doubt, and for want of prompts, that is no verdict on the plan.
 * @throws OPTION_INVALID
 */
export function requireVerdict({ decided, speedup, prompts }: Verification, { minSpeedup }: Thresholds): void {
  const failed = decided?.failed ?? [];
  if (speedup.low === null && failed.length > 0 && failed.every((name) => name === "min_speedup"))
    requirePrompts(prompts.filter((prompt) => prompt.speedup !== null).length, minSpeedup);
}
