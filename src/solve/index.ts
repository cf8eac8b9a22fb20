export { measuredSpeed, proposals, rankedCandidates, rankedFrontier } from "./candidates.js";
export { constrainedFrontier, draftBytes, type Limits, satisfies } from "./constraints.js";
export {
  drafterKey,
  longestDraft,
  loopUs,
  type PlannedDraft,
  plannedBy,
  type SolvedDrafter,
  verifyingUs,
} from "./drafter.js";
export { modelsOfBoth } from "./drafting/documents.js";
export { lookupOf, mainOf, modelOf, type SingleDrafter } from "./drafting/drafters.js";
export { knownOf } from "./evidence.js";
export {
  isFaster,
  nearestContext,
  pairedStandardError,
  type Shown,
  searchExchanges,
} from "./exchange-search.js";
export { exchanges, improveByExchanges } from "./exchanges.js";
export { type BlockReason, type Contender, type ExplainedDraft, type Explanation, explainDraft } from "./explain.js";
export { extendProfile, extrapolatedRange } from "./extrapolate.js";
export { type Reaching, speedBy } from "./gain.js";
export type { Choice, Group } from "./knapsack/group.js";
export { limitedLowerBound, limitedRelaxation } from "./knapsack/limited-bound.js";
export { type LimitedChoice, type LimitedGroup, limitedFrontier, type SumLimits } from "./knapsack/limited-frontier.js";
export { checkedLowerBound, closedFormBound, lpGapPercent, lpSolverBound } from "./knapsack/lp-bound.js";
export {
  type MultipleChoiceSolution,
  type ParetoPoint,
  paretoFrontier,
  solveMultipleChoice,
} from "./knapsack/multiple-choice.js";
export { type LatencyModel, openLatency } from "./latency.js";
export {
  type BreakEven,
  bestDraftLength,
  breakEven,
  curveFromRate,
  expectedTokens,
  type Round,
  speedup,
  tokensPerSecond,
} from "./objective.js";
export { ownCachePrediction } from "./own-cache/predict.js";
export { planDocument, segmentsBy } from "./plan.js";
export { draftUsOf, meanNodes } from "./predict.js";
export {
  type ContextData,
  contextFor,
  DRAFTER_KINDS,
  type DrafterKind,
  groupsAt,
  middle,
  openProblem,
  type Problem,
  plannedContexts,
  type SolveInput,
  surrogateLoss,
} from "./problem.js";
export { planSegments, unconfirmedDrafts } from "./segments.js";
export {
  acceptanceRate,
  expectedRate,
  expectedRateOf,
  fitCorrection,
  fitSurrogate,
  type Surrogate,
} from "./surrogate.js";
export type { MarginalNode, TreeReason } from "./trees/explain.js";
export { treesOf } from "./trees/heads.js";
export { constraintWarnings, refutedWarnings, type SolveWarning } from "./warnings.js";
export type { Evidence, WhatIf } from "./what-if.js";
