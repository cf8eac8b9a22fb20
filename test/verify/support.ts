/** Plans, models and faulty decoders for tests of verify. */

import type { ModelSpec } from "../../src/model/spec.js";
import type { ChoiceSet, Draft } from "../../src/schema/choice.js";
import type { Plan, Predicted, Segment } from "../../src/schema/plan.js";
import { FakeClock, FakeEngine, type FakeModel, type FakeTimes } from "../support/fake-engine.js";

export const spec: ModelSpec = {
  name: "fake",
  architecture: "llama",
  layers: 3,
  hiddenSize: 4,
  intermediateSize: 8,
  heads: 2,
  kvHeads: 1,
  headDim: 2,
  vocabSize: 97,
  contextLimit: 512,
  rmsEps: 1e-5,
  rope: { theta: 10000, scaling: null },
  tiedEmbeddings: true,
  qkvBias: false,
  outputBias: false,
  mlpBias: false,
  qkNorm: false,
  slidingWindow: null,
  bosTokenId: null,
  eosTokenIds: [],
};

/** A target pass costs 100 + 10 q, an int8 block a quarter: a plain step 110 + 6 · 100 = 710 µs. */
export const times: FakeTimes = {
  fixedUs: (q) => 90 + 10 * q,
  headUs: (kernel) => (kernel === "target" ? 10 : 5),
  blockUs: (_block, choice) => (choice === "target" ? 100 : 25),
};

/** µs of a plain step, of an int8 draft step and of a verification of d + 1 tokens, with `times` */
export const STEP_US = 100 + 10 + 600;
export const DRAFT_US = 100 + 5 + 150;
export const verifyUs = (d: number): number => 90 + 10 * (d + 1) + 10 + 600;

export interface Fake {
  clock: FakeClock;
  engine: FakeEngine;
}

export function fake(missRate: number | ((choices: ChoiceSet) => number), changes: Partial<FakeModel> = {}): Fake {
  const clock = new FakeClock();
  const miss = typeof missRate === "number" ? () => missRate : missRate;
  return { clock, engine: new FakeEngine({ spec, clock, times, missRate: miss, ...changes }) };
}

export const INT8: Draft = { default: "int8", head: "int8", skip: [], choices: {} };

export const digest = "0".repeat(64);

export function predicted(values: { step: number; tokensPerSecond: number }): Predicted {
  return {
    ...{
      at_context: 32,
      acceptance: 1,
      acceptance_curve: [1, 1, 1],
      accepted_length: 3,
      draft_us: 1,
      verify_us: 1,
      round_us: 0,
    },
    ...{ target_step_us: values.step, tokens_per_second: values.tokensPerSecond, lp_gap_percent: 0 },
    speedup: (values.tokensPerSecond * values.step) / 1e6,
  };
}

export const plan = (...segments: Segment[]): Plan => ({
  kind: "draftplan/plan",
  version: 1,
  model: { name: "fake", layers: spec.layers, architecture_sha256: digest, weights_sha256: digest },
  segments,
});

export const speculating = (from: number, to: number, draftTokens: number, forecast?: Predicted): Segment => ({
  context_tokens: { from, to },
  speculate: true,
  draft: INT8,
  draft_tokens: draftTokens,
  ...(forecast === undefined ? {} : { predicted: forecast }),
});

export const plain = (from: number, to: number): Segment => ({ context_tokens: { from, to }, speculate: false });

/** Prompts of the given lengths, all different. */
export const promptsOf = (...lengths: number[]) =>
  lengths.map((length, p) => ({
    name: `prompt ${p}`,
    ids: Array.from({ length }, (_, i) => (7 * i + 13 * p + 1) % spec.vocabSize),
  }));
