/**
 * A drafter whose drafts end where going on is not expected to pay: how sure it was of its tokens, read as chances of
 * acceptance off a calibrated table, gives the chance that all of them stand, and a plan says from which chance on one more
 * token is worth its time (docs/method.md#stopping-early).
 *
 * The output stays what it was. Greedily the target judges whatever is proposed. Where tokens are drawn, confidence is that of
 * the distribution a token is drawn from, which depends on the tokens drafted before it and not on itself, and a token that
 * was drawn is always proposed: so whether there is a proposal at a place does not depend on what would be proposed there.
 * A rule that withdrew an unlikely draw would bend the distribution.
 */
import { acceptanceAt } from "../../schema/stop/confidence.js";
import type { Stop } from "../../schema/stop/stop.js";
import { confidenceOfLogits, confidenceOfWeights } from "../../stats/confidence.js";
import type { Chosen, Drafter, DraftState } from "./drafter.js";

/** What decides where a draft ends. */
export type StopTable = Pick<Stop, "confidence" | "go_on_from">;

/** How sure the drafter was where it chose a token: of the weights that it drew it by, else of its logits (stats/confidence.ts). */
export const confidenceOf = ({ distribution }: Chosen, logits: Float32Array): number =>
  distribution === null ? confidenceOfLogits(logits, 0, logits.length) : confidenceOfWeights(distribution);

/** The same state, in which every choice is told to `chosen`, and may be said to be the draft's last. */
export function withChoices(
  state: DraftState,
  chosen: (one: Chosen, logits: Float32Array, drafted: readonly number[]) => boolean,
): DraftState {
  return {
    engine: state.engine,
    text: state.text,
    context: state.context,
    pending: state.pending,
    get hidden() {
      return state.hidden;
    },
    mostNodes: state.mostNodes,
    choose(logits, drafted) {
      const one = state.choose(logits, drafted);
      return chosen(one, logits, drafted) ? { ...one, last: true } : one;
    },
  };
}

/**
 * The drafter with drafts that end early. It is no self drafter any more (`selfChoices` gives null), so its rounds run pass by
 * pass: a round that is left to the device hands no probability over.
 * @param drafter one that chooses its tokens by `DraftState.choose`; others never stop
 */
export function stoppingDrafter(drafter: Drafter, { confidence, go_on_from }: StopTable): Drafter {
  const { begin, extend, states, close } = drafter;
  const table = confidence.map(({ below, acceptance }) => `${below}:${acceptance}`).join(" ");
  return {
    key: `${drafter.key} while ${go_on_from.join(" ")} by ${table}`,
    ...(begin === undefined ? {} : { begin: begin.bind(drafter) }),
    ...(extend === undefined ? {} : { extend: extend.bind(drafter) }),
    ...(states === undefined ? {} : { states: states.bind(drafter) }),
    ...(close === undefined ? {} : { close: close.bind(drafter) }),
    draft(state, draftTokens) {
      let standing = 1;
      const ends = (one: Chosen, logits: Float32Array, drafted: readonly number[]) => {
        const least = go_on_from[drafted.length];
        // behind the last token there is nothing to decide, so nothing to read either
        if (least === undefined || drafted.length + 1 >= draftTokens) return true;
        standing *= acceptanceAt(confidence, confidenceOf(one, logits)).acceptance;
        return standing < least;
      };
      return drafter.draft(withChoices(state, ends), draftTokens);
    },
    costUs: (prices, contextTokens, draftTokens) => drafter.costUs(prices, contextTokens, draftTokens),
  };
}
