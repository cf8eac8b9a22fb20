/**
 * Greedy decoding, plain and speculative, over one shared KV cache (Leviathan et al. 2023, arXiv:2211.17192, with a
 * draft made of the target's own weights, as in KnapSpec, arXiv:2602.20217).
 *
 * State: the cache holds the target's keys and values of the first `context` tokens; `pending` is the last token
 * emitted, not yet in the cache. A round drafts d tokens one at a time from `pending`, then runs the target once over
 * `pending` and all d. That pass overwrites what the draft wrote, so rolling back is only a smaller `context`.
 */

import { type Progress, silentProgress } from "../core/progress.js";
import type { Clock, Engine } from "../runtime/engine.js";
import { argmax } from "../runtime/engine.js";
import { MAX_PASS_TOKENS } from "../runtime/limits.js";
import { type ChoiceSet, targetChoices } from "../schema/choice.js";
import { requireRoom } from "./room.js";

/** What to draft. It decides about speed alone: whatever it says, the tokens are the verifier's. */
export interface DraftPolicy {
  /** at a context; null: take a plain step. The time it takes is part of the round */
  (contextTokens: number): { choices: ChoiceSet; draftTokens: number } | null;
  /** told of every round once it is over, outside its time */
  observe?(round: Round): void;
}

/**
 * One pass over the loop: a plain step has drafted = 0. What lies behind the end of the output (an end token, the limit
 * of tokens) was not put to the test by anybody who reads the output, so it counts neither as drafted nor as accepted:
 * such a round is one of a shorter draft.
 */
export interface Round {
  /** tokens in the cache when it began */
  context: number;
  /** tokens the verification ran besides the pending one, those behind the output's end too: what the time went to */
  nodes: number;
  /** positions drafted, none of them behind the output's end */
  drafted: number;
  /** of these, those that the target agreed with */
  accepted: number;
  /** tokens it emitted, end token included */
  emitted: number;
  draftUs: number;
  verifyUs: number;
  /** everything from its beginning to its end */
  totalUs: number;
}

export interface DecodeOptions {
  maxTokens: number;
  /** tokens that end the output; they are part of it */
  endTokens: readonly number[];
  /** null: plain decoding */
  policy: DraftPolicy | null;
  /** what one plain step, and the verification, run: the target unless another model is being tried by itself */
  verifier?: ChoiceSet;
  /** [vocabSize] logits after the prompt, whose keys and values the cache already holds: prefill is left out */
  prefilled?: Float32Array;
  clock: Clock;
  onTokens?: (ids: readonly number[]) => void;
  progress?: Progress;
}

export interface Decoded {
  ids: number[];
  rounds: Round[];
  promptUs: number;
  /** sum of the rounds: the prompt's pass is not in it */
  decodeUs: number;
}

/**
 * Fills the cache with a prompt, in passes of at most MAX_PASS_TOKENS.
 * @returns logits [vocabSize] after its last token (a copy)
 */
export async function prefill(
  engine: Engine,
  prompt: readonly number[],
  choices: ChoiceSet,
  progress: Progress = silentProgress,
): Promise<Float32Array> {
  for (let from = 0; ; from += MAX_PASS_TOKENS) {
    const input = prompt.slice(from, from + MAX_PASS_TOKENS);
    const last = from + MAX_PASS_TOKENS >= prompt.length;
    const { logits } = engine.run({ position: from, input, choices, logitRows: last ? 1 : 0 });
    if (last) return logits.slice();
    await progress.tick();
  }
}

/** One plain step: the token after `pending`. */
export function plainStep(engine: Engine, context: number, pending: number, choices: ChoiceSet): number {
  const { logits } = engine.run({ position: context, input: [pending], choices, logitRows: 1 });
  return argmax(logits, 0, engine.spec.vocabSize);
}

/** Drafts d tokens after `pending`, each a pass of its own over the shared cache. */
export function draftTokens(
  engine: Engine,
  context: number,
  pending: number,
  choices: ChoiceSet,
  count: number,
): number[] {
  const drafted: number[] = [];
  let token = pending;
  for (let i = 0; i < count; i++) {
    token = plainStep(engine, context + i, token, choices);
    drafted.push(token);
  }
  return drafted;
}

/**
 * Runs the target over `pending` and the drafted tokens.
 * @returns the drafted tokens it agrees with and its own next token: accepted + 1 tokens
 */
export function verifyDraft(
  engine: Engine,
  context: number,
  pending: number,
  drafted: readonly number[],
  verifier: ChoiceSet,
): number[] {
  const rows = drafted.length + 1;
  const { logits } = engine.run({
    position: context,
    input: [pending, ...drafted],
    choices: verifier,
    logitRows: rows,
  });
  const emitted: number[] = [];
  for (let row = 0; row < rows; row++) {
    const token = argmax(logits, row, engine.spec.vocabSize);
    emitted.push(token);
    if (token !== drafted[row]) break;
  }
  return emitted;
}

/** Decodes until an end token or maxTokens. @throws CONTEXT_LIMIT before anything runs where the cache is too small */
export async function decode(engine: Engine, prompt: readonly number[], options: DecodeOptions): Promise<Decoded> {
  const { clock, endTokens, maxTokens, policy, progress = silentProgress } = options;
  const verifier = options.verifier ?? targetChoices(engine.spec.layers);
  requireRoom(engine, prompt.length, maxTokens);
  const start = clock.nowUs();
  const logits = options.prefilled ?? (await prefill(engine, prompt, verifier, progress));
  const promptUs = clock.nowUs() - start;
  const ids: number[] = [];
  const rounds: Round[] = [];
  const end = new Set(endTokens);
  let done = maxTokens === 0;
  const emit = (tokens: number[]) => {
    const room = maxTokens - ids.length;
    const stop = tokens.slice(0, room).findIndex((id) => end.has(id));
    const kept = tokens.slice(0, stop === -1 ? room : stop + 1);
    ids.push(...kept);
    options.onTokens?.(kept);
    done = stop !== -1 || ids.length >= maxTokens;
    return kept.length;
  };
  if (!done) emit([argmax(logits, 0, engine.spec.vocabSize)]);
  while (!done) {
    await progress.tick();
    const context = prompt.length + ids.length - 1;
    const from = clock.nowUs();
    const pending = ids[ids.length - 1];
    const plan = policy?.(context) ?? null;
    // the last token needs no draft: d + 1 tokens must still fit
    const count = plan === null ? 0 : Math.min(plan.draftTokens, maxTokens - ids.length - 1);
    const drafted = plan === null ? [] : draftTokens(engine, context, pending, plan.choices, count);
    const between = clock.nowUs();
    const tokens = verifyDraft(engine, context, pending, drafted, verifier);
    const verified = clock.nowUs();
    const emitted = emit(tokens);
    const nodes = drafted.length;
    const upTo = done ? emitted : nodes;
    const counts = {
      context,
      nodes,
      drafted: Math.min(nodes, upTo),
      accepted: Math.min(tokens.length - 1, emitted),
      emitted,
    };
    const times = { draftUs: between - from, verifyUs: verified - between, totalUs: clock.nowUs() - from };
    const round: Round = { ...counts, ...times };
    rounds.push(round);
    policy?.observe?.(round);
  }
  return { ids, rounds, promptUs, decodeUs: rounds.reduce((sum, round) => sum + round.totalUs, 0) };
}
