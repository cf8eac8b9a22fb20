/**
 * Other ways to choose a draft, so that the knapsack can be held against them on the same profile, text and decoder. A method
 * proposes drafts; how long they should be is solved for all in the same way, from acceptance measured in the same way.
 */
import type { Continuation } from "../calibrate/continuation.js";
import type { Progress } from "../core/progress.js";
import type { Engine } from "../runtime/engine.js";
import type { ChoiceSet } from "../schema/choice.js";

/** The latencies of the profile that methods ask for. */
export interface Latencies {
  /** µs of one block in a pass of q tokens at context n */
  blockUs(index: number, choice: "target", n: number, q: number): number;
  /** µs of one draft step */
  draftUs(set: ChoiceSet, n: number): number;
}

/** A calibrated context and its text. */
export interface MethodContext {
  atContext: number;
  continuations: readonly Continuation[];
}

export interface MethodRequest {
  engine: Engine;
  latency: Latencies;
  /** expected tokens per second of a draft of acceptance rate α, at its best length */
  speed(set: ChoiceSet, n: number, alpha: number): number;
  /** by rising context */
  contexts: readonly MethodContext[];
  progress: Progress;
  seed: number;
}

export interface Proposal {
  atContext: number;
  set: ChoiceSet;
}

export type Propose = (request: MethodRequest) => Promise<Proposal[]>;
