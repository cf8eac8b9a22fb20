/** The knapsack's frontier at a context, and the drafts measured near it: what a report draws methods against. */
import { mean } from "simple-statistics";
import type { Calibration } from "../../schema/calibration.js";
import type { ComparedContext, FrontierPoint } from "../../schema/comparison.js";
import { MAX_DRAFT_TOKENS } from "../../schema/plan.js";
import type { Profile } from "../../schema/profile.js";
import {
  acceptanceRate,
  contextFor,
  expectedRateOf,
  fitSurrogate,
  groupsAt,
  openProblem,
  paretoFrontier,
} from "../../solve/index.js";
import { toChoiceSet } from "../../solve/problem.js";
import type { DraftChoice } from "../choices.js";

/** Points beyond this many would not be told apart in a picture. */
const MAX_POINTS = 80;
/** Drafts that are accepted less often are no use at any speed. */
const LEAST_ACCEPTANCE = 0.02;

export type Frontier = Pick<ComparedContext, "target_step_us" | "round_us" | "verify_us" | "frontier">;

/** @param contexts those that are decoded at; the middle one stands for them */
export function frontierAt(
  profile: Profile,
  calibration: Calibration,
  choices: readonly DraftChoice[],
  contexts: readonly number[],
): Frontier {
  const problem = openProblem({ profile, calibration, choices, drafters: ["self"] });
  const { latency } = problem;
  const n = contexts[contexts.length >> 1];
  const context = contextFor(problem, n);
  const surrogate = fitSurrogate(context);
  const expected = paretoFrontier(groupsAt(problem, n)).map(({ chosen }): FrontierPoint => {
    const set = toChoiceSet(chosen);
    return {
      draft_us: latency.draftUs(set, n),
      acceptance: expectedRateOf(context, surrogate, set),
      evidence: "surrogate",
    };
  });
  const useful = expected.filter(({ acceptance }) => acceptance >= LEAST_ACCEPTANCE);
  const measured = context.measured.map(
    ({ set, part, curve }): FrontierPoint => ({
      draft_us: latency.draftUs(set, n),
      acceptance: acceptanceRate(curve),
      evidence: part,
    }),
  );
  return {
    target_step_us: mean(contexts.map((one) => latency.stepUs(one))),
    round_us: latency.roundUs,
    verify_us: Array.from({ length: Math.min(MAX_DRAFT_TOKENS, problem.maxDraft) }, (_, i) =>
      latency.verifyUs(n, i + 1),
    ),
    frontier: [...thinned(useful), ...measured],
  };
}

/** By rising draft time, evenly along it, both ends kept. */
function thinned(points: readonly FrontierPoint[]): FrontierPoint[] {
  const sorted = [...points].sort((a, b) => a.draft_us - b.draft_us);
  if (sorted.length <= MAX_POINTS) return sorted;
  return Array.from({ length: MAX_POINTS }, (_, i) => sorted[Math.round((i * (sorted.length - 1)) / (MAX_POINTS - 1))]);
}
