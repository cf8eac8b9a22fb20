/**
 * Decoding, plain and speculative, over the target's KV cache (Leviathan et al. 2023, arXiv:2211.17192).
 *
 * State: the cache holds the target's keys and values of the first `context` tokens; `pending` is the last token
 * emitted, not yet in the cache. In a round a drafter (drafters/) proposes tokens behind `pending`, the target runs once
 * over `pending` and all of them, and what stands is decided from its logits (accept/). That pass overwrites what a draft
 * wrote into the cache, so rolling back is only a smaller `context`. A plain step is a round in which nothing is proposed.
 */

import { type Progress, silentProgress } from "../core/progress.js";
import type { Clock, Engine } from "../runtime/engine.js";
import { MAX_PASS_TOKENS } from "../runtime/limits.js";
import { type ChoiceSet, targetChoices } from "../schema/choice.js";
import type { Accept } from "./accept/accept.js";
import { greedy } from "./accept/greedy.js";
import { type Drafter, type DraftRequest, type DraftState, NOTHING, type Proposal } from "./drafters/drafter.js";
import { noDrafter } from "./drafters/none.js";
import { drafterOf } from "./drafters/self.js";
import { Output, type OutputLimits } from "./output.js";
import { requireRoom } from "./room.js";

/** Who drafts, and how much. It decides about speed alone: whatever it says, the tokens are the target's. */
export interface DraftPolicy {
  /** at a context; null: take a plain step. The time it takes is part of the round */
  (contextTokens: number): DraftRequest | null;
  /** drafters that are to be ready before the first round; others begin in the round that first asks for them */
  readonly drafters?: readonly Drafter[];
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

export interface DecodeOptions extends OutputLimits {
  /** null: plain decoding */
  policy: DraftPolicy | null;
  /** which drafted tokens stand; default: greedily */
  accept?: Accept;
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
  /** the prompt's passes, and the beginning of the policy's drafters */
  promptUs: number;
  /** sum of the rounds: the prompt's pass is not in it */
  decodeUs: number;
}

/** Decodes until an end token or maxTokens. @throws CONTEXT_LIMIT before anything runs where the cache is too small */
export async function decode(engine: Engine, prompt: readonly number[], options: DecodeOptions): Promise<Decoded> {
  const { accept = greedy, clock, policy, progress = silentProgress } = options;
  const verifier = options.verifier ?? targetChoices(engine.spec.layers);
  requireRoom(engine, prompt.length, options.maxTokens);
  const output = new Output(engine, prompt, options);
  const rounds: Round[] = [];
  const drafters = new Set<Drafter>();
  const begin = async (drafter: Drafter) => {
    drafters.add(drafter);
    await drafter.begin?.(output.text, progress);
  };
  const emit = (tokens: readonly number[]): number => {
    const taken = output.push(tokens);
    options.onTokens?.(taken);
    for (const drafter of drafters) drafter.extend?.(taken);
    return taken.length;
  };

  const start = clock.nowUs();
  const logits = options.prefilled ?? (await prefill(engine, prompt, verifier, progress));
  for (const drafter of policy?.drafters ?? []) await begin(drafter);
  const promptUs = clock.nowUs() - start;
  if (!output.done) emit([accept.accept(logits, NOTHING, engine.spec.vocabSize).next]);
  while (!output.done) {
    await progress.tick();
    const { context, room } = output;
    const from = clock.nowUs();
    const request = policy?.(context) ?? null;
    const drafter = request === null ? noDrafter : drafterOf(request);
    if (!drafters.has(drafter)) await begin(drafter);
    // the last token needs no draft: d + 1 tokens must still fit
    const most = request === null ? 0 : Math.min(request.draftTokens, room - 1);
    const proposal = propose(drafter, output, most);
    const between = clock.nowUs();
    const { tokens, hidden } = verify(output, proposal, verifier, accept);
    const verified = clock.nowUs();
    const emitted = emit(tokens);
    output.hidden = hidden;
    const nodes = proposal.tokens.length;
    const drafted = output.done ? Math.min(nodes, emitted) : nodes;
    const counts = { context, nodes, drafted, accepted: Math.min(tokens.length - 1, emitted), emitted };
    const times = { draftUs: between - from, verifyUs: verified - between, totalUs: clock.nowUs() - from };
    const round: Round = { ...counts, ...times };
    rounds.push(round);
    policy?.observe?.(round);
  }
  return { ids: output.ids(), rounds, promptUs, decodeUs: rounds.reduce((sum, round) => sum + round.totalUs, 0) };
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

/** A drafter's proposal. @throws Error where it is longer than was asked for, or a tree: the verifier runs chains so far */
function propose(drafter: Drafter, state: DraftState, draftTokens: number): Proposal {
  if (draftTokens <= 0) return NOTHING;
  const proposal = drafter.draft(state, draftTokens);
  const { tokens, parents } = proposal;
  if (tokens.length > draftTokens)
    throw new Error(`drafter ${drafter.key} proposed ${tokens.length} tokens where ${draftTokens} were asked for`);
  if (tokens.length !== parents.length || parents.some((parent, i) => parent !== (i === 0 ? null : i - 1)))
    throw new Error(`drafter ${drafter.key} proposed a tree, and a verification runs chains only: use chain()`);
  return proposal;
}

/**
 * Runs the target over the pending token and the drafted ones.
 * @returns the drafted tokens that stand and the target's own next one; hidden [hiddenSize] where it chose that (a view)
 */
export function verify(
  { engine, context, pending }: Pick<DraftState, "engine" | "context" | "pending">,
  proposal: Proposal,
  verifier: ChoiceSet,
  accept: Accept = greedy,
): { tokens: number[]; hidden: Float32Array } {
  const { hiddenSize, vocabSize } = engine.spec;
  const input = [pending, ...proposal.tokens];
  const pass = engine.run({ position: context, input, choices: verifier, logitRows: input.length });
  const { path, next } = accept.accept(pass.logits, proposal, vocabSize);
  const row = path.length === 0 ? 0 : path[path.length - 1] + 1;
  return {
    tokens: [...path.map((node) => proposal.tokens[node]), next],
    hidden: pass.hidden.subarray(row * hiddenSize, (row + 1) * hiddenSize),
  };
}
