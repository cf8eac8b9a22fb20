export {
  type ComparePoliciesOptions,
  comparePolicies,
  type PoliciesAtContext,
  type PromptPolicyRuns,
} from "./compare-policies.js";
export type { Drawing } from "./distribution/drawn.js";
export { commonPrefix, judge, type Tie, type Verdict } from "./judge.js";
export type { AlternativeModel, PromptRuns, VerifyPrompt } from "./measure.js";
export { type FigureOptions, type PolicyFigures, policyFigures } from "./policy-figures.js";
export type { ReferenceCache } from "./reference.js";
export { type SideBySide, type SideBySideOptions, type SideBySideSlot, sideBySide } from "./side-by-side.js";
export {
  compareSlots,
  decideSlower,
  isPrecise,
  isTimeToLook,
  LEAST_SLOTS,
  type Slowdown,
  type SlowdownDecision,
} from "./slower.js";
export { type Decision, decide, type Requirement, requirePrompts, type Thresholds } from "./thresholds.js";
export { type Timed, TimeTaken } from "./time-taken.js";
export {
  type Journal,
  promptsDigest,
  type VerifyOptions,
  type VerifyResult,
  verifyPlan,
  verifyPlans,
} from "./verify.js";
export { type Way, waysByTurns } from "./ways.js";
