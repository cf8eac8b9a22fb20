/**
 * Several turns over one cache. Every turn renders the whole conversation by the model's chat template, since only that says
 * what the model expects, and compares its tokens with those whose keys and values the cache holds: the pass begins behind
 * what both have in common. So a turn costs its own tokens, and where a template writes earlier turns anew (or an answer's
 * text has other tokens than were decoded) it costs what changed: the output is that of a decoding from nothing.
 */
import { DraftplanError } from "../../core/errors.js";
import type { Progress } from "../../core/progress.js";
import type { Drafter } from "../../decode/drafters/drafter.js";
import { type DecodeOptions, type DraftPolicy, decode, prefill, type Round } from "../../decode/loop.js";
import type { FinishReason } from "../../decode/output.js";
import type { Clock, Engine } from "../../runtime/engine.js";
import { targetChoices } from "../../schema/choice.js";
import { GREEDY } from "../../schema/sampling.js";
import { seededRandom } from "../../stats/random.js";
import type { ChatMessage, Tokenizer } from "../../tokenizer/types.js";
import type { SamplingRequest } from "../sampling.js";
import { opening } from "./prompt.js";
import { StoppingText } from "./stopping-text.js";
import type { TextSink } from "./types.js";

export interface ConversationOptions {
  engine: Engine;
  tokenizer: Tokenizer;
  /** null: plain decoding */
  policy: DraftPolicy | null;
  /** what the system says before the first turn */
  system?: string | undefined;
  /** tokens that the conversation may have, at most what the engine's cache holds */
  contextTokens: number;
  /** new tokens of a turn at most; fewer where the context has less room */
  maxTokens: number;
  /** the turn of that number, from 0, is drawn by its seed + that number */
  sampling?: SamplingRequest | undefined;
  stops: readonly string[];
  clock: Clock;
  progress: Progress;
}

/** One answer, whole or interrupted. */
export interface Turn {
  /** tokens of the rendered conversation in front of it */
  promptTokens: number;
  /** of these, those that were run in this turn: the cache did not hold them */
  readTokens: number;
  ids: readonly number[];
  text: string;
  /** null: it was interrupted */
  finish: FinishReason | null;
  rounds: readonly Round[];
}

export class Conversation {
  /** all turns so far, those that were cleared away too */
  readonly turns: Turn[] = [];
  private messages: ChatMessage[];
  /** tokens whose keys and values of the target the cache holds, in order */
  private held: number[] = [];
  private readonly states: StatesKept | null;

  constructor(private readonly options: ConversationOptions) {
    this.messages = opening(options.system);
    const asked = options.policy?.drafters?.some(({ states }) => states !== undefined) ?? false;
    this.states = asked ? new StatesKept(options.engine) : null;
  }

  /** Forgets what was said. What the cache holds may still serve: a system's words, for one. */
  clear(): void {
    this.messages = opening(this.options.system);
  }

  /**
   * Answers what the user says. Where it is interrupted, by what `progress` throws, what was said until then is the answer;
   * where nothing was, the turn has not been.
   * @throws CONTEXT_LIMIT where the context has no room for an answer, CHAT_TEMPLATE_INVALID: the turn has not been then
   */
  async say(text: string, sink: TextSink | null): Promise<Turn> {
    const { tokenizer, stops } = this.options;
    const messages = [...this.messages, { role: "user", content: text }];
    const prompt = tokenizer.encodeRendered(tokenizer.renderChat(messages, { addGenerationPrompt: true }));
    const maxTokens = this.roomFor(prompt.length);
    const output = new StoppingText(tokenizer, stops, sink);
    const ids: number[] = [];
    const rounds: Round[] = [];
    let readTokens = 0;
    let finish: FinishReason | null = null;
    try {
      const prefilled = await this.read(prompt, (tokens) => (readTokens += tokens));
      const decoded = await decode(this.options.engine, prompt, {
        ...this.decoding(rounds),
        ...{ maxTokens, prefilled },
        stopAfter: (tokens) => output.take(tokens),
        onTokens: (tokens) => {
          // the last token is pending: nothing was run over it yet
          this.held.push(...ids.slice(-1), ...tokens.slice(0, -1));
          ids.push(...tokens);
          output.write();
        },
      });
      finish = decoded.finish;
    } finally {
      output.end();
      if (this.states !== null) this.held = this.held.slice(0, this.states.positions);
      if (finish !== null || output.text !== "") {
        this.messages = [...messages, { role: "assistant", content: output.text }];
        this.turns.push({ promptTokens: prompt.length, readTokens, ids, text: output.text, finish, rounds });
      }
    }
    return this.turns[this.turns.length - 1];
  }

  /** @throws CONTEXT_LIMIT where not one token has room */
  private roomFor(promptTokens: number): number {
    const { contextTokens, maxTokens } = this.options;
    const room = contextTokens - promptTokens;
    if (room >= 1) return Math.min(maxTokens, room);
    throw new DraftplanError({
      code: "CONTEXT_LIMIT",
      at: "this conversation",
      what: `with what you said it has ${promptTokens} tokens, and there is room for ${contextTokens - 1} and an answer`,
      remedy: "Say less, begin anew with /clear, or start with a larger --context where the model has one.",
    });
  }

  /** Runs what the cache does not hold of a prompt. */
  private async read(prompt: readonly number[], onRead: (tokens: number) => void) {
    const { engine, progress } = this.options;
    // the last token is run in any case: what stands behind it is wanted
    const most = Math.min(this.held.length, prompt.length - 1);
    let common = 0;
    while (common < most && this.held[common] === prompt[common]) common++;
    this.held.length = common;
    const { hiddenSize } = engine.spec;
    const onStates = (position: number, states: Float32Array) => {
      const rows = states.length / hiddenSize;
      this.held.push(...prompt.slice(position, position + rows));
      this.states?.states(position, states);
      onRead(rows);
    };
    const choices = targetChoices(engine.spec.layers);
    const last = await prefill(engine, prompt, choices, progress, onStates, common);
    return { ...last, states: this.states?.upTo(prompt.length) };
  }

  private decoding(rounds: Round[]): Omit<DecodeOptions, "maxTokens"> {
    const { engine, policy, sampling, clock, progress } = this.options;
    const { filters = GREEDY, seed = null } = sampling ?? {};
    // beyond 2^53 neighbouring whole numbers can no longer be told apart
    const own = ((seed ?? 0) + this.turns.length) % Number.MAX_SAFE_INTEGER;
    const keeping: DraftPolicy = Object.assign((context: number) => policy?.(context) ?? null, {
      drafters: [...(policy?.drafters ?? []), ...(this.states === null ? [] : [this.states])],
      observe(round: Round) {
        rounds.push(round);
        policy?.observe?.(round);
      },
    });
    return {
      ...{ policy: keeping, endTokens: engine.spec.eosTokenIds, clock, progress },
      sampling: { filters, random: seededRandom(own) },
    };
  }
}

/**
 * The target's states of all that the cache holds, for drafters that ask for them: they want those of a whole prompt, of
 * which the most was run in turns before. It hears them as a drafter does, and never drafts.
 */
class StatesKept implements Drafter {
  readonly key = "states kept";
  /** tokens whose states it has */
  positions = 0;
  private readonly hiddenSize: number;
  private all: Float32Array;

  constructor({ spec, capacity }: Engine) {
    this.hiddenSize = spec.hiddenSize;
    this.all = new Float32Array(capacity * spec.hiddenSize);
  }

  states(position: number, hidden: Float32Array): void {
    this.all.set(hidden, position * this.hiddenSize);
    this.positions = position + hidden.length / this.hiddenSize;
  }

  /** [tokens, hiddenSize] */
  upTo(tokens: number): Float32Array {
    return this.all.slice(0, tokens * this.hiddenSize);
  }

  draft(): never {
    throw new Error("nobody asks it to draft");
  }

  costUs = () => 0;
}
