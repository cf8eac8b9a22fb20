/**
 * Decoding, plain and speculative, over the target's KV cache (Leviathan et al. 2023, arXiv:2211.17192).
 *
 * State: the cache holds the target's keys and values of the first `context` tokens; `pending` is the last token
 * emitted, not yet in the cache. In a round a drafter (drafters/) proposes tokens behind `pending`, a chain or a tree, the
 * target runs once over `pending` and all of them, and what stands is decided from its logits (accept/). That pass
 * overwrites what a draft wrote into the cache, and of a tree the accepted path is moved together (verification.ts), so
 * rolling back is only a smaller `context`. A plain step is a round in which nothing is proposed.
 */

import { type Progress, silentProgress } from "../core/progress.js";
import type { Clock, Engine } from "../runtime/engine.js";
import { MAX_PASS_TOKENS } from "../runtime/limits.js";
import { type ChoiceSet, targetChoices } from "../schema/choice.js";
import type { Filters } from "../schema/sampling.js";
import type { Random } from "../stats/random.js";
import type { Accept } from "./accept/accept.js";
import { greedy } from "./accept/greedy.js";
import { acceptOf } from "./accept/of-filters.js";
import { type Drafter, type DraftRequest, NOTHING } from "./drafters/drafter.js";
import { noDrafter } from "./drafters/none.js";
import { drafterOf } from "./drafters/self.js";
import { type FinishReason, Output, type OutputLimits } from "./output.js";
import { depthOf } from "./proposal.js";
import { requireRoom } from "./room.js";
import { runRound } from "./round.js";

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
  /** positions drafted, of a tree its depth; none of them behind the output's end */
  drafted: number;
  /** of these, those at which the target agreed: of a tree the length of the accepted path */
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
  /** how tokens are drawn, from which random source; left out: the likeliest are taken */
  sampling?: { readonly filters: Filters; readonly random: Random };
  /** which drafted tokens stand; default: as `sampling` says */
  accept?: Accept;
  /** what one plain step, and the verification, run: the target unless another model is being tried by itself */
  verifier?: ChoiceSet;
  /** the prompt, where the cache already holds its keys and values: prefill is left out */
  prefilled?: Prefilled;
  clock: Clock;
  onTokens?: (ids: readonly number[]) => void;
  progress?: Progress;
}

/** What a prompt's passes leave besides the cache. */
export interface Prefilled {
  /** [vocabSize] behind its last token */
  logits: Float32Array;
  /** [hiddenSize] where they come from, before the final norm */
  hidden: Float32Array;
  /** [promptTokens, hiddenSize] of all its tokens: for drafters that ask for states, and needed by them */
  states?: Float32Array | undefined;
}

export interface Decoded {
  ids: number[];
  finish: FinishReason;
  rounds: Round[];
  /** the prompt's passes, and the beginning of the policy's drafters */
  promptUs: number;
  /** sum of the rounds: the prompt's pass is not in it */
  decodeUs: number;
}

/** Decodes until an end token or maxTokens. @throws CONTEXT_LIMIT before anything runs where the cache is too small */
export async function decode(engine: Engine, prompt: readonly number[], options: DecodeOptions): Promise<Decoded> {
  const { sampling, clock, policy, progress = silentProgress } = options;
  const accept = options.accept ?? (sampling === undefined ? greedy : acceptOf(sampling.filters, sampling.random));
  const verifier = options.verifier ?? targetChoices(engine.spec.layers);
  requireRoom(engine, prompt.length, options.maxTokens);
  const output = new Output(engine, prompt, options, accept);
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
  for (const drafter of policy?.drafters ?? []) await begin(drafter);
  const { logits, hidden } = await readPrompt(engine, prompt, verifier, [...drafters], options);
  output.chosenFrom(() => hidden);
  const promptUs = clock.nowUs() - start;
  if (!output.done) emit([accept.accept(logits, NOTHING, engine.spec.vocabSize, output.text).next]);
  while (!output.done) {
    await progress.tick();
    const { context, room } = output;
    const from = clock.nowUs();
    const request = policy?.(context) ?? null;
    const drafter = request === null ? noDrafter : drafterOf(request);
    if (!drafters.has(drafter)) await begin(requireNoStates(drafter));
    // the last token needs no draft: d + 1 tokens must still fit
    const most = request === null ? 0 : Math.min(request.draftTokens, room - 1, output.mostNodes);
    const { proposal, verified, ...parts } = runRound(output, { drafter, most, verifier, accept, clock, from });
    const { tokens } = verified;
    const emitted = emit(tokens);
    output.chosenFrom(() => verified.hidden);
    if (!output.done) for (const drafter of drafters) drafter.states?.(context, verified.states());
    const depth = depthOf(proposal);
    const drafted = output.done ? Math.min(depth, emitted) : depth;
    const nodes = proposal.tokens.length;
    const counts = { context, nodes, drafted, accepted: Math.min(tokens.length - 1, emitted), emitted };
    const round: Round = { ...counts, ...parts, totalUs: clock.nowUs() - from };
    rounds.push(round);
    policy?.observe?.(round);
  }
  const decodeUs = rounds.reduce((sum, round) => sum + round.totalUs, 0);
  return { ids: output.ids(), finish: output.finish, rounds, promptUs, decodeUs };
}

/** The prompt in the cache, and its states told to the drafters that ask for them. */
async function readPrompt(
  engine: Engine,
  prompt: readonly number[],
  verifier: ChoiceSet,
  drafters: readonly Drafter[],
  { prefilled, progress }: DecodeOptions,
): Promise<Prefilled> {
  const asking = drafters.filter(({ states }) => states !== undefined);
  const tell = (position: number, states: Float32Array) => {
    for (const drafter of asking) drafter.states?.(position, states);
  };
  if (prefilled === undefined) return prefill(engine, prompt, verifier, progress, tell);
  if (asking.length === 0) return prefilled;
  if (prefilled.states === undefined) throw new Error(`drafter ${asking[0].key} needs the states of the whole prompt`);
  tell(0, prefilled.states);
  return prefilled;
}

/** @throws Error for a drafter that had to see the prompt's states, and was not named before they were gone */
function requireNoStates(drafter: Drafter): Drafter {
  if (drafter.states === undefined) return drafter;
  throw new Error(`drafter ${drafter.key} needs the states of the whole text: name it in the policy's drafters`);
}

/**
 * Fills the cache with a prompt, in passes of at most MAX_PASS_TOKENS.
 * @param onStates shown the states of each pass: [tokens, hiddenSize] from a position on, a view
 * @param held     tokens of the prompt that the cache holds already, fewer than the prompt has
 * @returns copies of what stands behind its last token
 */
export async function prefill(
  engine: Engine,
  prompt: readonly number[],
  choices: ChoiceSet,
  progress: Progress = silentProgress,
  onStates: (position: number, states: Float32Array) => void = () => {},
  held = 0,
): Promise<Prefilled> {
  for (let from = held; ; from += MAX_PASS_TOKENS) {
    const input = prompt.slice(from, from + MAX_PASS_TOKENS);
    const last = from + MAX_PASS_TOKENS >= prompt.length;
    const { logits, hidden } = engine.run({ position: from, input, choices, logitRows: last ? 1 : 0 });
    onStates(from, hidden);
    if (last) return { logits: logits.slice(), hidden: hidden.slice(hidden.length - engine.spec.hiddenSize) };
    await progress.tick();
  }
}

/** A prompt's passes, once for all that decode behind it; all its states too where any of these policies' drafters asks for them. */
export async function prefillFor(
  engine: Engine,
  prompt: readonly number[],
  policies: readonly DraftPolicy[],
  progress: Progress,
): Promise<Prefilled> {
  const { hiddenSize, layers } = engine.spec;
  const asked = policies.some(({ drafters = [] }) => drafters.some(({ states }) => states !== undefined));
  const states = asked ? new Float32Array(prompt.length * hiddenSize) : undefined;
  const keep = (position: number, of: Float32Array) => states?.set(of, position * hiddenSize);
  return { ...(await prefill(engine, prompt, targetChoices(layers), progress, keep)), states };
}
