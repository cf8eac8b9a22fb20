/** `--adapt`: which plans can be adapted, the policy that does it, and what it did. */
import { DraftplanError } from "../../core/errors.js";
import { type AdaptivePolicy, type AdaptiveSummary, adaptivePolicy } from "../../decode/adaptive/policy.js";
import { selfChoices } from "../../decode/drafters/self.js";
import type { DraftPolicy } from "../../decode/loop.js";
import type { Opened } from "../../decode/policy.js";
import { systemClock } from "../../runtime/device.js";
import type { Loaded } from "../../schema/document.js";
import type { Plan } from "../../schema/plan.js";
import { type DrafterChoice, drafterName } from "../drafting.js";
import { readInputs } from "../plan-inputs.js";
import { openAdaptation } from "./adaptation.js";
import type { AdaptedSummary } from "./types.js";

/** @throws USAGE without a plan to begin with, NOT_YET_SUPPORTED for drafts with a cache of their own */
export function requireAdaptable(plan: Loaded<Plan> | null, drafter: DrafterChoice | null): void {
  if (plan === null) throw adaptWithoutPlan();
  if (drafter !== null && drafter.kind !== "plan") throw adaptAnother(drafter);
  if (plan.document.draft_cache === "own") throw adaptOwnCache(`${plan.path}: draft_cache`);
}

const adaptAnother = (drafter: DrafterChoice) =>
  new DraftplanError({
    code: "USAGE",
    at: `--adapt --drafter ${drafterName(drafter)}`,
    what: "adapting begins with the plan's own drafts",
    remedy: "Leave one of the two options out.",
  });

const adaptOwnCache = (at: string) =>
  new DraftplanError({
    code: "NOT_YET_SUPPORTED",
    at,
    what: "its drafts have a KV cache of their own, and --adapt weighs drafts over the target's",
    remedy: "Leave --adapt out, or solve a plan without --standalone.",
  });

const adaptWithoutPlan = () =>
  new DraftplanError({
    code: "USAGE",
    at: "--adapt",
    what: "there is no plan to begin with",
    remedy: "Give --plan PLAN as well, or leave --adapt out.",
  });

/** @throws INPUTS_MISSING, DIGEST_MISMATCH where the plan's profile and calibration are not at hand */
export function adaptiveOf(plan: Loaded<Plan>): (planned: DraftPolicy, open: readonly Opened[]) => AdaptivePolicy {
  const { profile, calibration } = readInputs(plan);
  const adaptation = openAdaptation(plan.document, profile, calibration, plan.path);
  return (planned, open) => adaptivePolicy(adaptation(open), systemClock, planned);
}

export const adaptedOf = ({ arms, ...summary }: AdaptiveSummary): AdaptedSummary => ({
  ...summary,
  arms: arms.map(({ arm, ...use }) => ({
    drafter: arm === null ? null : (arm.draft.told ?? arm.draft.key),
    choices: arm === null || arm.draft.lookup !== undefined ? null : selfChoices(arm.draft.drafter),
    draftTokens: arm?.draftTokens ?? 0,
    ...use,
  })),
});
