/** What models of different architectures compute beside each other's common parts: parts of a ModelSpec (spec.ts). */

/** Llama-3 frequency scaling (Hugging Face `rope_type: llama3`). */
export interface Llama3RopeScaling {
  type: "llama3";
  factor: number;
  lowFreqFactor: number;
  highFreqFactor: number;
  /** tokens */
  originalContext: number;
}

/** All frequencies divided by a factor (position interpolation, arXiv:2306.15595). */
export interface LinearRopeScaling {
  type: "linear";
  factor: number;
}

/** Fast frequencies kept, slow ones divided, those between blended by their place (YaRN, arXiv:2309.00071). */
export interface YarnRopeScaling {
  type: "yarn";
  factor: number;
  /** turns over the original context: frequencies of more are kept, those of fewer than `betaSlow` divided */
  betaFast: number;
  betaSlow: number;
  /** tokens */
  originalContext: number;
  /** cosines and sines are multiplied by it */
  attentionFactor: number;
  /** whether the ends of the blend are whole pairs */
  truncate: boolean;
}

/** A divisor for each frequency (LongRoPE, arXiv:2402.13753); those for texts up to the original context. */
export interface LongRopeScaling {
  type: "longrope";
  /** [rotated pairs] */
  factors: number[];
  /** cosines and sines are multiplied by it */
  attentionFactor: number;
}

export type RopeScaling = Llama3RopeScaling | LinearRopeScaling | YarnRopeScaling | LongRopeScaling;

/** Rotary positions of a layer. */
export interface Rope {
  theta: number;
  scaling: RopeScaling | null;
  /** numbers of a head that are turned, from the first on; absent: all of them */
  rotatedDim?: number;
}

/** An MLP of several, of which a router chooses some for each token. */
export interface Experts {
  count: number;
  /** that a token goes through */
  perToken: number;
  /** whether the shares of those that were chosen are made to sum to 1 (`norm_topk_prob`) */
  normalised: boolean;
}

/**
 * What some architectures compute besides. A key is absent where a model does as llama does, so that the digests of models
 * stay what they were before the key came.
 */
export interface Variations {
  /**
   * Where a block's norm is; absent: on what it reads. `after`: on what it adds to the residual (OLMo 2). `around`: one of
   * each (Gemma 2).
   */
  normPlacement?: "after" | "around";
  /** qkNorm is over all heads at once (OLMo 2); absent: over each head */
  qkNormOver?: "projection";
  /** of the MLP's gate; absent: SiLU */
  activation?: "gelu_tanh";
  /** multiplies scores; absent: 1 / √headDim */
  attentionScale?: number;
  /** scores become cap · tanh(score / cap), before any mask */
  attentionSoftCap?: number;
  /** logits become cap · tanh(logit / cap) */
  logitSoftCap?: number;
  /** multiplies rows of the embedding table as they enter */
  embeddingScale?: number;
  /** multiplies what a block adds to the residual */
  residualScale?: number;
  /** multiplies logits */
  logitScale?: number;
  /** tokens a query sees, itself included, null: all; where layers differ in it. [layers], and `slidingWindow` is null */
  layerWindows?: (number | null)[];
  /** rotary positions of layers that have a window, where they are others (Gemma 3) */
  windowedRope?: Rope;
  /** layers without rotary positions, in order (SmolLM3) */
  unrotatedLayers?: number[];
  /** every layer's MLP is a mixture of so many gated ones, each of `intermediateSize` (Mixtral) */
  experts?: Experts;
}
