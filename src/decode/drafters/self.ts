/**
 * The model drafts for itself (KnapSpec, arXiv:2602.20217): the target's own blocks, some quantised or left out, over the
 * target's own cache. What the draft writes there lies behind `context`, where the verification writes over it. Where an
 * attention has a span it writes into that span's small cache instead (runtime/cache/span-caches.ts).
 */
import { argmax, type Engine } from "../../runtime/engine.js";
import { type ChoiceSet, choiceKey } from "../../schema/choice.js";
import { likeliestTokens } from "../../stats/likeliest.js";
import {
  type Chosen,
  chosenChain,
  type Drafter,
  type DraftRequest,
  type DraftState,
  type Proposal,
  withSiblings,
} from "./drafter.js";

export interface SelfDrafter extends Drafter {
  readonly choices: ChoiceSet;
}

const opened = new WeakMap<ChoiceSet, SelfDrafter>();

/** @returns the same drafter for the same object of choices */
export function selfDrafter(choices: ChoiceSet): SelfDrafter {
  const known = opened.get(choices);
  if (known !== undefined) return known;
  const drafter: SelfDrafter = {
    key: choiceKey(choices),
    choices,
    draft: (state, draftTokens) =>
      draftChain(state.engine, state.context, state.pending, choices, draftTokens, (logits, drafted) =>
        state.choose(logits, drafted),
      ),
    costUs: (prices, contextTokens, draftTokens) => draftTokens * prices.draftUs(choices, contextTokens),
  };
  opened.set(choices, drafter);
  return drafter;
}

/**
 * The same, with as many of the last step's next likeliest tokens beside its own: they cost no draft step, and a row of the
 * verification each. It is no self drafter any more (`selfChoices` gives null): a round that is left to the device hands no
 * logits over.
 */
export function siblingDrafter(choices: ChoiceSet, siblings: number): Drafter {
  return {
    key: `${choiceKey(choices)} and ${siblings} beside the last`,
    draft(state, draftTokens) {
      const { engine, context, pending, mostNodes } = state;
      let likeliest: number[] = [];
      const chain = draftChain(engine, context, pending, choices, draftTokens, (logits, drafted) => {
        const one = state.choose(logits, drafted);
        const isLast = drafted.length + 1 === draftTokens || one.last === true;
        // the token itself may be any of them: it was drawn, or a penalty was on the likeliest
        if (isLast) likeliest = likeliestTokens(logits, 0, engine.spec.vocabSize, siblings + 1);
        return one;
      });
      return withSiblings(chain, likeliest, Math.min(siblings, mostNodes - chain.tokens.length));
    },
    costUs: (prices, contextTokens, draftTokens) => draftTokens * prices.draftUs(choices, contextTokens),
  };
}

export const drafterOf = (request: DraftRequest): Drafter =>
  "drafter" in request ? request.drafter : selfDrafter(request.choices);

/** What a drafter does with the model's blocks; null where it is not the model that drafts. */
export const selfChoices = (drafter: Drafter): ChoiceSet | null =>
  "choices" in drafter ? (drafter as SelfDrafter).choices : null;

/** Drafts tokens after `pending`, each a pass of its own over the shared cache. @param choose as `DraftState.choose` */
export function draftChain(
  engine: Engine,
  context: number,
  pending: number,
  choices: ChoiceSet,
  draftTokens: number,
  choose: DraftState["choose"] = likeliest,
): Proposal {
  const drafted: number[] = [];
  const chosen: Chosen[] = [];
  for (let i = 0; i < draftTokens; i++) {
    const input = [drafted[i - 1] ?? pending];
    const { logits } = engine.run({ position: context + i, input, choices, logitRows: 1, round: context });
    chosen.push(choose(logits, drafted));
    drafted.push(chosen[i].token);
    if (chosen[i].last === true) break;
  }
  return chosenChain(chosen);
}

const likeliest: DraftState["choose"] = (logits) => ({
  token: argmax(logits, 0, logits.length),
  distribution: null,
});
