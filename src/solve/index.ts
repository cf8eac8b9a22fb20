export { type Candidate, measuredSpeed, proposals, rankedCandidates, rankedFrontier } from "./candidates.js";
export type { Unconfirmed } from "./confirm.js";
export { constrainedFrontier, draftBytes, type Limits, satisfies } from "./constraints.js";
export {
  type AcceptedExchange,
  isFaster,
  nearestContext,
  pairedStandardError,
  type Shown,
  searchExchanges,
} from "./exchange-search.js";
export { type Exchange, exchanges, improveByExchanges } from "./exchanges.js";
export { type BlockReason, type ExplainedDraft, type Explanation, explainDraft, type OtherChoice } from "./explain.js";
export { extendProfile, extrapolatedRange } from "./extrapolate.js";
export type { Choice, Group } from "./knapsack/group.js";
export { limitedLowerBound, limitedRelaxation } from "./knapsack/limited-bound.js";
export { type LimitedChoice, type LimitedGroup, limitedFrontier, type SumLimits } from "./knapsack/limited-frontier.js";
export { checkedLowerBound, closedFormBound, lpGapPercent, lpSolverBound } from "./knapsack/lp-bound.js";
export {
  type MultipleChoiceSolution,
  type ParetoPoint,
  paretoFrontier,
  type SolveOptions,
  solveMultipleChoice,
} from "./knapsack/multiple-choice.js";
export { type LatencyAt, type LatencyModel, openLatency } from "./latency.js";
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
export { planDocument, segmentsBy } from "./plan.js";
export {
  type ContextData,
  contextFor,
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
  type Correction,
  expectedRate,
  expectedRateOf,
  fitCorrection,
  fitSurrogate,
  type Surrogate,
} from "./surrogate.js";
export { constraintWarnings, refutedText, refutedWarnings, type SolveWarning } from "./warnings.js";
export { type Evidence, type PlannedDraft, SLOWER_ATTENTION, type WhatIf } from "./what-if.js";
