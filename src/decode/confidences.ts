/** How sure a draft is of its tokens as it drafts them, told round by round. */
import type { Chosen, Drafter, DraftRequest } from "./drafters/drafter.js";
import { drafterOf } from "./drafters/self.js";
import { confidenceOf, withChoices } from "./drafters/stopping.js";
import type { DraftPolicy, Round } from "./loop.js";

/**
 * A policy that always drafts so, and tells of every round that drafted.
 * @param tell confidences of the tokens it drafted, in their order
 */
export function tellingConfidences(
  draft: DraftRequest,
  tell: (confidences: readonly number[], round: Round) => void,
): DraftPolicy {
  const drafter = drafterOf(draft);
  let confidences: number[] = [];
  const watching: Drafter = {
    ...drafter,
    draft(state, draftTokens) {
      confidences = [];
      const noted = (one: Chosen, logits: Float32Array) => {
        confidences.push(confidenceOf(one, logits));
        return false;
      };
      return drafter.draft(withChoices(state, noted), draftTokens);
    },
  };
  const policy = () => ({ drafter: watching, draftTokens: draft.draftTokens });
  const observe = (round: Round) => {
    if (round.drafted > 0) tell(confidences, round);
  };
  return Object.assign(policy, { observe });
}
