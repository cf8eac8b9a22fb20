/** What a plan would be where costs or contexts are others, and what its own draft would then be worth. */
import { type ChangedChoice, changedChoices } from "../schema/choice.js";
import type { Segment } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import { drafterKey, longestDraft, type PlannedDraft, plannedBy, type SolvedDrafter } from "./drafter.js";
import { knownOf } from "./evidence.js";
import { speedBy } from "./gain.js";
import { curveFromRate } from "./objective.js";
import { contextFor, type Problem, surrogateLoss } from "./problem.js";
import { planSegments } from "./segments.js";
import { acceptanceRate, expectedRate, fitCorrection } from "./surrogate.js";

/** What solving again under other conditions gives in the same place. */
export interface WhatIf {
  contextTokens: number;
  /** the context lies beyond what was profiled */
  extrapolated: boolean;
  speculate: boolean;
  /** null: plain decoding */
  drafter: SolvedDrafter | null;
  draftTokens: number | null;
  /** the plan's own, whatever its length */
  sameDrafter: boolean;
  /** blocks that do something else; none where either is no draft of the model's own blocks */
  changed: ChangedChoice[];
  /** predicted of the plan as it is and where it is; 1 for plain decoding */
  speedupBefore: number;
  /** predicted of the plan's own draft and length under these conditions */
  ownSpeedup: number;
  /** predicted of what is solved again */
  speedup: number;
  /** what the curves of all three were measured on: the best that they have in common; null: nothing is drafted */
  evidence: Evidence | null;
}

/** What an acceptance curve was measured on, the best first. */
const EVIDENCE = ["report", "choose", "surrogate"] as const;
export type Evidence = (typeof EVIDENCE)[number];

/** The acceptance curve [d + 1] of a draft at a context by one kind of evidence; null where it was not measured so. */
function curveBy(evidence: Evidence, problem: Problem, n: number, draft: PlannedDraft) {
  const context = contextFor(problem, n);
  const { drafter, draftTokens } = draft;
  if (evidence !== "surrogate") {
    const known = knownOf(context, evidence, draft);
    return known === null ? null : { ...known, curve: known.curve.slice(0, longestDraft(drafter, draftTokens) + 1) };
  }
  if (drafter.kind !== "self") return null; // nothing is known of others that were not measured
  const rate = expectedRate(fitCorrection(context), surrogateLoss(context.losses, drafter.set));
  return { curve: curveFromRate(rate, draftTokens), match: undefined, trees: undefined, acceptance: undefined };
}

/** Positions behind a draft's curve, the rounds that came to its last token, and the error of their tokens; null where they are not known. */
export function countsBy(evidence: Evidence, problem: Problem, n: number, draft: PlannedDraft) {
  const found = evidence === "surrogate" ? null : knownOf(contextFor(problem, n), evidence, draft);
  return {
    positions: found?.tokens ?? null,
    rounds: found?.reached?.[draft.draftTokens - 1] ?? null,
    lengthError: found?.lengthError ?? null,
  };
}

/** A draft under certain conditions; null: plain decoding. */
interface Case {
  problem: Problem;
  n: number;
  draft: PlannedDraft | null;
}

const isKnown = (evidence: Evidence, { problem, n, draft }: Case): boolean =>
  draft === null || curveBy(evidence, problem, n, draft) !== null;

/** The best evidence that all drafts have: speeds by curves of different texts say nothing of one another. */
export function commonEvidence(cases: readonly Case[]): Evidence | null {
  if (cases.every(({ draft }) => draft === null)) return null;
  return EVIDENCE.find((evidence) => cases.every((one) => isKnown(evidence, one))) ?? "surrogate";
}

export function acceptanceBy(evidence: Evidence, problem: Problem, n: number, draft: PlannedDraft): number {
  const known = curveBy(evidence, problem, n, draft);
  return known?.acceptance ?? acceptanceRate(known?.curve ?? [1]);
}

/** Share of rounds in which a lookup drafts; undefined where none does. */
export const matchBy = (evidence: Evidence, problem: Problem, n: number, draft: PlannedDraft): number | undefined =>
  curveBy(evidence, problem, n, draft)?.match;

export function speedupBy(evidence: Evidence | null, { problem, n, draft }: Case): number {
  const known = draft === null || evidence === null ? null : curveBy(evidence, problem, n, draft);
  if (draft === null || known === null) return 1;
  return (speedBy(problem.latency, n, draft.drafter, known) * problem.latency.stepUs(n)) / 1e6;
}

/** What the plan for a problem does at a context, compared with the plan's own draft as it is and where it is. */
export function solvedAt(problem: Problem, n: number, before: Case): WhatIf {
  const planned = before.draft;
  const now = plannedBy(segmentAt(planSegments(problem), n), problem.layers, "plan");
  const kept = { problem, n, draft: planned };
  const after = { problem, n, draft: now };
  const evidence = commonEvidence([before, kept, after]);
  return {
    contextTokens: n,
    extrapolated: n > problem.gridContexts[problem.gridContexts.length - 1],
    speculate: now !== null,
    drafter: now?.drafter ?? null,
    draftTokens: now?.draftTokens ?? null,
    sameDrafter: now !== null && planned !== null && drafterKey(now.drafter) === drafterKey(planned.drafter),
    changed: changedBlocks(planned, now),
    speedupBefore: speedupBy(evidence, before),
    ownSpeedup: speedupBy(evidence, kept),
    speedup: speedupBy(evidence, after),
    evidence,
  };
}

const segmentAt = (segments: readonly Segment[], n: number): Segment =>
  segments.find(({ context_tokens: { to } }) => n < to) ?? segments[segments.length - 1];

const changedBlocks = (before: PlannedDraft | null, after: PlannedDraft | null): ChangedChoice[] =>
  before?.drafter.kind === "self" && after?.drafter.kind === "self"
    ? changedChoices(before.drafter.set, after.drafter.set)
    : [];

/** How much slower attention is supposed to be. */
export const SLOWER_ATTENTION = 1.1;

/**
 * The profile with every attention block slower, in drafts and verifications alike. The measured steps between the grid's
 * q (query_line) stay: they come from matrix products.
 */
export const withSlowerAttention = (profile: Profile): Profile => ({
  ...profile,
  points: profile.points.map((point) => ({
    ...point,
    attn_us: Object.fromEntries(
      Object.entries(point.attn_us).map(([kernel, us]) => [kernel, us?.map((x) => SLOWER_ATTENTION * x)]),
    ),
  })),
});
