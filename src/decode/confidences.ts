/** How sure a draft is of its tokens as it drafts them, and where the target's own stands among its likeliest, told round by round. */
import { MAX_SIBLINGS } from "../schema/drafter.js";
import { likeliestTokens } from "../stats/likeliest.js";
import type { Chosen, Drafter, DraftRequest } from "./drafters/drafter.js";
import { drafterOf } from "./drafters/self.js";
import { confidenceOf, withChoices } from "./drafters/stopping.js";
import type { DraftPolicy, Round } from "./loop.js";

/**
 * A policy that always drafts so, and tells of every round that drafted.
 * @param tell confidences of the tokens it drafted, in their order, and the rank that the token which the target put behind the
 *   accepted ones has among the draft's likeliest there; null: the draft said nothing of it, or it is not among the likeliest
 */
export function tellingConfidences(
  draft: DraftRequest,
  tell: (confidences: readonly number[], round: Round, rank: number | null) => void,
): DraftPolicy {
  const drafter = drafterOf(draft);
  let confidences: number[] = [];
  /** [drafted] the likeliest tokens of each step */
  let likeliest: number[][] = [];
  let emitted: readonly number[] = [];
  const watching: Drafter = {
    ...drafter,
    extend(tokens) {
      emitted = tokens;
      drafter.extend?.(tokens);
    },
    draft(state, draftTokens) {
      [confidences, likeliest] = [[], []];
      const { vocabSize } = state.engine.spec;
      const noted = (one: Chosen, logits: Float32Array) => {
        confidences.push(confidenceOf(one, logits));
        likeliest.push(likeliestTokens(logits, 0, Math.min(logits.length, vocabSize), MAX_SIBLINGS + 1));
        return false;
      };
      return drafter.draft(withChoices(state, noted), draftTokens);
    },
  };
  const policy = () => ({ drafter: watching, draftTokens: draft.draftTokens });
  const observe = (round: Round) => {
    if (round.drafted === 0) return;
    const rank = likeliest[round.accepted]?.indexOf(emitted[round.accepted] ?? -1) ?? -1;
    tell(confidences, round, rank === -1 ? null : rank);
  };
  return Object.assign(policy, { observe });
}
