/** What `run` makes, and where it puts it. */
import type { Calibration } from "../schema/calibration.js";
import type { Plan } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import type { Verification } from "../schema/verification.js";

/** Where each document goes: into one folder, or to the default places. */
export interface RunPaths {
  profile: string;
  calibration: string;
  plan: string;
  planSkip: string;
  verification: string;
  verificationSkip: string;
}

export interface RunResult {
  profile: Profile;
  calibration: Calibration;
  plan: Plan;
  planSkip: Plan;
  verification: Verification;
  verificationSkip: Verification;
}
