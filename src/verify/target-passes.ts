/**
 * Autoregressive passes of one token each, the measure of every output. Nothing here comes from `src/decode`: a fault
 * of the decoder, in its prompt pass as well, must not be shared by what it is judged against.
 */
import { DraftplanError } from "../core/errors.js";
import type { Progress } from "../core/progress.js";
import type { Engine } from "../runtime/engine.js";
import { argmax } from "../runtime/engine.js";
import { MAX_PASS_TOKENS } from "../runtime/limits.js";
import type { ChoiceSet } from "../schema/choice.js";
import { penalised } from "./distribution/exact.js";

/** What ends an output. */
export interface OutputLimits {
  maxTokens: number;
  /** tokens that end the output; they are part of it */
  endTokens: readonly number[];
  /** of repetitions, in greedy decoding; left out: none */
  penalty?: number | undefined;
}

/** Given the logits [vocabSize] after the prompt and `index` tokens: the token that follows, or null to stop. */
type NextToken = (logits: Float32Array, index: number) => number | null;

/** Writes the prompt over whatever the cache holds, from its first cell on, then goes on token by token. */
async function runPasses(
  engine: Engine,
  prompt: readonly number[],
  choices: ChoiceSet,
  next: NextToken,
  progress: Progress,
): Promise<void> {
  let logits = await promptPasses(engine, prompt, choices, progress);
  for (let index = 0; ; index++) {
    const token = next(logits, index);
    if (token === null) return;
    await progress.tick();
    logits = engine.run({ position: prompt.length + index, input: [token], choices, logitRows: 1 }).logits;
  }
}

/** Writes a prompt over whatever the cache holds. @returns a view of the logits [vocabSize] behind it */
export async function promptPasses(
  engine: Engine,
  prompt: readonly number[],
  choices: ChoiceSet,
  progress: Progress,
): Promise<Float32Array> {
  let logits: Float32Array = new Float32Array();
  for (let position = 0; position < prompt.length; position += MAX_PASS_TOKENS) {
    await progress.tick();
    const input = prompt.slice(position, position + MAX_PASS_TOKENS);
    logits = engine.run({ position, input, choices, logitRows: 1 }).logits;
  }
  return logits;
}

/** The model's own greedy output. */
export async function greedyOutput(
  engine: Engine,
  prompt: readonly number[],
  choices: ChoiceSet,
  limits: OutputLimits,
  progress: Progress,
): Promise<number[]> {
  const ids: number[] = [];
  const next: NextToken = (logits, index) => {
    const text = limits.penalty === undefined ? [] : [...prompt, ...ids];
    const token = argmax(penalised(logits, text, limits.penalty), 0, engine.spec.vocabSize);
    if (!Number.isFinite(logits[token])) throw notNumbers(index);
    ids.push(token);
    return limits.endTokens.includes(token) || ids.length >= limits.maxTokens ? null : token;
  };
  await runPasses(engine, prompt, choices, next, progress);
  return ids;
}

/** Shows the logits that each token of a given output is to be chosen from; `visit` returns false to stop early. */
export async function teacherForced(
  engine: Engine,
  prompt: readonly number[],
  choices: ChoiceSet,
  ids: readonly number[],
  visit: (logits: Float32Array, index: number) => boolean,
  progress: Progress,
): Promise<void> {
  if (ids.length === 0) return;
  const next: NextToken = (logits, index) => (visit(logits, index) && index + 1 < ids.length ? ids[index] : null);
  await runPasses(engine, prompt, choices, next, progress);
}

export const notNumbers = (index: number) =>
  new DraftplanError({
    code: "RUNTIME_FAILED",
    at: `verification: token ${index}`,
    what: "the model's logits are not finite numbers",
    remedy: "Check the model's weights: draftplan inspect MODEL",
  });
