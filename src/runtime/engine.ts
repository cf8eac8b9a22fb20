/**
 * What the rest of draftplan sees of a running model: passes over a KV cache that stays in place.
 * `ort-engine.ts` runs them for real, `test/support/fake-engine.ts` with exact times.
 */

import { DraftplanError } from "../core/errors.js";
import type { GraphDialect } from "../model/graph/dialect.js";
import type { ModelSpec } from "../model/spec.js";
import {
  apartFromTarget,
  type ChoiceSet,
  defaultKernels,
  inTargetsTerms,
  isShort,
  type Kernel,
  kernelsFor,
  layerSpans,
  type ShortKernel,
} from "../schema/choice.js";
import type { Numerics, TargetPrecision } from "../schema/numerics.js";
import type { CacheRows } from "./cache/saved-rows.js";
import type { PassTimings } from "./node-timings.js";
import type { GraphKind } from "./programs/graph-kind.js";

export interface Pass {
  /** tokens already in the cache that this pass builds on; what lies behind is overwritten (that is a rollback) */
  position: number;
  /** token ids [q], or hidden states [q, hiddenSize] in place of the embedding */
  input: ArrayLike<number> | { hidden: Float32Array };
  choices: ChoiceSet;
  /**
   * [q] for a tree: the row of this pass that each row follows, an earlier one; −1: what the cache holds before `position`.
   * A row stands at `position` + its depth, and sees the cache before `position`, its ancestors and itself. Keys and values
   * lie in the order of the rows, so a path has to be put together by `keepRows` before anything builds on it. Left out:
   * every row follows the one before it.
   */
  parents?: ArrayLike<number> | undefined;
  /** logits are computed for the last so many positions, 0 to q */
  logitRows: number;
  /**
   * Tokens of the context when the round began that this pass is a part of: spans of attention count back from there, and hold
   * what the round's passes wrote since. Left out: the round begins with this pass.
   */
  round?: number | undefined;
}

export interface PassResult {
  /** [logitRows, vocabSize]; a view, valid until the next pass */
  logits: Float32Array;
  /** [q, hiddenSize], the last residual states before the final norm; a view, valid until the next pass */
  hidden: Float32Array;
}

/** Passes that follow from each other by the likeliest token alone. */
export interface GreedyRound {
  /** tokens in the cache that it builds on */
  position: number;
  /** the token behind them */
  pending: number;
  /** what drafts, a token a pass */
  draft: ChoiceSet;
  /** 0: a plain step; at most one less than a pass may give rows of logits */
  draftTokens: number;
  /** what then runs over the pending token and all drafted ones */
  verifier: ChoiceSet;
}

/** A pass to be timed: as a round's passes are queued, and not brought to the host. */
export interface QueuedPass {
  position: number;
  /** [q] token ids */
  input: readonly number[];
  choices: ChoiceSet;
  /** whether every row's head is computed, and the likeliest token chosen */
  head: boolean;
}

export interface LikeliestResult {
  /** [q] the first on a tie */
  likeliest: number[];
  /** [q, hiddenSize] as PassResult's, fetched when it is asked for */
  readonly hidden: Float32Array;
}

/** Of the verifier: [draftTokens + 1] rows, the pending token's first. */
export interface GreedyRoundResult extends LikeliestResult {
  /** [draftTokens] */
  drafted: number[];
  /** share of the round's time that its drafts took, 0 to 1 */
  draftShare: number;
}

export interface Engine {
  readonly spec: ModelSpec;
  /** tokens the cache holds */
  readonly capacity: number;
  /**
   * the kernels it can run, target first; nothing else is in its graph. The one that the target is computed with is not
   * named again: a pass that asks for it gets the target
   */
  readonly kernels: readonly Kernel[];
  /** heads over a part of the vocabulary that it can run too (short-heads/); left out: none */
  readonly shortHeads?: readonly ShortKernel[];
  /** what they compute with, and the precision that `target` stands for */
  readonly numerics: Numerics;
  /**
   * Runs one pass. Throws CONTEXT_LIMIT beyond the capacity, CHOICE_UNAVAILABLE for a kernel that was not loaded, for a tree
   * where this engine runs none and for a span where it has none, RUNTIME_FAILED where the runtime fails.
   */
  run(pass: Pass): PassResult;
  /**
   * After a pass over a tree at `position`: moves the keys and values of these rows to position, position + 1, …, in place.
   * The cache is then as if the path had been run by itself; what lies behind it is free.
   * What the pass gave stays valid. Left out: an engine that runs no trees.
   * @param rows rows of that pass, ascending: a path that begins at a row without a parent
   */
  keepRows?(position: number, rows: ArrayLike<number>): void;
  /**
   * Runs one pass, whose logits stay where they were computed: the likeliest token behind every row is all that is fetched.
   * Left out: an engine that hands over logits.
   * @throws what `run` throws
   */
  likeliest?(pass: Omit<Pass, "logitRows">): LikeliestResult;
  /**
   * A round of greedy decoding without the host between its passes: each drafted token is the next step's input where it was
   * computed, and the verification is queued behind them. The cache is afterwards as after those passes one by one. Left
   * out: an engine that hands every token over.
   * @throws what `run` throws
   */
  greedyRound?(round: GreedyRound): GreedyRoundResult;
  /**
   * Queues the same pass so many times, one behind the other as `greedyRound` queues a round's, and waits for the last: the
   * time of one as it is in decoding, where no pass waits for the host. Left out: an engine that hands every token over.
   * @throws what `run` throws
   */
  runQueued?(pass: QueuedPass, times: number): void;
  /**
   * The same weights over a second cache of as many tokens: passes of one leave the other's keys and values as they are. It
   * is closed when this one is, at the latest. Left out: an engine with one cache alone.
   */
  withOwnCache?(): Engine;
  /** Saves and restores keys and values. Left out: an engine whose cache is not in this process's memory. */
  readonly rows?: CacheRows | undefined;
  /** Copies keys or values of one layer: [kvHeads, count, headDim] from `position`. For tests and diagnosis. */
  readCache(layer: number, part: "key" | "value", position: number, count: number): Float32Array;
  /**
   * Ends the recording that `nodeTimings` asked for: one entry for each pass so far. Once, and only on such an engine.
   * @throws TRACE_INVALID where the recording does not hold every pass
   */
  endNodeTimings?(): PassTimings[];
  /** Releases every native handle; calling it twice is harmless. */
  close(): void;
}

/** µs since some fixed moment; only differences mean anything. */
export interface Clock {
  nowUs(): number;
}

/** Text that codes and scales are fitted to. */
export interface FitText {
  /** of the text and of how it is cut */
  sha256: string;
  /** [sequences][tokens] ids, all of one length; asked for if there is something to convert */
  sequences(): Promise<number[][]>;
}

/** How a model is to be run. Chosen in one place (the command line), carried as data. */
export interface RuntimeOptions {
  provider: string;
  threads: number;
  /** another build of ONNX Runtime's shared library; undefined: the one that travels with draftplan */
  ortLibrary?: string | undefined;
  /** tokens the KV cache holds */
  capacity: number;
  /** what the converted model was made with, target first; default: defaultKernels */
  kernels?: readonly Kernel[] | undefined;
  /**
   * for diagnosis: records how long every node of every pass takes, in a folder of its own below this one, which is gone
   * when the engine is closed. It slows every pass down.
   */
  nodeTimings?: { folder: string } | undefined;
  /** the precision that is served and reproduced: what `target` in a draft stands for; default: the provider's own */
  targetPrecision?: TargetPrecision | undefined;
  /** what codes and scales of quantised kernels are fitted to; left out: they are rounded */
  fitTo?: FitText | undefined;
  /** what a simulated kernel learns the levels of its inputs from; needed with one, and of no other use */
  learnFrom?: FitText | undefined;
  /**
   * whether passes over trees are to run where the provider has them at a price (cuda: an `If` more in every attention of
   * every pass); the CPU always runs them, and where they do not run a tree is refused
   */
  trees?: boolean | undefined;
  /**
   * tokens of context from which passes of several rows fold the query heads that share keys and values, where that is
   * faster (runtime/pass/folding.ts); default: FOLD_FROM. For tests and benches
   */
  foldFrom?: number | undefined;
  /** what the converted model was written for; default: the provider's own. For tests: the CPU runs every dialect */
  dialect?: GraphDialect | undefined;
  /**
   * which graphs compute: one with every choice (`choices`), or a straight line for each set of them (`programs`);
   * default: what DRAFTPLAN_GRAPH says, else the provider's own (runtime/programs/graph-kind.ts)
   */
  graph?: GraphKind | undefined;
  /** told of what the user should know, a code of docs/errors.md first */
  warn?: ((code: string, message: string) => void) | undefined;
  /** of programs: bytes that those which are kept ready may take beside the weights and the cache */
  programBytes?: number | undefined;
  /** move rows of the cache by a graph, as on a device, wherever the cache lies. For tests */
  movesByGraph?: boolean | undefined;
  /** further keys of ONNX Runtime's session, by name. For measuring what one does (bench/two-bits.mjs) */
  sessionConfig?: Readonly<Record<string, string>> | undefined;
  /** run even though the provider lacks operators, with those on the CPU. For diagnosis alone (bench/provider-check.mjs) */
  allowFallback?: boolean | undefined;
}

/** What is loaded where these kernels are asked for. @param kernels default: defaultKernels */
export const loadedKernels = (kernels: readonly Kernel[] | undefined, precision: TargetPrecision): Kernel[] =>
  apartFromTarget(kernels ?? defaultKernels(precision), precision);

/**
 * Choices as the graph has them: the kernel that the target is computed with is there once, as the target.
 * @param wholeContexts what reads whole contexts alone, for its refusal of spans; null: spans run
 * @returns what names it so, and throws CHOICE_UNAVAILABLE for a kernel that was not loaded or a span that does not run; the same choices always become
 *   the same object, so what is kept of them is made once
 */
export function ownTerms(
  precision: TargetPrecision,
  kernels: readonly Kernel[],
  wholeContexts: string | null = null,
): (choices: ChoiceSet) => ChoiceSet {
  const known = new WeakMap<ChoiceSet, ChoiceSet>();
  return (choices) => {
    let own = known.get(choices);
    if (own === undefined) {
      own = inTargetsTerms(choices, precision);
      requireKernels(own, kernels);
      if (wholeContexts !== null && layerSpans(own) !== null) throw noSpans(wholeContexts);
      known.set(choices, own);
    }
    return own;
  };
}

const noSpans = (what: string): DraftplanError =>
  new DraftplanError({
    code: "CHOICE_UNAVAILABLE",
    at: "a pass in which attention has a span",
    what: `${what} reads whole contexts alone`,
    remedy: "Leave spans (KERNEL@W) out of --choices and of the plan, or run on the CPU: --provider cpu",
  });

/** @param open those that there are */
export const noShortHead = (name: ShortKernel, open: readonly ShortKernel[] = []): DraftplanError =>
  new DraftplanError({
    code: "CHOICE_UNAVAILABLE",
    at: `a pass with the head ${name}`,
    what:
      open.length === 0 ? "the model was opened without short heads" : `the model is open with ${open.join(", ")} only`,
    remedy: `Open it with that head as well (as a library: addShortHeads with heads: ["${name}"]).`,
  });

/** @throws CHOICE_UNAVAILABLE where a pass asks for a kernel that the engine was not loaded with */
export function requireKernels({ blocks, head }: ChoiceSet, kernels: readonly Kernel[]): void {
  if (isShort(head)) throw noShortHead(head);
  const missing = kernelsFor([...blocks, head]).find((kernel) => !kernels.includes(kernel));
  if (missing === undefined) return;
  throw new DraftplanError({
    code: "CHOICE_UNAVAILABLE",
    at: `a pass with ${missing}`,
    what: `the model is loaded with ${kernels.join(", ")} only`,
    remedy: `Load it with ${missing} as well (as a library: loadModel with kernels: ["target", "${missing}"]).`,
  });
}

/** Index of the greatest of logits [row, vocabSize]; the first one on a tie. */
export function argmax(logits: Float32Array, row: number, vocabSize: number): number {
  const start = row * vocabSize;
  const end = start + vocabSize;
  let best = start;
  let bestValue = logits[start];
  for (let i = start + 1; i < end; i++) {
    const value = logits[i];
    if (value > bestValue) {
      bestValue = value;
      best = i;
    }
  }
  return best - start;
}
