/** A plan from a profile and a calibration: pure, so the same two give the same plan, byte for byte. */
import { DraftplanError } from "../core/errors.js";
import { isShort } from "../schema/choice.js";
import type { InputRef } from "../schema/common.js";
import type { Plan, Segment } from "../schema/plan.js";
import { modelsOfBoth } from "./drafting/documents.js";
import { extrapolatedRange } from "./extrapolate.js";
import { DRAFTER_KINDS, type DrafterKind, headsOfBoth, openProblem, type SolveInput } from "./problem.js";
import { planSegments } from "./segments.js";

/**
 * The segments by a method. Heads are weighed by the knapsack's alone: the others are ways to choose a draft of the model's own
 * blocks. All but `none` choose among the drafts that the calibration has measured, and the calibration
 * has those that the method proposed (src/methods).
 * @throws what openProblem throws; DOCUMENT_MISMATCH where the calibration has another method's drafts; LP_BOUND_VIOLATED (a
 *   bug)
 */
export function segmentsBy(method: string, input: SolveInput): Segment[] {
  const problem = openProblem(method === "knapsack" ? input : { ...input, drafters: ["self"] });
  if (method !== "none") {
    if (problem.drafters.includes("self")) requireMeasuredFor(method, input.calibration.method ?? "knapsack");
    return planSegments(method === "knapsack" ? problem : { ...problem, measuredOnly: true });
  }
  const [to] = problem.gridContexts.slice(-1);
  const { extrapolated } = problem;
  return [
    { context_tokens: { from: 0, to }, speculate: false },
    ...(extrapolated === undefined
      ? []
      : [
          {
            context_tokens: { from: to, to: extrapolated.to_context_tokens },
            speculate: false,
            extrapolated: true as const,
          },
        ]),
  ];
}

/** What was measured for one method says nothing of another. */
function requireMeasuredFor(method: string, made: string): void {
  if (made === method) return;
  throw new DraftplanError({
    code: "DOCUMENT_MISMATCH",
    at: "calibration: method",
    what: `its measured drafts are those of ${made}, and the method is ${method}`,
    remedy: `Add --model MODEL, so that what ${method} proposes is measured; or use --method ${made}.`,
  });
}

/** What drafted beside the model's own blocks, or instead of them; null: those alone. Other methods choose blocks. */
function weighed(
  { profile, calibration, constraints, drafters = DRAFTER_KINDS }: SolveInput,
  method: string,
): DrafterKind[] | null {
  const isKnown: Record<DrafterKind, boolean> = {
    self: true,
    lookup: calibration.lookup !== undefined,
    model: modelsOfBoth(profile, calibration, constraints).length > 0,
    heads: headsOfBoth(profile, calibration).length > 0,
    hybrid: calibration.lookup !== undefined,
  };
  const isThere = (kind: DrafterKind) => isKnown[kind];
  const there = drafters.filter(isThere);
  return method !== "knapsack" || there.every((kind) => kind === "self") ? null : there;
}

/** @throws what openProblem throws; LP_BOUND_VIOLATED (a bug) */
export function planDocument(
  input: SolveInput,
  inputs: { profile: InputRef; calibration: InputRef },
  method = "knapsack",
): Plan {
  const { temperature, continuation_tokens } = input.calibration.text;
  const { answerTokens = continuation_tokens } = input;
  const extrapolated = extrapolatedRange(input.profile, input.extrapolateTo);
  const drafters = weighed(input, method);
  const segments = segmentsBy(method, input);
  return {
    kind: "draftplan/plan",
    version: 1,
    model: input.calibration.model,
    device: input.profile.device,
    inputs,
    method,
    choices: [...input.choices],
    ...(input.constraints === undefined ? {} : { constraints: input.constraints }),
    ...(drafters === null ? {} : { drafters }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(input.standalone === true ? { draft_cache: "own" as const, answer_tokens: answerTokens } : {}),
    ...(extrapolated === undefined ? {} : { extrapolated }),
    ...rankingFor(input),
    segments,
  };
}

/** The tokens of short heads that the plan has, or that `--adapt` may come to: both draft without the calibration. */
const rankingFor = ({ choices, calibration: { ranking } }: SolveInput): Pick<Plan, "ranking"> =>
  ranking !== undefined && choices.some(isShort) ? { ranking } : {};
