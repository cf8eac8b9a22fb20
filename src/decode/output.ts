/** The text of a generation as it grows, and where it ends. */
import type { Engine } from "../runtime/engine.js";
import { MAX_LOGIT_ROWS } from "../runtime/limits.js";
import type { Accept } from "./accept/accept.js";
import type { Chosen, DraftState } from "./drafters/drafter.js";

export interface OutputLimits {
  maxTokens: number;
  /** tokens that end the output; they are part of it */
  endTokens: readonly number[];
}

/** Why an output is no longer: an end token, a text that it was to stop at, or the limit of tokens. */
export type FinishReason = "end" | "length" | "stop";

export class Output implements DraftState {
  readonly text: number[];
  hidden: Float32Array | null = null;
  private readonly end: ReadonlySet<number>;
  private ended = false;

  constructor(
    readonly engine: Engine,
    private readonly prompt: readonly number[],
    private readonly limits: OutputLimits,
    private readonly accept: Accept,
  ) {
    this.text = [...prompt];
    this.end = new Set(limits.endTokens);
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
    return this.ended || this.room <= 0;
  }

  get finish(): FinishReason {
    return this.ended ? "end" : "length";
  }

  choose(logits: Float32Array, drafted: readonly number[]): Chosen {
    return this.accept.choose(logits.subarray(0, this.engine.spec.vocabSize), this.text, drafted);
  }

  /** what was added to the prompt */
  ids(): number[] {
    return this.text.slice(this.prompt.length);
  }

  /** Takes tokens up to an end token or the limit. @returns those taken */
  push(tokens: readonly number[]): number[] {
    const within = tokens.slice(0, this.room);
    const stop = within.findIndex((id) => this.end.has(id));
    const taken = stop === -1 ? within : within.slice(0, stop + 1);
    this.ended = stop !== -1;
    this.text.push(...taken);
    return taken;
  }
}
