/** What the arms of a range take about one context, and what they yield at every point of the grid. */
import { type AdaptiveDraft, type AdaptiveLatency, type AdaptiveRange, curveOf } from "./arms.js";
import { roundsPerToken } from "./belief.js";
import type { ArmTables, RoundTimes } from "./expected-time.js";

/** How far the plan is trusted against an arm that looked better before anything was observed. */
const TRUST = 0.03;
/** Latencies are read anew when the context has grown by this share. */
const CONTEXT_SHARE = 1 / 10;
const CONTEXT_STEP = 32;

/** Parts of the rounds of one arm, µs. */
interface RoundParts {
  draftUs: number;
  verifyUs: number;
  /** verification of what a lookup drafted */
  lookupUs: number;
}

/** Latencies about one context, and how the plan compared before anything was observed. */
export interface Costs {
  /** good up to this context */
  until: number;
  /** [drafts][d - 1] */
  rounds: readonly RoundParts[][];
  stepUs: number;
  /** [drafts][d - 1] factor ≥ 1 */
  handicaps: readonly number[][];
  plainHandicap: number;
}

/** [d - 1] */
export function tablesOf(draft: AdaptiveDraft): ArmTables[] {
  const { lookup, hazards } = draft;
  if (lookup?.alone === true) return roundsPerToken(hazards).map((table) => ({ own: null, lookup: table }));
  const looked = lookup === undefined ? null : roundsPerToken(lookup.curve.hazards)[lookup.draftTokens - 1];
  return roundsPerToken(curveOf(draft).hazards).map((table) => ({ own: table, lookup: looked }));
}

/** @param priorUs expected time a token before anything was observed, of the draft k at length d */
export function costsAt(
  { drafts, planned }: AdaptiveRange,
  latency: AdaptiveLatency,
  contextTokens: number,
  priorUs: (k: number, d: number, times: RoundTimes) => number,
): Costs {
  const rounds = drafts.map((draft) => draft.hazards.map((_, i) => partsOf(draft, latency, contextTokens, i + 1)));
  const stepUs = latency.stepUs(contextTokens);
  const prior = rounds.map((lengths, k) =>
    lengths.map(({ draftUs, verifyUs, lookupUs }, i) => {
      const ownUs = drafts[k].lookup?.alone === true ? stepUs : draftUs + verifyUs + latency.roundUs;
      return priorUs(k, i + 1, { ownUs, lookupUs: lookupUs + latency.roundUs });
    }),
  );
  const plannedUs = planned === null ? stepUs : prior[drafts.indexOf(planned.draft)][planned.draftTokens - 1];
  const handicap = (us: number) => Math.min(1 + TRUST, Math.max(1, plannedUs / us));
  return {
    until: contextTokens + Math.max(CONTEXT_STEP, Math.floor(contextTokens * CONTEXT_SHARE)),
    rounds,
    stepUs,
    handicaps: prior.map((times) => times.map(handicap)),
    plainHandicap: handicap(stepUs),
  };
}

function partsOf(draft: AdaptiveDraft, latency: AdaptiveLatency, contextTokens: number, d: number): RoundParts {
  const { drafter, lookup, verifyUs } = draft;
  return {
    draftUs: drafter.costUs(latency, contextTokens, d),
    verifyUs: verifyUs?.(latency, contextTokens, d) ?? latency.verifyUs(contextTokens, d),
    lookupUs: lookup === undefined ? 0 : latency.verifyUs(contextTokens, lookup.alone ? d : lookup.draftTokens),
  };
}
