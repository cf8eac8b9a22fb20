/** A plan from a profile and a calibration: pure, so the same two give the same plan, byte for byte. */
import type { InputRef } from "../schema/common.js";
import type { Plan } from "../schema/plan.js";
import { openProblem, type SolveInput } from "./problem.js";
import { planSegments } from "./segments.js";

/** @throws what openProblem throws; LP_BOUND_VIOLATED (a bug) */
export function planDocument(input: SolveInput, inputs: { profile: InputRef; calibration: InputRef }): Plan {
  const { temperature } = input.calibration.text;
  return {
    kind: "draftplan/plan",
    version: 1,
    model: input.calibration.model,
    device: input.profile.device,
    inputs,
    method: "knapsack",
    choices: [...input.choices],
    ...(temperature === undefined ? {} : { temperature }),
    segments: planSegments(openProblem(input)),
  };
}
