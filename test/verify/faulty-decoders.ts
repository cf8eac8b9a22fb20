/**
 * A decoder written apart from `src/decode`, with one fault at a time. Without a fault it is right, so that what a
 * test sees is the fault and not the rewriting.
 */
import type { decode } from "../../src/decode/loop.js";
import { argmax, type Engine } from "../../src/runtime/engine.js";
import { type ChoiceSet, targetChoices } from "../../src/schema/choice.js";

export const FAULTS = [
  "accept-all",
  "wrong rollback",
  "off-by-one position",
  "stale cache",
  "bonus from the draft",
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
    const ids = next(0, [...prompt], target);
    let context = prompt.length;
    const wanted =
      fault === "cut short" ? options.maxTokens - 3 : fault === "runs on" ? options.maxTokens + 2 : options.maxTokens;
    while (ids.length < wanted) {
      const pending = ids[ids.length - 1];
      const plan = options.policy?.(context) ?? null;
      const count = plan === null ? 0 : Math.min(plan.draftTokens, wanted - ids.length - 1);
      const drafted: number[] = [];
      for (let i = 0; i < count; i++)
        drafted.push(next(context + i, [drafted[i - 1] ?? pending], plan?.choices ?? target)[0]);
      const emitted = check(next, fault, context, pending, drafted, target);
      ids.push(...emitted);
      if (fault === "stale cache") redraft(engine, context, [pending, ...emitted], plan?.choices ?? target);
      context += fault === "wrong rollback" ? drafted.length + 1 : emitted.length;
    }
    if (fault === "one token changed") ids[ids.length - 1] = (ids[ids.length - 1] + 1) % engine.spec.vocabSize;
    const round = {
      context: prompt.length,
      drafted: 1,
      accepted: 1,
      emitted: ids.length - 1,
      draftUs: 1,
      verifyUs: 1,
      totalUs: 2,
    };
    return { ids, rounds: [round], promptUs: 1, decodeUs: 2 };
  };

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
  if (fault === "bonus from the draft" && wrong < drafted.length) emitted[wrong] = drafted[wrong];
  return emitted;
}

/** Leaves a draft's keys and values where the target's should be. */
function redraft(engine: Engine, position: number, input: number[], choices: ChoiceSet): void {
  engine.run({ position, input, choices, logitRows: 0 });
}
