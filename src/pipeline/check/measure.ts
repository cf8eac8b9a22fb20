/** draftplan check --measure: candidate and baseline by turns on this machine, until it is clear which is slower. */
import { type Finding, finding } from "../../check/findings.js";
import type { CheckResult, ComparedFigure } from "../../check/result.js";
import { DraftplanError } from "../../core/errors.js";
import type { DraftPolicy } from "../../decode/loop.js";
import { systemClock } from "../../runtime/device.js";
import type { LoadedModel } from "../../runtime/load.js";
import type { Loaded } from "../../schema/document.js";
import type { Plan } from "../../schema/plan.js";
import {
  compareSlots,
  decideSlower,
  isPrecise,
  isTimeToLook,
  type SideBySide,
  type SideBySideSlot,
  type Slowdown,
  sideBySide,
  type VerifyPrompt,
} from "../../verify/index.js";
import { planLoading } from "../choices.js";
import { contextFor, type PipelineContext } from "../context.js";
import { findDrafting, planDrafting, withDrafting } from "../drafting.js";
import { fitPrompts, openPrompts } from "../text/model-prompts.js";
import { DEFAULT_MAX_TOKENS } from "../verify/document.js";
import { withModel } from "../with-model.js";

export interface MeasureRequest {
  candidate: Loaded<Plan>;
  /** null: against plain decoding, which a plan must not be slower than */
  baseline: Loaded<Plan> | null;
  model: string;
  /** a file of JSON lines; the bundled prompts without it */
  prompts?: string | undefined;
  tolerancePercent: number;
  /** time for the runs by turns */
  seconds: number;
  maxTokens?: number;
}

export type MeasuredCheck = Pick<CheckResult, "findings" | "regressed" | "inconclusive" | "compared" | "decided">;

/**
 * @throws DOCUMENT_MISMATCH where a plan was made for another model, CONTEXT_LIMIT, TOKEN_IDS_INVALID, TEXT_TOO_SHORT
 *   where no prompt is answered by more than one token
 */
export async function measureCheck(request: MeasureRequest, given: PipelineContext): Promise<MeasuredCheck> {
  const { candidate, baseline, maxTokens = DEFAULT_MAX_TOKENS } = request;
  const context = contextFor(given, candidate, baseline);
  const prompts = await openPrompts(request.model, request.prompts, context.progress);
  const draftings = [
    await findDrafting(candidate, null, request.model),
    await findDrafting(baseline, null, request.model),
  ] as const;
  return withModel(
    request.model,
    { ...context, ...planLoading([candidate.document, baseline?.document ?? null]) },
    (checkpoint) => {
      const planned = draftings.map((drafting) => planDrafting(drafting, checkpoint, context));
      const fitting = fitPrompts(prompts, checkpoint.spec, maxTokens, context.progress);
      const capacity = fitting.capacity + Math.max(...planned.map(({ mostNodes }) => mostNodes));
      return { ...fitting, planned, capacity };
    },
    (model, { planned, ...prepared }) =>
      withDrafting(draftings[0], planned[0], model, context, (candidatePolicy) =>
        withDrafting(draftings[1], planned[1], model, context, async (baselinePolicy) => {
          const policies = { candidate: candidatePolicy ?? PLAIN, baseline: baselinePolicy ?? PLAIN };
          const measured = await measure(request, policies, prepared, model, context);
          if (measured.slots.length === 0) throw nothingToTime();
          return judgeMeasured(request, measured);
        }),
      ),
  );
}

const PLAIN: DraftPolicy = () => null;

function measure(
  { seconds }: MeasureRequest,
  { candidate, baseline }: { candidate: DraftPolicy; baseline: DraftPolicy },
  { prompts, maxTokens }: { prompts: VerifyPrompt[]; maxTokens: number },
  { engine }: LoadedModel,
  { progress }: PipelineContext,
): Promise<SideBySide> {
  return sideBySide({
    ...{ engine, clock: systemClock, prompts, maxTokens, progress },
    endTokens: engine.spec.eosTokenIds,
    ...{ baseline, candidate },
    enough: (slots, elapsedUs) =>
      elapsedUs >= 1e6 * seconds || (isTimeToLook(slots.length, prompts.length) && isPrecise(compareSlots(slots))),
  });
}

function judgeMeasured(request: MeasureRequest, { slots, mismatches }: SideBySide): MeasuredCheck {
  const { candidate, baseline, tolerancePercent } = request;
  const findings: Finding[] = mismatches.map(({ plan, prompt, token }) => {
    const file = (plan === "candidate" ? candidate : (baseline ?? candidate)).path;
    return finding("NOT_LOSSLESS", file, "", `token ${token} after '${prompt}' is not the target's own`);
  });
  const comparison = compareSlots(slots);
  const decision = decideSlower(comparison, tolerancePercent);
  const against = baseline === null ? "plain decoding" : baseline.path;
  if (decision.verdict === "regressed")
    findings.push(finding("SLOWER_MEASURED", candidate.path, "", `against ${against}: ${decision.because}`));
  if (decision.verdict === "inconclusive")
    findings.push(finding("MEASUREMENT_INCONCLUSIVE", candidate.path, "", `against ${against}: ${decision.because}`));
  return {
    findings,
    regressed: decision.verdict === "regressed",
    inconclusive: decision.verdict === "inconclusive",
    compared: comparison === null ? [] : [comparedTime(candidate.path, slots, comparison)],
    decided: [`${candidate.path}: ${decision.because}${comparison === null ? "" : `; ${detail(comparison)}`}`],
  };
}

const detail = ({ slots, noisePercent }: Slowdown): string =>
  `${4 * slots} runs side by side, this machine differs from itself by up to ${noisePercent.toFixed(1)} %`;

function comparedTime(file: string, slots: readonly SideBySideSlot[], { slowdownPercent }: Slowdown): ComparedFigure {
  const meanMs = (of: (slot: SideBySideSlot) => readonly [number, number]) =>
    slots.reduce((sum, slot) => sum + of(slot)[0] + of(slot)[1], 0) / (2000 * slots.length);
  return {
    file,
    range: null,
    name: "measured ms per token",
    baseline: { value: meanMs(({ baselineUs }) => baselineUs), interval: null },
    candidate: { value: meanMs(({ candidateUs }) => candidateUs), interval: null },
    changePercent: slowdownPercent,
  };
}

const nothingToTime = () =>
  new DraftplanError({
    code: "TEXT_TOO_SHORT",
    at: "prompts",
    what: "every output ends with its first token, so there is no step to time",
    remedy: "Use prompts that the model goes on from: draftplan check PLAN --measure --model MODEL --prompts FILE",
  });
