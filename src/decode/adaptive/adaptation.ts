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
import type { Drafter } from "../drafters/drafter.js";
import type { Round } from "../loop.js";
import { type AdaptiveLatency, type AdaptiveRange, type Arm, curveOf, sameArm } from "./arms.js";
import { Belief, type Curve, priorWeights } from "./belief.js";
import { type ArmTables, certainUs, expectedUs, type RoundTimes } from "./expected-time.js";
import { LatencyCorrection } from "./latency-correction.js";
import { type LookupBelief, LookupBeliefs } from "./lookup-belief.js";
import type { Looked } from "./lookup-watch.js";
import { type Costs, costsAt, tablesOf } from "./range-costs.js";

/** Leaving the plan's arm, or one arm for another, must save this share of the expected time. */
const LEAVE_PLAN = 0.03;
const LEAVE_OTHER = 0.01;
/** Staying away from the plan must save this share still: what brings it back is only that nothing goes wrong. */
const STAY_AWAY = 0.02;
/** The plan is left only where the other arm is better with this chance. */
const SURE = 0.98;
/** What leaves the plan for a lookup must be better even where it matches in a share so many deviations smaller. */
const MATCH_DEVIATIONS = 2;
/** Points of a belief of less weight are left out of the question whether one arm is surely better. */
const NEGLIGIBLE = 1e-4;

export type { AdaptiveDraft, AdaptiveLatency, AdaptiveRange, Arm } from "./arms.js";

/** What is believed of a range's drafts. */
interface Beliefs {
  /** [drafts][grid] */
  own: readonly Float64Array[];
  /** [drafts] null: without a lookup */
  lookups: readonly (LookupBelief | null)[];
}

export class Adaptation {
  private index = -1;
  private readonly belief = new Belief();
  private readonly correction = new LatencyCorrection();
  private readonly lookups = new LookupBeliefs();
  /** [ranges][drafts][d - 1] */
  private readonly allTables: readonly (readonly ArmTables[][])[];
  private costs: Costs | null = null;
  private current: Arm | null = null;

  constructor(
    private readonly ranges: readonly AdaptiveRange[],
    private readonly latency: AdaptiveLatency,
  ) {
    this.allTables = ranges.map(({ drafts }) => drafts.map(tablesOf));
  }

  /** All that has to follow the text. */
  get drafters(): readonly Drafter[] {
    return this.ranges.flatMap(({ drafts }) => drafts.flatMap(({ drafter, holders }) => holders ?? [drafter]));
  }

  /** Tokens of the longest n-gram that some arm looks up: what a lookup would draft is worth knowing then. 0: none does. */
  get longestNgram(): number {
    const lookups = this.ranges.flatMap(({ drafts }) => drafts.flatMap(({ lookup }) => lookup ?? []));
    return lookups.reduce((most, { maxNgram }) => Math.max(most, maxNgram), 0);
  }

  private get tables(): readonly ArmTables[][] {
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

  /**
   * What a round did; `arm` is what it was run with, in whichever range that was.
   * @param looked what a lookup saw of it, whoever drafted
   */
  observe(round: Round, arm: Arm | null, looked: Looked | null = null): void {
    const lookup = arm?.draft.lookup;
    const byLookup = lookup !== undefined && looked !== null && looked.matched >= lookup.minMatch;
    const own = arm === null || byLookup || lookup?.alone === true ? null : curveOf(arm.draft);
    this.belief.observe(own, round);
    const { context, nodes, emitted } = round;
    if (looked !== null) this.lookups.observe(looked, emitted, this.leastMatches(context));
    if (arm === null || nodes === 0) {
      this.correction.observePlain(round.totalUs, this.latency.stepUs(context));
      return;
    }
    if (own !== null) {
      // of a tree more nodes than its depth
      const depth = Math.min(nodes, arm.draftTokens);
      this.correction.observeDraft(own.key, round.draftUs, arm.draft.drafter.costUs(this.latency, context, depth));
    }
    this.correction.observeVerify(round.verifyUs, this.expectedVerifyUs(arm, context, nodes, own !== null));
  }

  /** Of a tree that was cut short fewer nodes than it has; of those it is priced as a chain, which differs little. */
  private expectedVerifyUs({ draft, draftTokens }: Arm, context: number, nodes: number, isOwn: boolean): number {
    const whole = draft.nodes?.(draftTokens) ?? draftTokens;
    if (isOwn && draft.verifyUs !== undefined && nodes === whole)
      return draft.verifyUs(this.latency, context, draftTokens);
    return this.latency.verifyUs(context, nodes);
  }

  /** The calibration's hazards behind a match, by how long it has to be at least. */
  private leastMatches(contextTokens: number): ReadonlyMap<number, Curve> {
    const range = this.ranges.find(({ to }) => contextTokens < to);
    return new Map(
      range?.drafts.flatMap(({ lookup }) => (lookup === undefined ? [] : [[lookup.minMatch, lookup.curve]])),
    );
  }

  /** Weighs all arms again, and takes the best where that is worth it. */
  decide(contextTokens: number): Arm | null {
    this.armAt(contextTokens);
    if (!this.covers(contextTokens)) return null;
    const { planned } = this.ranges[this.index];
    const costs = this.costsAt(contextTokens);
    const beliefs = this.beliefs();
    const timeOf = (arm: Arm | null) => this.timeUs(arm, costs, beliefs);
    const best = this.best(costs, beliefs);
    const bestUs = timeOf(best);
    const atPlan = sameArm(this.current, planned);
    const worth = bestUs < (1 - (atPlan ? LEAVE_PLAN : LEAVE_OTHER)) * timeOf(this.current);
    if (worth && (!atPlan || this.isSure(best, costs, beliefs))) this.current = best;
    // what is hardly better than the plan is the plan
    if (!atPlan && timeOf(planned) <= (1 + STAY_AWAY) * timeOf(this.current)) this.current = planned;
    return this.current;
  }

  /** Arms that share a curve, or a least match, share what is believed of it: there are many more arms than these. */
  private beliefs(): Beliefs {
    const { drafts } = this.ranges[this.index];
    const curves = [...new Map(drafts.map(curveOf).map((curve) => [curve.key, curve])).values()];
    const weights = this.belief.weights(curves);
    const own = new Map(curves.map(({ key }, i) => [key, weights[i]]));
    return {
      own: drafts.map((draft) => own.get(curveOf(draft).key) as Float64Array),
      lookups: this.lookups.all(drafts.map(({ lookup }) => lookup)),
    };
  }

  /** Whether an arm beats the plan's for nearly all that the text may be like. */
  private isSure(arm: Arm | null, costs: Costs, { own, lookups }: Beliefs): boolean {
    const { drafts, planned } = this.ranges[this.index];
    const judged = planned ?? arm;
    if (judged === null) return false;
    const of = (one: Arm | null) => (one === null ? -1 : drafts.indexOf(one.draft));
    const lookupOf = (one: Arm | null) => (one === null ? null : lookups[of(one)]);
    const [trial, kept] = [lookupOf(arm), lookupOf(planned)];
    // a lookup's share of matches is to its disadvantage where only one of the two has one
    const shifted = (one: LookupBelief | null, by: number) =>
      one === null
        ? 0
        : Math.min(1, Math.max(0, one.match + (trial !== null && kept !== null ? 0 : by * one.deviation)));
    const [trialMatch, keptMatch] = [shifted(trial, -MATCH_DEVIATIONS), shifted(kept, MATCH_DEVIATIONS)];
    const timeOf = (one: Arm | null, x: number, y: number, match: number) => {
      if (one === null) return this.plainUs(costs);
      const k = of(one);
      const times = this.timesOf(k, one.draftTokens, costs);
      const table = this.tables[k][one.draftTokens - 1];
      return certainUs(times, table, x, y, match) * costs.handicaps[k][one.draftTokens - 1];
    };
    // as if the text were known to be so, and all drafts alike
    const known = own[of(judged)];
    const looked = (trial ?? kept)?.weights ?? ONE_POINT;
    let sure = 0;
    for (let x = 0; x < known.length; x++) {
      if (known[x] < NEGLIGIBLE) continue;
      for (let y = 0; y < looked.length; y++) {
        if (looked[y] < NEGLIGIBLE) continue;
        if (timeOf(arm, x, y, trialMatch) < timeOf(planned, x, y, keptMatch)) sure += known[x] * looked[y];
      }
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

  private plainUs(costs: Costs): number {
    return costs.stepUs * costs.plainHandicap * this.correction.plainFactor;
  }

  /** µs of an arm's rounds, by what was measured. */
  private timesOf(k: number, draftTokens: number, costs: Costs): RoundTimes {
    const draft = this.ranges[this.index].drafts[k];
    const { draftUs, verifyUs, lookupUs } = costs.rounds[k][draftTokens - 1];
    const { verifyFactor, plainFactor } = this.correction;
    const verified = (us: number) => us * verifyFactor + this.latency.roundUs;
    const ownUs =
      draft.lookup?.alone === true
        ? costs.stepUs * plainFactor
        : draftUs * this.correction.draftFactor(curveOf(draft).key) + verified(verifyUs);
    return { ownUs, lookupUs: verified(lookupUs) };
  }

  /** Expected time a token, µs. */
  private timeUs(arm: Arm | null, costs: Costs, beliefs: Beliefs): number {
    if (arm === null) return this.plainUs(costs);
    return this.armUs(this.ranges[this.index].drafts.indexOf(arm.draft), arm.draftTokens, costs, beliefs);
  }

  private armUs(k: number, draftTokens: number, costs: Costs, { own, lookups }: Beliefs): number {
    const us = expectedUs(this.timesOf(k, draftTokens, costs), this.tables[k][draftTokens - 1], own[k], lookups[k]);
    return us * costs.handicaps[k][draftTokens - 1];
  }

  private best(costs: Costs, beliefs: Beliefs): Arm | null {
    let best: Arm | null = null;
    let bestUs = this.timeUs(null, costs, beliefs);
    this.ranges[this.index].drafts.forEach((draft, k) => {
      for (let d = 1; d <= this.tables[k].length; d++) {
        const us = this.armUs(k, d, costs, beliefs);
        if (us >= bestUs) continue;
        bestUs = us;
        best = { draft, draftTokens: d };
      }
    });
    return best;
  }

  private costsAt(contextTokens: number): Costs {
    if (this.costs !== null && contextTokens < this.costs.until) return this.costs;
    const range = this.ranges[this.index];
    const prior: Beliefs = {
      own: range.drafts.map((draft) => priorWeights(curveOf(draft).spread)),
      lookups: new LookupBeliefs().all(range.drafts.map(({ lookup }) => lookup)),
    };
    this.costs = costsAt(range, this.latency, contextTokens, (k, d, times) =>
      expectedUs(times, this.tables[k][d - 1], prior.own[k], prior.lookups[k]),
    );
    return this.costs;
  }
}

/** Where no lookup is believed anything of. */
const ONE_POINT = Float64Array.of(1);

/**
 * Runs the weighing on nothing, in every range, so that it is compiled before it is timed: the first calls take some
 * hundred times as long as later ones. Ranges run the same code, so the first is run often, and each other once for what it
 * makes when it is entered.
 */
export function rehearse(ranges: readonly AdaptiveRange[], latency: AdaptiveLatency): void {
  ranges.forEach((range, i) => {
    const from = i === 0 ? 0 : ranges[i - 1].to;
    const trial = new Adaptation([range], latency);
    const arm = range.planned;
    for (let k = 0; k < (i === 0 ? REHEARSALS : 1); k++) {
      const draftTokens = arm?.draftTokens ?? 0;
      const counts = { context: from, nodes: draftTokens, drafted: draftTokens, accepted: 0, emitted: 1 };
      trial.armAt(from);
      const looked = trial.longestNgram === 0 ? null : { matched: k % 9, right: k % 3, rejected: k % 2 === 0 };
      trial.observe({ ...counts, draftUs: 0, verifyUs: 0, totalUs: 0 }, arm, looked);
      trial.decide(from + k < range.to ? from + k : from);
    }
  });
}
const REHEARSALS = 20;
