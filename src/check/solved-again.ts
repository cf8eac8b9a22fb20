/** A plan beside the plan that its inputs give today. */
import type { Calibration } from "../schema/calibration.js";
import type { Plan, Predicted, Segment } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import { describeChange, isSame, overlaps, wrongFigures } from "./changes.js";
import type { Checked } from "./documents.js";
import { show } from "./figures.js";
import { type Finding, finding } from "./findings.js";
import type { RememberingSolver } from "./solver.js";

/** @param plan its blocks are known to the model, each named once */
export function solvedFindings(
  plan: Checked<Plan>,
  profile: Checked<Profile>,
  calibration: Checked<Calibration>,
  solver: RememberingSolver,
): Finding[] {
  const { method, choices, constraints, drafters, segments } = plan.document;
  const { draft_cache, answer_tokens: answerTokens, extrapolated } = plan.document;
  const by = { extrapolateTo: extrapolated?.to_context_tokens, standalone: draft_cache === "own", answerTokens };
  const own = () => ownFigures(plan, (segment) => solver.predict(profile, calibration, segment, by));
  if (method === undefined || choices === undefined || !solver.methods.includes(method)) {
    const key = choices === undefined ? "choices" : "method";
    const message =
      method !== undefined && choices !== undefined
        ? `'${method}' is not a method that this draftplan solves by (${solver.methods.join(", ")})`
        : `it names inputs but no ${key}, so it cannot be solved again`;
    return [finding("PLAN_NOT_SOLVED", plan.file, key, message), ...own()];
  }
  const solved = solver.solve(profile, calibration, { choices, method, constraints, drafters, ...by });
  if ("refusal" in solved)
    return [finding("PLAN_DIFFERS", plan.file, "inputs", `its inputs give no plan: ${solved.refusal}`), ...own()];
  const differing = planDifferences(plan, solved.segments);
  if (differing.length > 0) return [...differing, ...own()];
  return segments.flatMap((segment, i) => [
    ...figureFindings(plan.file, segment, i, solved.segments[i].predicted),
    ...stopFindings(plan.file, segment, i, solved.segments[i]),
  ]);
}

/** Figures of the plan's own drafts, whether or not the solver would choose them. */
function ownFigures(plan: Checked<Plan>, predict: (segment: Segment) => Partial<Predicted> | null): Finding[] {
  return plan.document.segments.flatMap((segment, i) => {
    if (segment.predicted === undefined) return [];
    const figures = predict(segment);
    return figures === null ? [] : figureFindings(plan.file, segment, i, { ...segment.predicted, ...figures });
  });
}

function figureFindings(file: string, { predicted }: Segment, index: number, inputs: Predicted | undefined): Finding[] {
  if (predicted === undefined || inputs === undefined) return [];
  const keys = wrongFigures(predicted, inputs);
  if (keys.length === 0) return [];
  const figures = keys.map((key) => `${key} ${showFigure(predicted[key])}, not ${showFigure(inputs[key])}`);
  const message = `the inputs do not give these figures: ${figures.join("; ")}`;
  return [finding("PREDICTED_DIFFERS", file, `segments[${index}].predicted`, message)];
}

/** Of stopping early: the rule that was not taken is predicted too. */
function stopFindings(file: string, { stop }: Segment, index: number, solved: Segment): Finding[] {
  const [claimed, given] = [stop, solved.stop];
  if (claimed === undefined || (given !== undefined && isSame(claimed, given, 0))) return [];
  const what = given === undefined ? "there is no evidence of the draft's confidence" : "they give another";
  return [finding("PREDICTED_DIFFERS", file, `segments[${index}].stop`, `the inputs do not give this stop: ${what}`)];
}

function showFigure(value: unknown): string {
  if (typeof value === "number") return show(value);
  if (Array.isArray(value)) return `[${value.map(showFigure).join(", ")}]`;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Where the plan and the one solved again do different things. */
function planDifferences(plan: Checked<Plan>, solved: readonly Segment[]): Finding[] {
  const { file, document } = plan;
  const differs = (where: string, message: string) => finding("PLAN_DIFFERS", file, where, message);
  const ranges = (segments: readonly Segment[]) =>
    segments.map(({ context_tokens: { from, to } }) => `${from} to ${to}`).join(", ");
  const found: Finding[] = [];
  if (ranges(document.segments) !== ranges(solved)) {
    const message = `context ranges ${ranges(document.segments)}; solved again: ${ranges(solved)}`;
    found.push(differs("segments", message));
  }
  for (const { from, to, before, after } of overlaps(document, { ...document, segments: [...solved] })) {
    const change = describeChange(before.segment, after.segment, document.model.layers);
    if (change !== null)
      found.push(differs(`segments[${before.index}]`, `at context ${from} to ${to}, solved again: ${change}`));
  }
  return found;
}
