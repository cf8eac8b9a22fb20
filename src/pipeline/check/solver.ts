/** The solver, as a check needs it. */
import type { Solver } from "../../check/solver.js";
import { DraftplanError } from "../../core/errors.js";
import { SOLVE_METHODS } from "../../methods/names.js";
import type { Calibration } from "../../schema/calibration.js";
import { CHOICES, type Choice } from "../../schema/choice.js";
import type { Predicted, Segment } from "../../schema/plan.js";
import type { Profile } from "../../schema/profile.js";
import {
  contextFor,
  curveFromRate,
  draftingUs,
  expectedRate,
  fitCorrection,
  knownOf,
  openProblem,
  type PlannedDraft,
  type Problem,
  plannedBy,
  segmentsBy,
  surrogateLoss,
  verifyingUs,
} from "../../solve/index.js";
import { parseDrafters } from "../drafters.js";

type DraftChoice = Exclude<Choice, "target">;

export const solver: Solver = {
  methods: SOLVE_METHODS,
  solve: (profile, calibration, { choices, method, constraints, drafters = ["self"], extrapolateTo }) =>
    segmentsBy(method, {
      ...{ profile, calibration, choices: toDraftChoices(choices), constraints, extrapolateTo },
      drafters: parseDrafters(drafters),
    }),
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
  const { predicted } = segment;
  const planned = plannedBy(segment, profile.model.layers, "plan");
  if (planned === null || predicted === undefined) return {};
  const { drafter, draftTokens } = planned;
  const used = drafter.kind === "self" ? new Set<Choice>([...drafter.set.blocks, drafter.set.head]) : new Set<Choice>();
  const choices = CHOICES.filter((choice): choice is DraftChoice => choice !== "target" && used.has(choice));
  const problem = openProblem({ profile, calibration, choices, extrapolateTo });
  const { latency } = problem;
  const n = predicted.at_context;
  const curve = curveOf(problem, n, planned, predicted.evidence);
  return {
    draft_us: drafter.kind === "self" ? latency.draftUs(drafter.set, n) : draftingUs(latency, n, drafter, draftTokens),
    verify_us: verifyingUs(latency, n, drafter, draftTokens),
    round_us: latency.roundUs,
    target_step_us: latency.stepUs(n),
    ...(curve === null ? {} : { acceptance_curve: curve }),
  };
}

/** The curve that the calibration gives by the evidence named; null where it has none of that kind. */
function curveOf(problem: Problem, n: number, planned: PlannedDraft, evidence: Predicted["evidence"]): number[] | null {
  const context = contextFor(problem, n);
  const { drafter, draftTokens } = planned;
  if (evidence === "surrogate") {
    if (drafter.kind === "heads") return null;
    const rate = expectedRate(fitCorrection(context), surrogateLoss(context.losses, drafter.set));
    return curveFromRate(rate, draftTokens);
  }
  if (evidence === undefined) return null;
  return knownOf(context, evidence, planned)?.curve.slice(0, draftTokens + 1) ?? null;
}
