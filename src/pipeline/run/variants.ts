/** The plans that `run` makes, and where its documents go. */
import { join } from "node:path";
import type { LocatedHeads } from "../../decode/drafters/heads.js";
import type { LoadedModel } from "../../runtime/load.js";
import type { Calibration } from "../../schema/calibration.js";
import { usualKernels } from "../../schema/choice.js";
import type { Plan } from "../../schema/plan.js";
import type { Profile } from "../../schema/profile.js";
import type { Verification } from "../../schema/verification.js";
import type { DrafterKind } from "../../solve/index.js";
import type { DraftChoice } from "../choices.js";
import { defaultPath } from "../paths.js";

/** Where each document goes: into one folder, or to the default places. */
export interface RunPaths {
  profile: string;
  calibration: string;
  plan: string;
  planSkip: string;
  verification: string;
  verificationSkip: string;
  /** where heads travel with the model: the best plan of the model's own blocks, and of those heads */
  planSelf?: string;
  planHeads?: string;
  verificationSelf?: string;
  verificationHeads?: string;
}

export interface RunResult {
  profile: Profile;
  calibration: Calibration;
  plan: Plan;
  planSkip: Plan;
  verification: Verification;
  verificationSkip: Verification;
  planSelf?: Plan;
  planHeads?: Plan;
  verificationSelf?: Verification;
  verificationHeads?: Verification;
}

type PlanName = "plan" | "planSkip" | "planSelf" | "planHeads";

export interface Variant {
  plan: PlanName;
  verification: "verification" | "verificationSkip" | "verificationSelf" | "verificationHeads";
  choices: DraftChoice[];
  drafters: DrafterKind[];
}

export const SKIP: DraftChoice[] = ["skip"];

export const everythingFor = ({ engine }: Pick<LoadedModel, "engine">): DraftChoice[] => [
  ...usualKernels(engine.numerics.targetPrecision),
  "skip",
];

/**
 * What is solved: the 0/1 skip knapsack of KnapSpec, and the knapsack of everything. Where heads travel with the model, the
 * best of all drafters is the plan, and the best of each kind is told beside it.
 */
export const variantsOf = (heads: readonly LocatedHeads[], everything: DraftChoice[]): Variant[] => [
  { plan: "planSkip", verification: "verificationSkip", choices: SKIP, drafters: ["self"] },
  ...(heads.length === 0
    ? []
    : ([
        { plan: "planSelf", verification: "verificationSelf", choices: everything, drafters: ["self"] },
        { plan: "planHeads", verification: "verificationHeads", choices: everything, drafters: ["heads"] },
      ] satisfies Variant[])),
  {
    ...{ plan: "plan", verification: "verification", choices: everything },
    drafters: heads.length === 0 ? ["self"] : ["self", "heads"],
  },
];

export function runPaths(out: string | undefined, modelName: string, hasHeads: boolean): RunPaths {
  const place = (kind: "profile" | "calibration" | "plan" | "verification", suffix = "") =>
    out === undefined
      ? defaultPath(kind, modelName).replace(/\.yaml$/, `${suffix}.yaml`)
      : join(out, `${kind}${suffix}.yaml`);
  return {
    profile: place("profile"),
    calibration: place("calibration"),
    plan: place("plan"),
    planSkip: place("plan", "-skip"),
    verification: place("verification"),
    verificationSkip: place("verification", "-skip"),
    ...(hasHeads
      ? {
          planSelf: place("plan", "-self"),
          planHeads: place("plan", "-heads"),
          verificationSelf: place("verification", "-self"),
          verificationHeads: place("verification", "-heads"),
        }
      : {}),
  };
}
