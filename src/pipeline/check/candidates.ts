/** Which plans `draftplan check --measure` runs, and against which. */
import type { Side } from "../../check/baseline.js";
import type { Checked } from "../../check/documents.js";
import { type ModelFacts, modelFindings } from "../../check/model.js";
import type { CheckResult } from "../../check/result.js";
import { DraftplanError } from "../../core/errors.js";
import type { Loaded } from "../../schema/document.js";
import type { Plan } from "../../schema/plan.js";
import type { PipelineContext } from "../context.js";

export interface MeasureOptions {
  model: string;
  prompts: string | undefined;
  tolerancePercent: number;
  /** for each plan */
  seconds: number;
}

type Measured = Pick<CheckResult, "findings" | "regressed" | "inconclusive" | "compared" | "decided">;

/**
 * Every plan given that is for this model, one after the other.
 * @param baseline null: against plain decoding
 * @throws USAGE where there is nothing to measure; what measureCheck throws
 */
export async function measureAll(
  candidates: readonly Side[],
  baseline: Side | null,
  facts: ModelFacts,
  options: MeasureOptions,
  context: PipelineContext,
): Promise<Measured[]> {
  const plans = [...new Set(candidates.flatMap(({ plan }) => plan ?? []))];
  if (plans.length === 0)
    throw nothingToMeasure("no plan is among the documents given", "Name a plan, or a folder with one.");
  const against = baseline === null ? null : baselinePlan(baseline);
  const { measureCheck } = await import("./measure.js");
  const measured: Measured[] = [];
  for (const plan of plans) {
    // of another model: a finding says so already
    if (modelFindings(plan.file, plan.document.model, facts, "the model").length > 0) continue;
    measured.push(await measureCheck({ candidate: loaded(plan), baseline: against, ...options }, context));
  }
  return measured;
}

const loaded = ({ document, sha256, file }: Checked<Plan>): Loaded<Plan> => ({ document, sha256, path: file });

function baselinePlan({ plan, file }: Side): Loaded<Plan> {
  if (plan !== null) return loaded(plan);
  throw nothingToMeasure(
    `the plan that ${file} is a verification of is not there, or has changed`,
    "Give the baseline's plan itself: --baseline PLAN",
  );
}

const nothingToMeasure = (what: string, remedy: string) =>
  new DraftplanError({ code: "USAGE", at: "--measure", what, remedy });
