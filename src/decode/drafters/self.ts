/**
 * The model drafts for itself (KnapSpec, arXiv:2602.20217): the target's own blocks, some quantised or left out, over the
 * target's own cache. What the draft writes there lies behind `context`, where the verification writes over it.
 */
import { argmax, type Engine } from "../../runtime/engine.js";
import { type ChoiceSet, choiceKey } from "../../schema/choice.js";
import { chain, type Drafter, type DraftRequest } from "./drafter.js";

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
    draft: ({ engine, context, pending }, draftTokens) =>
      chain(draftChain(engine, context, pending, choices, draftTokens)),
    costUs: (prices, contextTokens, draftTokens) => draftTokens * prices.draftUs(choices, contextTokens),
  };
  opened.set(choices, drafter);
  return drafter;
}

export const drafterOf = (request: DraftRequest): Drafter =>
  "drafter" in request ? request.drafter : selfDrafter(request.choices);

/** What a drafter does with the model's blocks; null where it is not the model that drafts. */
export const selfChoices = (drafter: Drafter): ChoiceSet | null =>
  "choices" in drafter ? (drafter as SelfDrafter).choices : null;

/** Drafts tokens after `pending`, each a pass of its own over the shared cache. */
export function draftChain(
  engine: Engine,
  context: number,
  pending: number,
  choices: ChoiceSet,
  draftTokens: number,
): number[] {
  const drafted: number[] = [];
  let token = pending;
  for (let i = 0; i < draftTokens; i++) {
    const { logits } = engine.run({ position: context + i, input: [token], choices, logitRows: 1 });
    token = argmax(logits, 0, engine.spec.vocabSize);
    drafted.push(token);
  }
  return drafted;
}
