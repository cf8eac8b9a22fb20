export { type Decision, decide, type Requirement, requirePrompts, type Thresholds } from "./decide.js";
export { commonPrefix, judge, type Tie, type Verdict } from "./judge.js";
export { type ManyContext, type ManyOptions, manySideBySide, type PromptTurns } from "./many.js";
export { type FigureOptions, type PolicyFigures, policyFigures } from "./many-figures.js";
export type { AlternativeModel, PromptRuns, VerifyPrompt } from "./measure.js";
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
export { type Journal, promptsDigest, type VerifyOptions, type VerifyResult, verifyPlan } from "./verify.js";
