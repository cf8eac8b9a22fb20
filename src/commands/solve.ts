/** draftplan solve: a plan from a profile and a calibration; with a model, the best candidates are measured on it. */

import { DraftplanError } from "../core/errors.js";
import { requireSameModel } from "../decode/policy.js";
import { type MethodName, SOLVE_METHODS } from "../methods/names.js";
import { planTable } from "../output/plan-table.js";
import { type DraftChoice, parseChoices } from "../pipeline/choices.js";
import { type ConstraintOptions, toConstraints } from "../pipeline/constraints.js";
import { extrapolationOf } from "../pipeline/extrapolation.js";
import { measureCandidates, measureReport } from "../pipeline/measuring/candidates.js";
import { describePairs, type Measuring, precisionFor } from "../pipeline/measuring/measuring.js";
import { measureProposals } from "../pipeline/measuring/proposals.js";
import { defaultPath, inputRef } from "../pipeline/paths.js";
import { readCalibrationText } from "../pipeline/text/calibration-text.js";
import { continueAgain, requireSameText } from "../pipeline/text/measuring-text.js";
import { loadModel } from "../runtime/load.js";
import type { Calibration } from "../schema/calibration.js";
import { kernelsFor } from "../schema/choice.js";
import { type Loaded, readDocumentOf, stringifyDocument, writeDocument } from "../schema/document.js";
import { constraintWarnings, openProblem, type Problem, planDocument, refutedWarnings } from "../solve/index.js";
import type { CommandContext } from "./context.js";

export interface SolveCommandOptions extends ConstraintOptions {
  profile: string;
  calibration: string;
  model?: string;
  choices: string[];
  method: string;
  text?: string[];
  /** seconds for exchanges; 0: none */
  refine?: number;
  /** context to plan to, beyond the profile; true: the model's own limit */
  extrapolate?: number | true;
  output?: string;
}

export async function solveCommand(options: SolveCommandOptions, context: CommandContext): Promise<void> {
  const choices = parseChoices(options.choices);
  const method = parseMethod(options.method);
  const profile = readDocumentOf("draftplan/profile", options.profile);
  let calibration = readDocumentOf("draftplan/calibration", options.calibration);
  const constraints = toConstraints(options);
  const extrapolateTo = extrapolationOf(options.extrapolate, profile, context.progress);
  const given = { profile: profile.document, choices, constraints, extrapolateTo };
  let problem = openProblem({ ...given, calibration: calibration.document }); // refuse before anything long begins
  for (const { code, message } of constraintWarnings(problem)) context.progress.warn(code, message);
  const notes: string[] = [];
  if (options.model !== undefined && method !== "none") {
    calibration = await measureInto(options, { ...given, method }, calibration, context);
    notes.push(`Calibration with what was measured: ${calibration.path}`);
    problem = openProblem({ ...given, calibration: calibration.document });
    if (method === "knapsack") notes.push(describePairs(problem));
  }
  if (method !== "none") {
    const missing = notMeasured(problem, calibration.document, method);
    if (missing !== null) context.progress.warn("NOT_MEASURED", missing);
  }
  const output = options.output ?? defaultPath("plan", calibration.document.model.name);
  const inputs = { profile: inputRef(profile, output), calibration: inputRef(calibration, output) };
  const plan = planDocument({ ...given, calibration: calibration.document }, inputs, method);
  for (const { code, message } of refutedWarnings(plan.segments, plan.model.layers))
    context.progress.warn(code, message);
  if (output === "-") return context.print(context.json ? JSON.stringify(plan) : stringifyDocument(plan).trimEnd());
  writeDocument(output, plan);
  context.print(context.json ? JSON.stringify(plan) : [planTable(plan), "", `Plan: ${output}`, ...notes].join("\n"));
}

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

interface Solving extends Pick<Measuring, "profile" | "constraints" | "extrapolateTo"> {
  method: Exclude<SolveMethod, "none">;
  choices: readonly DraftChoice[];
}

async function measureInto(
  options: SolveCommandOptions,
  { method, profile, choices, constraints, extrapolateTo }: Solving,
  calibration: Loaded<Calibration>,
  context: CommandContext,
): Promise<Loaded<Calibration>> {
  const text = readCalibrationText(options.text);
  const { document } = calibration;
  requireSameText(calibration, text);
  const kernels = kernelsFor(choices);
  const model = await loadModel(options.model as string, { ...context, kernels }, context.progress);
  try {
    requireSameModel(
      document,
      { spec: model.spec, architectureSha256: model.ref.architecture_sha256, weightsSha256: model.ref.weights_sha256 },
      calibration.path,
    );
    const measuring = {
      model,
      profile,
      variants: [choices],
      constraints,
      extrapolateTo,
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
            options.refine,
          )
        : await measureReport(measuring, await measureProposals(method, measuring, document), ["skip"]);
    const suffix = method === "knapsack" ? "measured" : method;
    const path = calibration.path.replace(/(\.measured)?\.ya?ml$|$/, `.${suffix}.yaml`);
    return { document: grown, path, sha256: writeDocument(path, grown) };
  } finally {
    model.close();
  }
}

type SolveMethod = "knapsack" | "none" | MethodName;

function parseMethod(name: string): SolveMethod {
  if (SOLVE_METHODS.includes(name)) return name as SolveMethod;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `--method ${name}`,
    what: "this method does not exist",
    remedy: `Use one of: ${SOLVE_METHODS.join(", ")}.`,
  });
}
