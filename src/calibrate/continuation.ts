/**
 * What acceptance is measured on: prompts continued by the target itself, greedily or by sampling, since that is the text
 * a draft has to guess when it serves. (A prompt's own next tokens are not: the target would not have written them.)
 */
import type { Progress } from "../core/progress.js";
import { type DraftPolicy, decode, prefill } from "../decode/loop.js";
import type { Clock, Engine } from "../runtime/engine.js";
import { MAX_LOGIT_ROWS } from "../runtime/limits.js";
import { quantisedKernels, targetChoices, uniformChoices } from "../schema/choice.js";
import { type SparseDistribution, sparseSoftmax } from "./overlap.js";
import { atTemperature, type Sampling, sampledContinuation } from "./sampling.js";

export interface Continuation {
  /** [n] */
  prompt: readonly number[];
  /** the target's own next tokens; the first follows the prompt */
  ids: readonly number[];
  /** what the ids were sampled at; absent: they are the greedy ones */
  temperature?: number;
  /** of what kind of text its prompt is; absent: nobody says */
  kind?: number | undefined;
}

/** The kinds of texts, where somebody says of what kind every one is. */
export function kindsKey(kinds: readonly (number | undefined)[]): { kinds?: number[] } {
  const known = kinds.filter((kind) => kind !== undefined);
  return known.length < kinds.length ? {} : { kinds: known };
}

/** Consecutive draft steps that one pass stands for: `count` tokens, the first of them ids[from]. */
export interface RoundSpan {
  from: number;
  count: number;
}

/** Drafting in the continuation itself is by the first quantised kernel, with d = 4: the output is the target's own, only sooner. */
const SOONER = 4;

/**
 * Continues each prompt.
 * @param tokens   tokens wanted after the first; fewer where the target ends its answer
 * @param sampling temperature and seed; null: greedily
 */
export async function continuePrompts(
  engine: Engine,
  clock: Clock,
  prompts: readonly (readonly number[])[],
  tokens: number,
  progress: Progress,
  sampling: Sampling | null = null,
): Promise<Continuation[]> {
  const text = new ContinuedPrompts(engine, clock, prompts, tokens, sampling);
  while ((await text.next(progress)) !== null);
  return text.made;
}

/**
 * What the target wrote behind prompts before: greedily, of as many tokens as these texts are to have.
 * @returns its tokens; undefined: nobody continued this prompt
 */
export type WrittenBefore = (prompt: readonly number[]) => readonly number[] | undefined;

/** Prompts that the target continues one after another, as many as are asked for. */
export class ContinuedPrompts {
  /** those that had anything to predict */
  readonly made: Continuation[] = [];
  private index = 0;

  constructor(
    private readonly engine: Engine,
    private readonly clock: Clock,
    private readonly prompts: readonly (readonly number[])[],
    /** wanted after each prompt's first; fewer where the target ends its answer */
    private readonly tokens: number,
    private readonly sampling: Sampling | null,
    /** [prompts] of what kind of text each is */
    private readonly kinds?: readonly number[] | undefined,
    /** of greedy text alone: what is known is read and not written again */
    private readonly written?: WrittenBefore | undefined,
  ) {}

  /** tokens to predict, of all that is made */
  get positions(): number {
    return this.made.reduce((sum, { ids }) => sum + ids.length - 1, 0);
  }

  /** The next prompt's continuation, whose states the cache then holds; null where there is no further prompt. */
  async next(progress: Progress): Promise<Continuation | null> {
    while (this.index < this.prompts.length) {
      const kind = this.kinds?.[this.index];
      const continued = await this.continueOne(this.index++, progress);
      const made = kind === undefined ? continued : { ...continued, kind };
      if (made.ids.length < 2) continue;
      this.made.push(made);
      return made;
    }
    return null;
  }

  /** Goes on until there is so much to predict, or no further prompt. */
  async until(positions: number, progress: Progress): Promise<Continuation[]> {
    while (this.positions < positions && (await this.next(progress)) !== null);
    return [...this.made];
  }

  private async continueOne(index: number, progress: Progress): Promise<Continuation> {
    const { engine, clock, tokens, sampling } = this;
    const prompt = this.prompts[index];
    if (sampling !== null) {
      // a seed of its own, so that one prompt's text does not depend on those before it
      const { temperature, seed } = sampling;
      const own = { temperature, seed: seed + index };
      return { prompt, ids: await sampledContinuation(engine, prompt, tokens + 1, own, progress), temperature };
    }
    const known = this.written?.(prompt);
    if (known !== undefined) {
      // the prompt in passes of its own, as where it is continued: its states are then the very same
      const target = targetChoices(engine.spec.layers);
      await prefill(engine, prompt, target, progress);
      await prefill(engine, [...prompt, ...known.slice(0, -1)], target, progress, undefined, prompt.length);
      return { prompt, ids: known };
    }
    const kernel = quantisedKernels(engine.kernels)[0];
    const draft =
      kernel === undefined ? null : { choices: uniformChoices(engine.spec.layers, kernel), draftTokens: SOONER };
    const policy: DraftPolicy = () => draft;
    const options = { maxTokens: tokens + 1, endTokens: engine.spec.eosTokenIds, policy, clock, progress };
    return { prompt, ids: (await decode(engine, prompt, options)).ids };
  }
}

/** The rounds of a continuation from its last to its first, each of `size` tokens but perhaps the last of the text. */
export function spansBackwards(continuation: Continuation, size: number): RoundSpan[] {
  const predictions = continuation.ids.length - 1;
  const spans: RoundSpan[] = [];
  for (let from = 0; from < predictions; from += size) spans.push({ from, count: Math.min(size, predictions - from) });
  return spans.reverse();
}

/** Puts the target's keys and values of a prompt and its continuation into the cache. */
export async function fillCache(engine: Engine, continuation: Continuation, progress: Progress): Promise<void> {
  const { prompt, ids } = continuation;
  await prefill(engine, [...prompt, ...ids.slice(0, -1)], targetChoices(engine.spec.layers), progress);
}

/**
 * The target's distribution at every position of a continuation, and its hidden states before every block.
 * The cache must hold the prompt; it holds the continuation afterwards.
 */
export interface TargetTrace {
  /** [positions] */
  distributions: SparseDistribution[];
  /** [2L + 1] of [positions, hiddenSize]: entry b is the input of block b, the last one the output of the last block */
  hidden: Float32Array[];
}

export async function traceTarget(
  engine: Engine,
  continuation: Continuation,
  progress: Progress,
): Promise<TargetTrace> {
  const { layers, hiddenSize, vocabSize } = engine.spec;
  const input = continuation.ids.slice(0, -1);
  const trace: TargetTrace = {
    distributions: [],
    hidden: Array.from({ length: 2 * layers + 1 }, () => new Float32Array(input.length * hiddenSize)),
  };
  for (let from = 0; from < input.length; from += MAX_LOGIT_ROWS) {
    const piece = input.slice(from, from + MAX_LOGIT_ROWS);
    const position = continuation.prompt.length + from;
    const whole = engine.run({ position, input: piece, choices: targetChoices(layers), logitRows: piece.length });
    const logits = atTemperature(whole.logits, continuation.temperature);
    for (let row = 0; row < piece.length; row++) trace.distributions.push(sparseSoftmax(logits, row, vocabSize));
    trace.hidden[2 * layers].set(whole.hidden, from * hiddenSize);
    traceHidden(engine, trace, piece, position, from);
    await progress.tick();
  }
  return trace;
}

/** One block at a time, each fed with what the one before it gave: as much work as one pass. */
function traceHidden(
  engine: Engine,
  trace: TargetTrace,
  piece: readonly number[],
  position: number,
  from: number,
): void {
  const { layers, hiddenSize } = engine.spec;
  const skipped = uniformChoices(layers, "skip");
  let hidden = engine.run({ position, input: piece, choices: skipped, logitRows: 0 }).hidden.slice();
  for (let block = 0; block < 2 * layers; block++) {
    trace.hidden[block].set(hidden, from * hiddenSize);
    const choices = { blocks: skipped.blocks.with(block, "target"), head: skipped.head };
    hidden = engine.run({ position, input: { hidden }, choices, logitRows: 0 }).hidden.slice();
  }
}
