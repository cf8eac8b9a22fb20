/** The solver, as a check needs it. */
import type { PricedBy, Solver } from "../../check/solver.js";
import { DraftplanError } from "../../core/errors.js";
import { SOLVE_METHODS } from "../../methods/names.js";
import type { Calibration } from "../../schema/calibration.js";
import { CHOICES, type Choice, draftChoices, isChoice } from "../../schema/choice.js";
import type { Predicted, Segment } from "../../schema/plan.js";
import type { Profile } from "../../schema/profile.js";
import {
  contextFor,
  curveFromRate,
  draftUsOf,
  expectedRate,
  fitCorrection,
  knownOf,
  longestDraft,
  loopUs,
  mainOf,
  meanNodes,
  openProblem,
  type PlannedDraft,
  type Problem,
  plannedBy,
  type Reaching,
  segmentsBy,
  surrogateLoss,
  verifyingUs,
} from "../../solve/index.js";
import { parseDrafters } from "../drafters.js";

type DraftChoice = Exclude<Choice, "target">;

export const solver: Solver = {
  methods: SOLVE_METHODS,
  solve: (profile, calibration, { choices, method, constraints, drafters = ["self"], ...by }) =>
    segmentsBy(method, {
      ...{ profile, calibration, choices: toDraftChoices(choices), constraints, ...by },
      drafters: parseDrafters(drafters),
    }),
  predict,
};

function toDraftChoices(names: readonly string[]): DraftChoice[] {
  const bad = names.find((name, i) => name === "target" || !isChoice(name) || names.indexOf(name) !== i);
  if (bad === undefined) return names as DraftChoice[];
  throw new DraftplanError({
    code: "CHOICE_UNAVAILABLE",
    at: "choices",
    what: `'${bad.slice(0, 20)}' is not something a draft can do with a block, or stands twice`,
    remedy: `Use any of: ${draftChoices(CHOICES).join(", ")}, or a kernel with a span, such as int8@512, or with a short head, such as int8:8192.`,
  });
}

/** The prediction for a segment's own draft, whether or not the solver would choose it. */
function predict(profile: Profile, calibration: Calibration, segment: Segment, by: PricedBy): Partial<Predicted> {
  const { predicted } = segment;
  const planned = plannedBy(segment, profile.model.layers, "plan");
  if (planned === null || predicted === undefined) return {};
  const { drafter, draftTokens } = planned;
  const main = mainOf(drafter);
  const used = main.kind === "self" ? new Set<Choice>([...main.set.blocks, main.set.head]) : new Set<Choice>();
  const choices = draftChoices(used);
  const problem = openProblem({ profile, calibration, choices, ...by });
  const { latency } = problem;
  const n = predicted.at_context;
  const known = knownBy(problem, n, planned, predicted.evidence);
  const match = known?.match;
  // without the share of rounds that a lookup drafts in nothing is known of their times
  const isPriced = match !== undefined || (drafter.kind !== "lookup" && drafter.kind !== "hybrid");
  return {
    ...(isPriced
      ? {
          draft_us: draftUsOf(latency, n, planned, match),
          verify_us: verifyingUs(latency, n, drafter, draftTokens, known ?? {}),
          round_us: loopUs(latency, n, drafter, match),
        }
      : {}),
    target_step_us: latency.stepUs(n),
    ...(known === null ? {} : { acceptance_curve: [...known.curve] }),
    ...(match === undefined ? {} : { match_rate: match }),
    ...meanNodes(known ?? { curve: [1] }),
  };
}

/** What the calibration gives by the evidence named; null where it has none of that kind. */
function knownBy(problem: Problem, n: number, planned: PlannedDraft, evidence: Predicted["evidence"]): Reaching | null {
  const context = contextFor(problem, n);
  const { drafter, draftTokens } = planned;
  if (evidence === "surrogate") {
    if (drafter.kind !== "self") return null;
    const rate = expectedRate(fitCorrection(context), surrogateLoss(context.losses, drafter.set));
    return { curve: curveFromRate(rate, draftTokens) };
  }
  if (evidence === undefined) return null;
  const known = knownOf(context, evidence, planned);
  return known === null ? null : { ...known, curve: known.curve.slice(0, longestDraft(drafter, draftTokens) + 1) };
}
