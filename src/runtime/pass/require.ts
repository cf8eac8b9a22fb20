/** What every engine asks of a pass before it runs it. */
import { DraftplanError } from "../../core/errors.js";
import type { ModelSpec } from "../../model/spec.js";
import type { Engine, Pass } from "../engine.js";
import { MAX_LOGIT_ROWS, MAX_PASS_TOKENS } from "../limits.js";

/** q, the tokens that a pass is over. */
export const passTokens = (input: Pass["input"], { hiddenSize }: ModelSpec): number =>
  "hidden" in input ? input.hidden.length / hiddenSize : input.length;

/**
 * @returns q, its tokens
 * @throws RangeError for a pass that no engine takes; CONTEXT_LIMIT beyond the capacity
 */
export function requirePass({ spec, capacity }: Pick<Engine, "spec" | "capacity">, pass: Pass): number {
  const { position, logitRows, choices, input, parents } = pass;
  const q = passTokens(input, spec);
  const within = (n: number, least: number, most: number) => Number.isInteger(n) && n >= least && n <= most;
  if (
    !within(q, 1, MAX_PASS_TOKENS) ||
    !within(logitRows, 0, Math.min(q, MAX_LOGIT_ROWS)) ||
    !within(position, 0, Infinity)
  ) {
    throw new RangeError(`a pass of ${q} tokens at ${position} with ${logitRows} rows of logits is out of range`);
  }
  if (choices.blocks.length !== 2 * spec.layers)
    throw new RangeError(`${choices.blocks.length} choices for a model of ${2 * spec.layers} blocks`);
  if (parents !== undefined && parents.length !== q) throw new RangeError(`${parents.length} parents of ${q} rows`);
  if (position + q > capacity) throw beyondCapacity(spec, capacity, position + q);
  return q;
}

const beyondCapacity = (spec: ModelSpec, capacity: number, tokens: number): DraftplanError =>
  new DraftplanError({
    code: "CONTEXT_LIMIT",
    at: `context of ${tokens} tokens`,
    what: `the KV cache holds ${capacity}; the model's limit is ${spec.contextLimit}`,
    remedy: "Use a shorter prompt or fewer tokens.",
  });

/**
 * Writes token ids where a graph reads them.
 * @throws RangeError for one that is not in the vocabulary: the embedding would take −1 for its last row
 */
export function putIds(into: BigInt64Array, ids: ArrayLike<number>, { vocabSize }: ModelSpec): void {
  for (let i = 0; i < ids.length; i++) {
    if (!(ids[i] >= 0 && ids[i] < vocabSize))
      throw new RangeError(`token ${ids[i]} is not in a vocabulary of ${vocabSize}`);
    into[i] = BigInt(ids[i]);
  }
}
