/** The text of a generation as it grows, and where it ends. */
import type { Engine } from "../runtime/engine.js";
import { MAX_LOGIT_ROWS } from "../runtime/limits.js";
import type { Accept } from "./accept/accept.js";
import type { Chosen, DraftState } from "./drafters/drafter.js";

export interface OutputLimits {
  maxTokens: number;
  /** tokens that end the output; they are part of it */
  endTokens: readonly number[];
  /**
   * Told of every token that is taken, in order: how many of these are taken where one of them completes what the output is
   * to stop at, itself too; null: all of them.
   */
  stopAfter?: ((ids: readonly number[]) => number | null) | undefined;
}

/** Why an output is no longer: an end token, a text that it was to stop at, or the limit of tokens. */
export type FinishReason = "end" | "length" | "stop";

export class Output implements DraftState {
  readonly text: number[];
  private state: (() => Float32Array) | null = null;
  private readonly end: ReadonlySet<number>;
  private ended = false;
  private stopped = false;

  constructor(
    readonly engine: Engine,
    private readonly prompt: readonly number[],
    private readonly limits: OutputLimits,
    private readonly accept: Accept,
  ) {
    this.text = [...prompt];
    this.end = new Set(limits.endTokens);
  }

  /** Fetched from where it was computed when a drafter asks for it. */
  get hidden(): Float32Array | null {
    return this.state?.() ?? null;
  }

  /** @param hidden gives the state where `pending` was chosen, until the engine's next pass */
  chosenFrom(hidden: () => Float32Array): void {
    this.state = hidden;
  }

  get context(): number {
    return this.text.length - 1;
  }

  get pending(): number {
    return this.text[this.text.length - 1];
  }

  get mostNodes(): number {
    return Math.min(MAX_LOGIT_ROWS, this.engine.capacity - this.context) - 1;
  }

  /** tokens that it may still grow by, were none of them an end token */
  get room(): number {
    return this.limits.maxTokens - (this.text.length - this.prompt.length);
  }

  get done(): boolean {
    return this.ended || this.stopped || this.room <= 0;
  }

  get finish(): FinishReason {
    return this.stopped ? "stop" : this.ended ? "end" : "length";
  }

  choose(logits: Float32Array, drafted: readonly number[]): Chosen {
    return this.accept.choose(logits.subarray(0, this.engine.spec.vocabSize), this.text, drafted);
  }

  /** what was added to the prompt */
  ids(): number[] {
    return this.text.slice(this.prompt.length);
  }

  /** Takes tokens up to an end token, the completion of a text to stop at, or the limit. @returns those taken */
  push(tokens: readonly number[]): number[] {
    const within = tokens.slice(0, this.room);
    const end = within.findIndex((id) => this.end.has(id));
    const ending = end === -1 ? within : within.slice(0, end + 1);
    const stop = this.limits.stopAfter?.(ending) ?? null;
    const taken = stop === null ? ending : ending.slice(0, stop);
    this.stopped = stop !== null;
    this.ended = end !== -1 && taken.length === end + 1;
    this.text.push(...taken);
    return taken;
  }
}
