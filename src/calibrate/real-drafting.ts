/** The acceptance of a draft by real drafting, to report the one that was chosen. */

import type { Progress } from "../core/progress.js";
import { tellingConfidences } from "../decode/confidences.js";
import { type DraftPolicy, decode } from "../decode/loop.js";
import type { Clock, Engine } from "../runtime/engine.js";
import { acceptedLengthError } from "../stats/length-error.js";
import { ConfidenceCounts, tableOf } from "./confidence.js";
import { SiblingCounts } from "./siblings.js";
import { lengthErrors, type MeasuredCurve, steadiedCurve, type Trial } from "./whole-drafts.js";

/** What real drafting of one draft showed, prompt after prompt. */
class DraftedRounds {
  /** [prompts] speculative rounds */
  private readonly byPrompt: Trial[][] = [];
  private readonly kinds: (number | undefined)[] = [];
  private positions = 0;
  private readonly confidence = new ConfidenceCounts();
  private readonly siblings: SiblingCounts;

  constructor(private readonly draftTokens: number) {
    this.siblings = new SiblingCounts(draftTokens);
  }

  /**
   * @param emitted tokens that the prompt's decoding emitted in all
   * @param kind    of text that the prompt is of
   */
  add(rounds: readonly Trial[], emitted: number, kind: number | undefined): void {
    this.kinds.push(kind);
    this.byPrompt.push(rounds.filter(({ drafted }) => drafted > 0));
    this.positions += emitted;
  }

  /** @param confidences of the tokens that it drafted. @param rank of the target's token behind the accepted ones */
  addTold(confidences: readonly number[], { drafted, accepted }: Trial, rank: number | null): void {
    this.confidence.addRound(confidences, drafted, accepted);
    this.siblings.add(drafted, accepted, rank);
  }

  get tokens(): number {
    return this.positions;
  }

  curve(): MeasuredCurve {
    const d = this.draftTokens;
    const rounds = this.byPrompt.flat();
    const reached = Array.from(
      { length: d },
      (_, i) => rounds.filter(({ drafted, accepted }) => drafted > i && accepted >= i).length,
    );
    const tokens = Math.max(1, this.positions);
    const shares = this.siblings.shares();
    const siblings = shares === null ? {} : { siblings: shares };
    const errors = lengthErrors(d, tokens, (k) => this.error(k));
    return { tokens, curve: steadiedCurve(rounds, d), reached, ...errors, ...siblings, ...tableOf(this.confidence) };
  }

  /**
   * Standard error of the tokens of a round of k, as a share of them; null under two prompts. Of rounds of full length: those
   * cut to k tokens begin where rounds of k need not, which for their spread is no matter.
   */
  error(k = this.draftTokens): number | null {
    return acceptedLengthError(
      this.byPrompt.map((all, i) => {
        const rounds = all.filter(({ drafted }) => drafted === this.draftTokens);
        const tokens = rounds.reduce((sum, { accepted }) => sum + Math.min(k, accepted) + 1, 0);
        return { rounds: rounds.length, tokens, kind: this.kinds[i] };
      }),
    );
  }
}

/**
 * One draft by real drafting, over whichever cache it has, d tokens a round, after prompts it was not chosen on.
 * @param isEnough asked after each prompt; default: all prompts are gone through
 * @param kinds    [prompts] of what kind of text each is
 */
export async function measureByDrafting(
  engine: Engine,
  clock: Clock,
  prompts: readonly (readonly number[])[],
  draft: NonNullable<ReturnType<DraftPolicy>>,
  tokens: number,
  progress: Progress,
  isEnough: (found: DraftedRounds) => boolean = () => false,
  kinds?: readonly number[],
): Promise<MeasuredCurve> {
  const found = new DraftedRounds(draft.draftTokens);
  // an engine whose rounds stay on the device hands no probabilities over: there is nothing to tell
  const policy: DraftPolicy =
    engine.greedyRound === undefined
      ? tellingConfidences(draft, (confidences, round, rank) => found.addTold(confidences, round, rank))
      : () => draft;
  for (const [index, prompt] of prompts.entries()) {
    const options = { maxTokens: tokens, endTokens: engine.spec.eosTokenIds, policy, clock, progress };
    const { rounds, ids } = await decode(engine, prompt, options);
    found.add(rounds, ids.length, kinds?.[index]);
    await progress.tick({ stage: "report", done: index + 1, total: prompts.length });
    if (isEnough(found)) break;
  }
  return found.curve();
}
