/**
 * The adaptation as a policy of the decoding loop. All of its work is done when the loop asks what to draft, so it is
 * part of the round's measured time, and it is done only as often as its own cost allows.
 */
import type { Clock } from "../../runtime/engine.js";
import { MAX_DRAFT_TOKENS } from "../../schema/drafter.js";
import type { DraftPolicy, Round } from "../loop.js";
import type { Adaptation } from "./adaptation.js";
import { type Arm, requestOf, sameArm } from "./arms.js";
import { type Looked, LookupWatch } from "./lookup-watch.js";

/** Weighing the arms again may cost this share of the time spent decoding. */
const REPLAN_SHARE = 0.004;

/** One arm and what was run with it. */
export interface ArmUse {
  arm: Arm | null;
  /** whether the plan itself would have run it there */
  planned: boolean;
  rounds: number;
  tokens: number;
}

export interface AdaptiveSummary {
  /** times that another arm was taken, other than because the plan itself changes there */
  switches: number;
  /** time spent on learning and weighing; it is part of the rounds' time */
  replanUs: number;
  /** how often the arms were weighed */
  replans: number;
  difficulty: number;
  arms: ArmUse[];
}

export interface AdaptivePolicy {
  policy: DraftPolicy;
  summary(): AdaptiveSummary;
}

/** @param planned what is done at contexts that the adaptation does not cover */
export function adaptivePolicy(adaptation: Adaptation, clock: Clock, planned: DraftPolicy): AdaptivePolicy {
  let waiting: { round: Round; arm: Arm | null; looked: Looked | null }[] = [];
  let [running, ranUs]: [Arm | null, number] = [null, 0];
  let [switches, replanUs, replans, sinceUs, costUs]: number[] = [0, 0, 0, 0, 0];
  const arms: ArmUse[] = [];
  const own = new Set(adaptation.drafters);
  const keys = new Set([...own].map(({ key }) => key));
  // what an arm holds need not be held twice; past the last range, where the plan itself decides, it has no segment either
  const others = (planned.drafters ?? []).filter(({ key, states }) => !keys.has(key) && states === undefined);
  const { longestNgram } = adaptation;
  const watch = longestNgram === 0 ? null : new LookupWatch(longestNgram, MAX_DRAFT_TOKENS);

  // Rounds wait until the arms are weighed: a first call after a pass takes ten times as long as the next.
  const learn = () => {
    for (const { round, arm, looked } of waiting) adaptation.observe(round, arm, looked);
    waiting = [];
  };

  const choose = (contextTokens: number): Arm | null => {
    const before = adaptation.armAt(contextTokens);
    if (sinceUs === 0 || costUs > REPLAN_SHARE * sinceUs) return before;
    const started = clock.nowUs();
    learn();
    const after = adaptation.decide(contextTokens);
    const tookUs = clock.nowUs() - started;
    // an interruption is not what the next one will take
    costUs = replans === 0 ? tookUs : Math.min(tookUs, 2 * costUs);
    [sinceUs, replans] = [0, replans + 1];
    if (!sameArm(before, after)) switches++;
    return after;
  };

  const count = ({ context, emitted }: Round, arm: Arm | null) => {
    const planned = sameArm(arm, adaptation.plannedAt(context));
    let use = arms.find((known) => sameArm(known.arm, arm) && known.planned === planned);
    if (use === undefined) {
      use = { arm, planned, rounds: 0, tokens: 0 };
      arms.push(use);
    }
    use.rounds++;
    use.tokens += emitted;
  };

  const policy: DraftPolicy = Object.assign(
    (contextTokens: number) => {
      if (!adaptation.covers(contextTokens)) {
        running = null;
        return planned(contextTokens);
      }
      const started = clock.nowUs();
      running = choose(contextTokens);
      ranUs = clock.nowUs() - started;
      replanUs += ranUs;
      return running === null ? null : requestOf(running);
    },
    {
      drafters: [...own, ...others, ...(watch === null ? [] : [watch])],
      observe: (round: Round) => {
        if (!adaptation.covers(round.context)) return;
        const arm = running;
        // what this policy itself took stands in the round, and says nothing about the passes
        const [draftUs, totalUs] = [round.draftUs - ranUs, round.totalUs - ranUs];
        waiting.push({ round: { ...round, draftUs, totalUs }, arm, looked: watch?.last ?? null });
        sinceUs += round.totalUs;
        count(round, arm);
      },
    },
  );
  const summary = () => {
    learn();
    return { switches, replanUs, replans, difficulty: adaptation.difficulty, arms };
  };
  return { policy, summary };
}
