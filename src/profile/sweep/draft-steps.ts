/**
 * What a draft step of another model takes, as decoding has it: behind a verification of the target, whose weights have
 * pushed the model's own out of whatever cache holds them, and several steps one behind the other.
 */
import { median } from "simple-statistics";
import { argmax, type Clock, type Engine } from "../../runtime/engine.js";
import { type Kernel, targetChoices, uniformChoices } from "../../schema/choice.js";
import { sameTokens, type Tokens } from "./tokens.js";

export interface TimedStep {
  contextTokens: number;
  /** median over the rounds of a round's mean step */
  us: number;
  /** timed steps behind it */
  passes: number;
}

const ROUNDS = 9;
/** of these the first round warms up */
const WARM_UP_ROUNDS = 1;
const STEPS = 4;

/**
 * @param contexts rising; those that the model's own cache does not hold are left out
 * @param tokens   of a round; left out: any, where neither model is a mixture of experts
 */
export async function timeDraftSteps(
  target: Engine,
  draft: Engine,
  kernel: Kernel,
  contexts: readonly number[],
  clock: Clock,
  tick: () => Promise<void>,
  tokens: Tokens = sameTokens(new Array<number>(STEPS + 1).fill(0)),
): Promise<TimedStep[]> {
  const choices = uniformChoices(draft.spec.layers, kernel);
  const verifying = targetChoices(target.spec.layers);
  const timed: TimedStep[] = [];
  for (const context of contexts.filter((n) => n + STEPS <= draft.capacity)) {
    const rounds: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await tick();
      const input = tokens.next(STEPS + 1);
      target.run({ position: context, input, choices: verifying, logitRows: input.length });
      const from = clock.nowUs();
      for (let step = 0; step < STEPS; step++) {
        const { logits } = draft.run({ position: context + step, input: [input[step]], choices, logitRows: 1 });
        argmax(logits, 0, draft.spec.vocabSize);
      }
      if (round >= WARM_UP_ROUNDS) rounds.push((clock.nowUs() - from) / STEPS);
    }
    timed.push({ contextTokens: context, us: median(rounds), passes: rounds.length * STEPS });
  }
  return timed;
}
