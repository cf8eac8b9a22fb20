/**
 * Adaptive planning: which draft, and how many tokens, given what the rounds so far accepted (KnapSpec,
 * arXiv:2602.20217, re-solves while it generates). A bandit whose arms share what they learn: every round of any draft
 * tells how hard the text is (belief.ts), and that moves the expected speed of all. So nothing has to be tried out to be
 * judged, and the arm of the least expected time a token is taken, without a bonus for what is uncertain.
 *
 * The plan is trusted: it was chosen on more text than a generation has, by latencies measured with more care. An arm
 * has to be better than the plan's by a margin, counted from where it stood before anything was observed.
 *
 * Pure: no clock, no chance. Rounds in, an arm out. All times are µs.
 */
import type { Drafter, PassPrices } from "../drafters/drafter.js";
import type { Round } from "../loop.js";
import { Belief, type Curve, expectation, priorWeights, roundsPerToken } from "./belief.js";
import { LatencyCorrection } from "./latency-correction.js";

/** A drafter that may be run, with its acceptance on the calibration text; its key is the drafter's. */
export interface AdaptiveDraft extends Curve {
  drafter: Drafter;
}

/** Which of a range's drafts, at which length; null where an arm is asked for: a plain step. */
export interface Arm {
  draft: AdaptiveDraft;
  draftTokens: number;
}

/** A range of contexts within which the drafts and the plan's own choice are the same. */
export interface AdaptiveRange {
  /** contexts from the range before up to this, exclusive */
  to: number;
  drafts: readonly AdaptiveDraft[];
  /** what the plan does here; its draft is one of `drafts` */
  planned: Arm | null;
}

/** Expected latencies, at any context of any range; drafters are priced by them. */
export interface AdaptiveLatency extends PassPrices {
  verifyUs(contextTokens: number, draftTokens: number): number;
  /** a plain step, the loop's own time included */
  stepUs(contextTokens: number): number;
  /** what the loop adds to a round */
  roundUs: number;
}

/** Leaving the plan's arm, or one arm for another, must save this share of the expected time. */
const LEAVE_PLAN = 0.03;
const LEAVE_OTHER = 0.01;
/** Staying away from the plan must save this share still: what brings it back is only that nothing goes wrong. */
const STAY_AWAY = 0.02;
/** The plan is left only where the other arm is better with this chance. */
const SURE = 0.98;
/** How far the plan is trusted against an arm that looked better before anything was observed. */
const TRUST = 0.03;
/** Latencies are read anew when the context has grown by this share. */
const CONTEXT_SHARE = 1 / 10;
const CONTEXT_STEP = 32;

/** Latencies about one context, and how the plan compared before anything was observed. */
interface Costs {
  /** good up to this context */
  until: number;
  /** [drafts][d - 1] of a whole draft */
  draftUs: readonly number[][];
  /** [d] */
  verifyUs: readonly number[];
  stepUs: number;
  /** [drafts][d - 1] factor ≥ 1 */
  handicaps: readonly number[][];
  plainHandicap: number;
}

export class Adaptation {
  private index = -1;
  private readonly belief = new Belief();
  private readonly correction = new LatencyCorrection();
  /** [ranges][drafts][d - 1][grid] */
  private readonly allTables: readonly (readonly Float64Array[][])[];
  private costs: Costs | null = null;
  private current: Arm | null = null;

  constructor(
    private readonly ranges: readonly AdaptiveRange[],
    private readonly latency: AdaptiveLatency,
  ) {
    this.allTables = ranges.map(({ drafts }) => drafts.map(({ hazards }) => roundsPerToken(hazards)));
  }

  /** All that may be asked to draft. */
  get drafters(): readonly Drafter[] {
    return this.ranges.flatMap(({ drafts }) => drafts.map(({ drafter }) => drafter));
  }

  private get tables(): readonly Float64Array[][] {
    return this.allTables[this.index];
  }

  /** How many times the calibration's rejections the text is believed to have. */
  get difficulty(): number {
    return this.belief.difficulty();
  }

  /** False past the last range: nothing is known there, and the plan itself decides. */
  covers(contextTokens: number): boolean {
    return this.ranges.some(({ to }) => contextTokens < to);
  }

  /** The arm in force at a context, without weighing anything again. Past the last range: a plain step. */
  armAt(contextTokens: number): Arm | null {
    const index = this.ranges.findIndex(({ to }) => contextTokens < to);
    if (index === -1) return null;
    if (index !== this.index) this.enter(index);
    return this.current;
  }

  /** The arm the plan itself has at a context. */
  plannedAt(contextTokens: number): Arm | null {
    return this.ranges.find(({ to }) => contextTokens < to)?.planned ?? null;
  }

  /** What a round did; `arm` is what it was run with, in whichever range that was. */
  observe(round: Round, arm: Arm | null): void {
    this.belief.observe(arm?.draft ?? null, round);
    const { context, nodes } = round;
    if (arm === null || nodes === 0) {
      this.correction.observePlain(round.totalUs, this.latency.stepUs(context));
      return;
    }
    const { drafter, key } = arm.draft;
    // of a tree more nodes than its depth
    const depth = Math.min(nodes, arm.draftTokens);
    this.correction.observeDraft(key, round.draftUs, drafter.costUs(this.latency, context, depth));
    this.correction.observeVerify(round.verifyUs, this.latency.verifyUs(context, nodes));
  }

  /** Weighs all arms again, and takes the best where that is worth it. */
  decide(contextTokens: number): Arm | null {
    this.armAt(contextTokens);
    if (!this.covers(contextTokens)) return null;
    const { planned } = this.ranges[this.index];
    const costs = this.costsAt(contextTokens);
    const weights = this.belief.weights(this.ranges[this.index].drafts);
    const timeOf = (arm: Arm | null) => this.timeUs(arm, costs, weights);
    const best = this.best(costs, weights);
    const bestUs = timeOf(best);
    const atPlan = sameArm(this.current, planned);
    const worth = bestUs < (1 - (atPlan ? LEAVE_PLAN : LEAVE_OTHER)) * timeOf(this.current);
    if (worth && (!atPlan || this.isSure(best, costs, weights))) this.current = best;
    // what is hardly better than the plan is the plan
    if (!atPlan && timeOf(planned) <= (1 + STAY_AWAY) * timeOf(this.current)) this.current = planned;
    return this.current;
  }

  /** Whether an arm beats the plan's for nearly all that the text may be like. */
  private isSure(arm: Arm | null, costs: Costs, weights: readonly Float64Array[]): boolean {
    const { drafts, planned } = this.ranges[this.index];
    const judged = planned ?? arm;
    if (judged === null) return false;
    const known = weights[drafts.indexOf(judged.draft)];
    let sure = 0;
    for (let point = 0; point < known.length; point++) {
      // as if the text were known to be so, and both drafts alike
      const certain = new Float64Array(known.length);
      certain[point] = 1;
      const text = weights.map(() => certain);
      if (this.timeUs(arm, costs, text) < this.timeUs(planned, costs, text)) sure += known[point];
    }
    return sure >= SURE;
  }

  private enter(index: number): void {
    const { drafts, planned } = this.ranges[index];
    const before = this.index === -1 ? null : this.ranges[this.index].planned;
    const stays = this.index !== -1 && !sameArm(this.current, before);
    const { current } = this;
    const same = drafts.find(({ key }) => key === current?.draft.key);
    if (!stays) this.current = planned;
    else if (current === null) this.current = null;
    else if (same === undefined) this.current = planned;
    else this.current = { draft: same, draftTokens: Math.min(current.draftTokens, same.hazards.length) };
    this.index = index;
    this.costs = null;
  }

  /** Expected time a token, µs. */
  private timeUs(arm: Arm | null, costs: Costs, weights: readonly Float64Array[]): number {
    if (arm === null) return costs.stepUs * costs.plainHandicap * this.correction.plainFactor;
    const draft = this.ranges[this.index].drafts.indexOf(arm.draft);
    const d = arm.draftTokens;
    const draftUs = costs.draftUs[draft][d - 1] * this.correction.draftFactor(arm.draft.key);
    const roundUs = draftUs + costs.verifyUs[d] * this.correction.verifyFactor + this.latency.roundUs;
    return roundUs * expectation(weights[draft], this.tables[draft][d - 1]) * costs.handicaps[draft][d - 1];
  }

  private best(costs: Costs, weights: readonly Float64Array[]): Arm | null {
    let best: Arm | null = null;
    let bestUs = this.timeUs(null, costs, weights);
    this.ranges[this.index].drafts.forEach((draft, k) => {
      const factor = this.correction.draftFactor(draft.key);
      this.tables[k].forEach((table, i) => {
        const draftUs = costs.draftUs[k][i] * factor;
        const roundUs = draftUs + costs.verifyUs[i + 1] * this.correction.verifyFactor + this.latency.roundUs;
        const us = roundUs * expectation(weights[k], table) * costs.handicaps[k][i];
        if (us >= bestUs) return;
        bestUs = us;
        best = { draft, draftTokens: i + 1 };
      });
    });
    return best;
  }

  private costsAt(contextTokens: number): Costs {
    if (this.costs !== null && contextTokens < this.costs.until) return this.costs;
    const { drafts, planned } = this.ranges[this.index];
    const longest = drafts.reduce((most, { hazards }) => Math.max(most, hazards.length), 0);
    const draftUs = drafts.map(({ drafter, hazards }) =>
      hazards.map((_, i) => drafter.costUs(this.latency, contextTokens, i + 1)),
    );
    const verifyUs = Array.from({ length: longest + 1 }, (_, d) => this.latency.verifyUs(contextTokens, d));
    const stepUs = this.latency.stepUs(contextTokens);
    const prior = drafts.map(({ spread }) => priorWeights(spread));
    const priorUs = this.tables.map((tables, k) =>
      tables.map((table, i) => (draftUs[k][i] + verifyUs[i + 1] + this.latency.roundUs) * expectation(prior[k], table)),
    );
    const plannedUs = planned === null ? stepUs : priorUs[drafts.indexOf(planned.draft)][planned.draftTokens - 1];
    const handicap = (us: number) => Math.min(1 + TRUST, Math.max(1, plannedUs / us));
    this.costs = {
      until: contextTokens + Math.max(CONTEXT_STEP, Math.floor(contextTokens * CONTEXT_SHARE)),
      draftUs,
      verifyUs,
      stepUs,
      handicaps: priorUs.map((times) => times.map(handicap)),
      plainHandicap: handicap(stepUs),
    };
    return this.costs;
  }
}

/**
 * Runs the weighing on nothing, in every range, so that it is compiled before it is timed: the first calls take some
 * hundred times as long as later ones.
 */
export function rehearse(ranges: readonly AdaptiveRange[], latency: AdaptiveLatency): void {
  ranges.forEach((range, i) => {
    const from = i === 0 ? 0 : ranges[i - 1].to;
    const trial = new Adaptation([range], latency);
    const arm = range.planned;
    for (let k = 0; k < REHEARSALS; k++) {
      const draftTokens = arm?.draftTokens ?? 0;
      const counts = { context: from, nodes: draftTokens, drafted: draftTokens, accepted: 0, emitted: 1 };
      trial.armAt(from);
      trial.observe({ ...counts, draftUs: 0, verifyUs: 0, totalUs: 0 }, arm);
      trial.decide(from + k < range.to ? from + k : from);
    }
  });
}
const REHEARSALS = 20;

export const sameArm = (a: Arm | null, b: Arm | null): boolean =>
  a === null || b === null ? a === b : a.draft.key === b.draft.key && a.draftTokens === b.draftTokens;
