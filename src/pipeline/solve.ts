/** A plan from a profile and a calibration; with a model, the best candidates are measured on it first. */

import { isKept } from "../core/output-file.js";
import { requireSameModel } from "../decode/policy.js";
import type { MethodName } from "../methods/names.js";
import { loadModel } from "../runtime/load.js";
import type { Calibration } from "../schema/calibration.js";
import { isShort, type Kernel, kernelsFor, shortHeads } from "../schema/choice.js";
import type { Constraints } from "../schema/constraints.js";
import type { Loaded } from "../schema/document.js";
import { writeDocument } from "../schema/document.js";
import { refuseSpans } from "../schema/draft-cache.js";
import { DEFAULT_PRECISION } from "../schema/numerics.js";
import type { Plan } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import type { Problem } from "../solve/index.js";
import {
  constraintWarnings,
  type DrafterKind,
  fitSurrogate,
  modelsOfBoth,
  openProblem,
  planDocument,
  refutedWarnings,
} from "../solve/index.js";
import { besideTarget, type DraftChoice } from "./choices.js";
import { contextFor, type PipelineContext } from "./context.js";
import { requireMeasured } from "./drafters.js";
import { draftersRelativeTo } from "./drafting/measured.js";
import { extrapolationOf } from "./extrapolation.js";
import { measureCandidates, measureReport } from "./measuring/candidates.js";
import type { Measuring } from "./measuring/measuring.js";
import { precisionFor } from "./measuring/measuring.js";
import { measureProposals } from "./measuring/proposals.js";
import { defaultPath, inputRef, servedName } from "./paths.js";
import { requireStandalone, secondEngine } from "./standalone.js";
import { readCalibrationText } from "./text/calibration-text.js";
import { fitText } from "./text/fit-text.js";
import { continueAgain, requireSameText } from "./text/measuring-text.js";
import { openShortHeads } from "./text/ranking.js";

export interface SolveRequest {
  profile: Loaded<Profile>;
  calibration: Loaded<Calibration>;
  /** what a draft may do with a block besides running it; the kernel of the profile's target is none, and left out */
  choices: readonly DraftChoice[];
  method: SolveMethod;
  constraints?: Constraints | undefined;
  /** the plan is for an engine that verifies no trees of lookups and own blocks; default: false */
  chains?: boolean | undefined;
  /** in which another model may draft, where the plan is for an engine; undefined: in any */
  modelKernels?: readonly Kernel[] | undefined;
  /** what may draft; undefined: whatever was measured */
  drafters?: readonly DrafterKind[] | undefined;
  /** context to plan to, beyond the profile; true: the model's own limit */
  extrapolate?: number | true | undefined;
  /** drafts of the model's own blocks have a cache of their own: null: they read the target's */
  standalone?: { answerTokens?: number | undefined } | null | undefined;
  /** the model that the best candidates are measured on; undefined: the calibration is all there is */
  measure?: {
    model: string;
    /** files of text; undefined: the bundled one */
    text?: readonly string[] | undefined;
    /** for exchanges; 0: none */
    refineSeconds?: number | undefined;
  };
  /** where the plan will lie: its inputs are named from there; undefined: the default place */
  output?: string | undefined;
}

export interface Solved {
  plan: Plan;
  output: string;
  /** the calibration with what was measured now; null: nothing was */
  measured: Loaded<Calibration> | null;
  /** with a knapsack on measured drafts: pairs of blocks that have a term of their own in the surrogate, by context */
  pairs: { atContext: number; count: number }[] | null;
}

/**
 * @throws DOCUMENT_MISMATCH, DIGEST_MISMATCH, OPTION_INVALID, CONTEXT_LIMIT, what loading and measuring throw
 */
export async function solvePlan(request: SolveRequest, asked: PipelineContext): Promise<Solved> {
  const { profile, method, measure, standalone = null } = request;
  const constraints = constraintsOf(request);
  const choices = besideTarget(request.choices, profile.document.device.target ?? DEFAULT_PRECISION, asked);
  const context = measure === undefined ? asked : contextFor(asked, profile);
  const { progress } = context;
  const extrapolateTo = extrapolationOf(request.extrapolate, profile, progress);
  if (standalone !== null) {
    requireStandalone(request);
    refuseSpans(choices, "--choices");
  }
  const drafters = request.drafters ?? (standalone === null ? undefined : ["self" as const]);
  const own = standalone === null ? {} : { standalone: true, answerTokens: standalone.answerTokens };
  const given = { profile: profile.document, choices, constraints, drafters, extrapolateTo, ...own };
  requireMeasured(drafters ?? [], profile.document, request.calibration.document, method);
  let { calibration } = request;
  let problem = openProblem({ ...given, calibration: calibration.document }); // refuse before anything long begins
  for (const { code, message } of constraintWarnings(problem)) progress.warn(code, message);
  if (constraints !== undefined && problem.heads.length > 0 && method === "knapsack")
    context.note("constraints and choices concern drafts of the model's own blocks; heads are weighed without them");
  const isMeasured = measure !== undefined && method !== "none" && drafters?.includes("self") !== false;
  if (isMeasured) {
    calibration = await measureInto(measure, { ...given, method, standalone }, calibration, context);
    problem = openProblem({ ...given, calibration: calibration.document });
  }
  const missing =
    method === "none" || !problem.drafters.includes("self") ? null : notMeasured(problem, calibration.document, method);
  if (missing !== null) progress.warn("NOT_MEASURED", missing);
  const output =
    request.output ?? defaultPath("plan", servedName(calibration.document.model.name, profile.document.device));
  const inputs = { profile: inputRef(profile, output), calibration: inputRef(calibration, output) };
  const seen = draftersRelativeTo(calibration.document, output, calibration.path);
  const plan = planDocument({ ...given, calibration: seen }, inputs, method);
  for (const { code, message } of refutedWarnings(plan.segments, plan.model.layers)) progress.warn(code, message);
  return {
    ...{ plan, output },
    measured: isMeasured ? calibration : null,
    pairs: isMeasured && method === "knapsack" ? pairsOf(problem) : null,
  };
}

/** What drafts keep to. Chains, and kernels of other models, are a constraint where something might be planned without it. */
function constraintsOf({
  constraints,
  chains = false,
  modelKernels,
  ...measured
}: SolveRequest): Constraints | undefined {
  const { profile, calibration } = measured;
  const { lookup, measured: drafts } = calibration.document;
  const branches = lookup?.contexts.some((one) => one.branches !== undefined) ?? false;
  const siblings = drafts.some((one) => one.siblings !== undefined);
  const weighed = profile.document.tree_passes !== undefined && (branches || siblings);
  const models = modelsOfBoth(profile.document, calibration.document);
  const others = modelKernels !== undefined && models.some(({ kernel }) => !modelKernels.includes(kernel));
  const own: Constraints = {
    ...(chains && weighed ? { chains: true as const } : {}),
    ...(others ? { model_kernels: [...modelKernels] } : {}),
  };
  return Object.keys(own).length === 0 ? constraints : { ...constraints, ...own };
}

const pairsOf = ({ contexts }: Problem): NonNullable<Solved["pairs"]> =>
  contexts.map((context) => ({ atContext: context.losses.at_context, count: fitSurrogate(context).pairs.length }));

/** What to say where no measured draft may be planned with; null where there is one. */
function notMeasured(
  { contexts }: Problem,
  calibration: Calibration,
  method: Exclude<SolveMethod, "none">,
): string | null {
  const isChosenOn = ({ part }: { part: "choose" | "report" }): boolean => part === "choose";
  if (contexts.some(({ measured }) => measured.some(isChosenOn))) return null;
  const none = calibration.measured.some(isChosenOn)
    ? "no measured draft keeps to these choices and constraints"
    : "no draft of this calibration was measured";
  return method === "knapsack"
    ? `${none}: predictions rest on the surrogate alone; add --model MODEL`
    : `${none}, so there is nothing of ${method} to plan with: the plan is plain decoding; add --model MODEL, or relax what drafts must keep to`;
}

type Solving = Pick<Measuring, "profile" | "constraints" | "extrapolateTo"> & {
  standalone: NonNullable<SolveRequest["standalone"]> | null;
  method: Exclude<SolveMethod, "none">;
  choices: readonly DraftChoice[];
};

async function measureInto(
  measure: NonNullable<SolveRequest["measure"]>,
  { method, profile, choices, constraints, extrapolateTo, standalone }: Solving,
  calibration: Loaded<Calibration>,
  context: PipelineContext,
): Promise<Loaded<Calibration>> {
  const text = readCalibrationText(measure.text);
  const { document } = calibration;
  requireSameText(calibration, text);
  const kernels = kernelsFor(choices.filter((choice) => !isShort(choice)));
  const model = await loadModel(
    measure.model,
    { ...context, kernels, fitTo: fitText(measure.model, context) },
    context.progress,
  );
  try {
    requireSameModel(
      document,
      { spec: model.spec, architectureSha256: model.ref.architecture_sha256, weightsSha256: model.ref.weights_sha256 },
      calibration.path,
    );
    const { ranking } = document;
    if (ranking !== undefined) await openShortHeads(model, shortHeads(choices), () => ranking, context);
    const measuring = {
      model,
      profile,
      variants: [choices],
      constraints,
      extrapolateTo,
      own: standalone === null ? undefined : { engine: secondEngine(model), ...standalone },
      text: await continueAgain(model, document, text, context.progress),
      precision: precisionFor(model.spec),
      progress: context.progress,
    };
    const { method: _, ...bare } = document;
    const grown =
      method === "knapsack"
        ? await measureCandidates(
            measuring,
            document.method === undefined ? document : { ...bare, measured: [] },
            measure.refineSeconds,
          )
        : await measureReport(measuring, await measureProposals(method, measuring, document), ["skip"]);
    const suffix = method === "knapsack" ? "measured" : method;
    const kept = isKept(calibration.path)
      ? calibration.path
      : defaultPath("calibration", servedName(document.model.name, profile.device));
    const path = kept.replace(/(\.measured)?\.ya?ml$|$/, `.${suffix}.yaml`);
    return { document: grown, path, sha256: writeDocument(path, grown) };
  } finally {
    model.close();
  }
}

export type SolveMethod = "knapsack" | "none" | MethodName;
