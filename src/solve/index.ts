export type { Choice, Group } from "./group.js";
export { checkedLowerBound, closedFormBound, lpGapPercent, lpSolverBound } from "./lp-bound.js";
export {
  type MultipleChoiceSolution,
  type ParetoPoint,
  paretoFrontier,
  type SolveOptions,
  solveMultipleChoice,
} from "./multiple-choice.js";
export {
  bestDraftLength,
  curveFromRate,
  type DraftLength,
  type DraftLengthProblem,
  expectedTokens,
  type Round,
  speedup,
  tokensPerSecond,
} from "./objective.js";
