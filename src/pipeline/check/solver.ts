/** The solver, as a check needs it. */
import type { Solver } from "../../check/solver.js";
import { DraftplanError } from "../../core/errors.js";
import { SOLVE_METHODS } from "../../methods/names.js";
import type { Calibration } from "../../schema/calibration.js";
import { CHOICES, type Choice, type ChoiceSet, choiceKey, expandDraft } from "../../schema/choice.js";
import type { Predicted, Segment } from "../../schema/plan.js";
import type { Profile } from "../../schema/profile.js";
import {
  contextFor,
  curveFromRate,
  expectedRate,
  fitCorrection,
  openProblem,
  type Problem,
  segmentsBy,
  surrogateLoss,
} from "../../solve/index.js";

type DraftChoice = Exclude<Choice, "target">;

export const solver: Solver = {
  methods: SOLVE_METHODS,
  solve: (profile, calibration, { choices, method, constraints, extrapolateTo }) =>
    segmentsBy(method, { profile, calibration, choices: toDraftChoices(choices), constraints, extrapolateTo }),
  predict,
};

function toDraftChoices(names: readonly string[]): DraftChoice[] {
  const allowed: readonly string[] = CHOICES.filter((choice) => choice !== "target");
  const bad = names.find((name, i) => !allowed.includes(name) || names.indexOf(name) !== i);
  if (bad === undefined) return names as DraftChoice[];
  throw new DraftplanError({
    code: "CHOICE_UNAVAILABLE",
    at: "choices",
    what: `'${bad.slice(0, 20)}' is not something a draft can do with a block, or stands twice`,
    remedy: `Use any of: ${allowed.join(", ")}.`,
  });
}

/** The prediction for a segment's own draft, whether or not the solver would choose it. */
function predict(
  profile: Profile,
  calibration: Calibration,
  segment: Segment,
  extrapolateTo: number | undefined,
): Partial<Predicted> {
  const { draft, draft_tokens: d, predicted } = segment;
  if (draft === undefined || d === undefined || predicted === undefined) return {};
  const set = expandDraft(draft, profile.model.layers, "plan");
  const used = new Set<Choice>([...set.blocks, set.head]);
  const choices = CHOICES.filter((choice): choice is DraftChoice => choice !== "target" && used.has(choice));
  const problem = openProblem({ profile, calibration, choices, extrapolateTo });
  const { latency } = problem;
  const n = predicted.at_context;
  const curve = curveOf(problem, n, set, d, predicted.evidence);
  return {
    draft_us: latency.draftUs(set, n),
    verify_us: latency.verifyUs(n, d),
    round_us: latency.roundUs,
    target_step_us: latency.stepUs(n),
    ...(curve === null ? {} : { acceptance_curve: curve }),
  };
}

/** The curve that the calibration gives by the evidence named; null where it has none of that kind. */
function curveOf(
  problem: Problem,
  n: number,
  set: ChoiceSet,
  d: number,
  evidence: Predicted["evidence"],
): number[] | null {
  const context = contextFor(problem, n);
  if (evidence === "surrogate") {
    const rate = expectedRate(fitCorrection(context), surrogateLoss(context.losses, set));
    return curveFromRate(rate, d);
  }
  const key = choiceKey(set);
  const measured = context.measured.find((m) => m.part === evidence && m.key === key && m.curve.length > d);
  return measured === undefined ? null : measured.curve.slice(0, d + 1);
}
