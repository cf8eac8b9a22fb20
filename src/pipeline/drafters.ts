/** What `--drafters` means, and which drafters a plan was solved with. */
import { DraftplanError } from "../core/errors.js";
import type { Calibration } from "../schema/calibration.js";
import type { Plan } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import { DRAFTER_KINDS, type DrafterKind } from "../solve/index.js";

/** @throws OPTION_INVALID for a name that is no drafter that a plan can be solved for */
export function parseDrafters(names: readonly string[]): DrafterKind[] {
  const bad = names.find((name) => !(DRAFTER_KINDS as readonly string[]).includes(name));
  if (bad === undefined) return DRAFTER_KINDS.filter((kind) => names.includes(kind));
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `--drafters ${names.join(",")}`,
    what: `'${bad.slice(0, 40)}' is no drafter that a plan is solved for`,
    remedy: `Use any of: ${DRAFTER_KINDS.join(",")}. Heads are named by what was measured: draftplan calibrate --drafters heads:PATH`,
  });
}

/** Solved with the model's own blocks alone, unless the plan says more. */
export const draftersOf = ({ drafters = ["self"] }: Plan): DrafterKind[] => parseDrafters(drafters);

/**
 * Heads that were asked for are weighed, or it is said why not.
 * @throws DRAFTER_UNAVAILABLE where they were not measured; OPTION_INVALID where the method chooses blocks alone
 */
export function requireHeads(profile: Profile, calibration: Calibration, method: string): void {
  if (method !== "knapsack") throw blocksAlone(method);
  const known = (calibration.heads ?? []).map(({ sha256 }) => sha256);
  const both = known.some((sha256) => profile.heads?.some((other) => other.sha256 === sha256));
  if (both) return;
  const [document, verb] =
    known.length === 0
      ? ["calibration", "calibrate --drafters heads:PATH"]
      : ["profile", "profile --drafters heads:PATH"];
  throw new DraftplanError({
    code: "DRAFTER_UNAVAILABLE",
    at: "--drafters heads",
    what: `the ${document} knows no heads${known.length === 0 ? "" : " that the calibration knows"}`,
    remedy: `Measure them: draftplan ${verb}; or leave heads out: --drafters self`,
  });
}

const blocksAlone = (method: string) =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at: `--method ${method} --drafters heads`,
    what: `${method} chooses blocks of the model, and heads have none`,
    remedy: "Leave one of the two options out.",
  });
