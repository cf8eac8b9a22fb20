/**
 * A decoder written apart from `src/decode`, with one fault at a time. Without a fault it is right, so that what a
 * test sees is the fault and not the rewriting.
 */
import type { DraftRequest } from "../../src/decode/drafters/drafter.js";
import { drafterOf, selfChoices } from "../../src/decode/drafters/self.js";
import type { decode } from "../../src/decode/loop.js";
import { argmax, type Engine } from "../../src/runtime/engine.js";
import { type ChoiceSet, targetChoices } from "../../src/schema/choice.js";

export const FAULTS = [
  "accept-all",
  "wrong rollback",
  "rollback one token too far",
  "off-by-one position",
  "stale cache",
  "bonus from the draft",
  "first token from the draft",
  "prompt without its last token",
  "prompt one position late",
  "a token lost at each rejection",
  "a token repeated at each rejection",
  "cut short",
  "runs on",
  "one token changed",
] as const;
export type Fault = (typeof FAULTS)[number] | "none";

export const faultyDecode =
  (fault: Fault): typeof decode =>
  async (engine, prompt, options) => {
    const target = targetChoices(engine.spec.layers);
    const next = (position: number, input: number[], choices: ChoiceSet, rows = 1): number[] => {
      const { logits } = engine.run({ position, input, choices, logitRows: rows });
      return Array.from({ length: rows }, (_, row) => argmax(logits, row, engine.spec.vocabSize));
    };
    const ids = firstToken(
      next,
      fault,
      [...prompt],
      choicesOf(options.policy?.(prompt.length) ?? null) ?? target,
      target,
    );
    let context = prompt.length;
    const wanted =
      fault === "cut short" ? options.maxTokens - 3 : fault === "runs on" ? options.maxTokens + 2 : options.maxTokens;
    while (ids.length < wanted) {
      const pending = ids[ids.length - 1];
      const plan = options.policy?.(context) ?? null;
      const count = plan === null ? 0 : Math.min(plan.draftTokens, wanted - ids.length - 1);
      const drafted: number[] = [];
      for (let i = 0; i < count; i++)
        drafted.push(next(context + i, [drafted[i - 1] ?? pending], choicesOf(plan) ?? target)[0]);
      const emitted = check(next, fault, context, pending, drafted, target);
      ids.push(...emitted);
      if (fault === "stale cache") redraft(engine, context, [pending, ...emitted], choicesOf(plan) ?? target);
      const rejected = emitted.length <= drafted.length;
      context += fault === "wrong rollback" ? drafted.length + 1 : emitted.length;
      if (fault === "rollback one token too far" && rejected) context -= 1;
    }
    if (fault === "one token changed") ids[ids.length - 1] = (ids[ids.length - 1] + 1) % engine.spec.vocabSize;
    const round = {
      context: prompt.length,
      nodes: 1,
      drafted: 1,
      accepted: 1,
      emitted: ids.length - 1,
      draftUs: 1,
      verifyUs: 1,
      totalUs: 2,
    };
    return { ids, finish: "length", rounds: [round], promptUs: 1, decodeUs: 2 };
  };

const choicesOf = (request: DraftRequest | null): ChoiceSet | null =>
  request === null ? null : selfChoices(drafterOf(request));

type Next = (position: number, input: number[], choices: ChoiceSet, rows?: number) => number[];

function check(
  next: Next,
  fault: Fault,
  context: number,
  pending: number,
  drafted: number[],
  target: ChoiceSet,
): number[] {
  const at = fault === "off-by-one position" && drafted.length > 0 ? context + 1 : context;
  const own = next(at, [pending, ...drafted], target, drafted.length + 1);
  if (fault === "accept-all") return [...drafted, own[drafted.length]];
  const wrong = own.findIndex((token, i) => token !== drafted[i]);
  const emitted = own.slice(0, wrong + 1);
  const rejected = wrong < drafted.length;
  if (fault === "bonus from the draft" && rejected) emitted[wrong] = drafted[wrong];
  if (fault === "a token lost at each rejection" && rejected && emitted.length > 1) emitted.splice(-2, 1);
  if (fault === "a token repeated at each rejection" && rejected) emitted.push(emitted[wrong]);
  return emitted;
}

/** Fills the cache with the prompt. @returns the first token of the output */
function firstToken(next: Next, fault: Fault, prompt: number[], draft: ChoiceSet, target: ChoiceSet): number[] {
  switch (fault) {
    case "first token from the draft":
      next(0, prompt, target);
      return next(prompt.length - 1, prompt.slice(-1), draft);
    case "prompt without its last token":
      return next(0, prompt.slice(0, -1), target);
    case "prompt one position late":
      next(0, prompt.slice(0, 1), target);
      return next(1, prompt, target);
    default:
      return next(0, prompt, target);
  }
}

/** Leaves a draft's keys and values where the target's should be. */
function redraft(engine: Engine, position: number, input: number[], choices: ChoiceSet): void {
  engine.run({ position, input, choices, logitRows: 0 });
}
