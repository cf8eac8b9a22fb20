/** What a draft is predicted to reach at a context, from a profile and what it accepted on the text it was chosen on. */
import { mean } from "simple-statistics";
import type { DraftRequest } from "../../decode/drafters/drafter.js";
import { drafterOf, selfChoices } from "../../decode/drafters/self.js";
import type { DraftPolicy } from "../../decode/loop.js";
import type { Calibration } from "../../schema/calibration.js";
import { type ChoiceSet, choiceKey, expandDraft } from "../../schema/choice.js";
import { isStandalone } from "../../schema/draft-cache.js";
import type { Profile } from "../../schema/profile.js";
import {
  acceptanceRate,
  contextFor,
  draftUsOf,
  knownOf,
  type LatencyModel,
  middle,
  openLatency,
  openProblem,
  type PlannedDraft,
  type Problem,
  speedBy,
  tokensPerSecond,
} from "../../solve/index.js";

export interface PredictedSpeed {
  /** null where nothing is drafted */
  acceptance: number | null;
  /** null where nothing is drafted */
  draftUs: number | null;
  tokensPerSecond: number;
  speedup: number;
}

export class Predictor {
  readonly latency: LatencyModel;
  private readonly curves = new Map<string, readonly number[]>();

  private problem: Problem | undefined;

  constructor(
    private readonly profile: Profile,
    private readonly calibration: Calibration,
  ) {
    this.latency = openLatency(profile);
    for (const [i, record] of calibration.measured.entries()) {
      const { at_context, part, draft, curve } = record;
      if (part !== "choose" || isStandalone(record)) continue;
      const set = expandDraft(draft, calibration.model.layers, `calibration: measured[${i}].draft`);
      this.curves.set(`${at_context} ${choiceKey(set)}`, curve);
    }
  }

  /** The calibrated context that stands for n tokens, as in a plan. */
  contextFor(n: number): number {
    const contexts = this.calibration.contexts.map(({ at_context }) => at_context);
    return contexts.find((at, i) => i === contexts.length - 1 || n < middle(at, contexts[i + 1])) as number;
  }

  /**
   * Over several contexts of equal weight, each with the draft that the policy has there: tokens over time, and acceptance
   * and draft time of the middle one. Null where one of them has no prediction.
   * @param planned what the policy's plan says of a context, for drafters other than the model's own blocks
   * @param early   what its plan predicts there of drafts that end early
   */
  along(
    contexts: readonly number[],
    policy: DraftPolicy,
    planned: (n: number) => PlannedDraft | null = () => null,
    early: (n: number) => PredictedSpeed | null = () => null,
  ): PredictedSpeed | null {
    const all: PredictedSpeed[] = [];
    for (const n of contexts) {
      const request = policy(n);
      const one = request === null ? this.plain(n) : (early(n) ?? this.requested(n, request, planned));
      if (one === null) return null;
      all.push(one);
    }
    const speed = 1 / mean(all.map(({ tokensPerSecond }) => 1 / tokensPerSecond));
    const middle = all[all.length >> 1];
    return { ...middle, tokensPerSecond: speed, speedup: (speed * this.stepUs(contexts)) / 1e6 };
  }

  private requested(n: number, request: DraftRequest, planned: (n: number) => PlannedDraft | null) {
    const choices = selfChoices(drafterOf(request));
    if (choices !== null) return this.drafting(n, choices, request.draftTokens);
    const draft = planned(n);
    return draft === null ? null : this.guessing(n, draft);
  }

  /** By what another drafter guessed of the text of choosing. @returns null where that was not measured */
  private guessing(n: number, draft: PlannedDraft): PredictedSpeed | null {
    this.problem ??= openProblem({ profile: this.profile, calibration: this.calibration, choices: [] });
    const known = knownOf(contextFor(this.problem, n), "choose", draft);
    if (known === null) return null;
    const speed = speedBy(this.latency, n, draft.drafter, known);
    return {
      acceptance: known.acceptance ?? acceptanceRate(known.curve),
      draftUs: draftUsOf(this.latency, n, draft, known.match),
      tokensPerSecond: speed,
      speedup: (speed * this.latency.stepUs(n)) / 1e6,
    };
  }

  /** One plain step, in the mean. */
  stepUs(contexts: readonly number[]): number {
    return mean(contexts.map((n) => this.latency.stepUs(n)));
  }

  plain(n: number): PredictedSpeed {
    return { acceptance: null, draftUs: null, tokensPerSecond: 1e6 / this.latency.stepUs(n), speedup: 1 };
  }

  /** @returns null where this draft was not measured at so many positions */
  drafting(n: number, set: ChoiceSet, draftTokens: number): PredictedSpeed | null {
    const measured = this.curves.get(`${this.contextFor(n)} ${choiceKey(set)}`);
    if (measured === undefined || measured.length <= draftTokens) return null;
    const curve = measured.slice(0, draftTokens + 1);
    const draftUs = this.latency.draftUs(set, n);
    const verifyUs = this.latency.verifyUs(n, draftTokens);
    const roundUs = this.latency.roundUs + this.latency.refreshUs(set, n);
    const speed = tokensPerSecond({ acceptanceCurve: curve, draftUs, verifyUs, roundUs });
    return {
      acceptance: acceptanceRate(curve),
      draftUs,
      tokensPerSecond: speed,
      speedup: (speed * this.latency.stepUs(n)) / 1e6,
    };
  }
}
