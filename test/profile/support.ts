/** A planted latency surface behind the fake engine, and passes that were not measured to try a profile on. */

import type { ModelSpec } from "../../src/model/spec.js";
import type { Measured } from "../../src/profile/profile.js";
import { type ChoiceSet, DEFAULT_KERNELS, type Kernel, type ShortKernel } from "../../src/schema/choice.js";
import type { Profile } from "../../src/schema/profile.js";
import { FakeClock, FakeEngine, type FakeTimes } from "../support/fake-engine.js";
import { uniform } from "../support/numbers.js";

export const fakeSpec = (layers: number, contextLimit = 4200): ModelSpec => ({
  name: "fake",
  architecture: "llama",
  layers,
  hiddenSize: 4,
  intermediateSize: 8,
  heads: 2,
  kvHeads: 1,
  headDim: 64,
  vocabSize: 32,
  contextLimit,
  rmsEps: 1e-5,
  rope: { theta: 10_000, scaling: null },
  tiedEmbeddings: true,
  qkvBias: false,
  outputBias: false,
  mlpBias: false,
  qkNorm: false,
  slidingWindow: null,
  bosTokenId: null,
  eosTokenIds: [],
});

/** Layers that differ by up to `spread` in share of their mean, attention that grows with n, everything that grows with q. */
export function plantedTimes(layers: number, spread: number, seed = 11): FakeTimes {
  const next = uniform(seed);
  const table = () => Array.from({ length: layers }, () => 1 + spread * (2 * next() - 1));
  const own = { attn: { target: table(), int8: table() }, mlp: { target: table(), int8: table() } };
  const few = { attn: table(), mlp: table() }; // of int4 and int2; drawn last: the others stay what they were
  return {
    fixedUs: (q) => 150 + 4 * q,
    headUs: (kernel, rows) => (kernel === "target" ? 2000 : 600) * (1 + 0.05 * (rows - 1)),
    blockUs: ({ layer, kind }, choice, n, q) => {
      const base = kind === "attn" ? (choice === "target" ? 120 : 60) + 0.06 * n : choice === "target" ? 400 : 130;
      const factors = choice === "target" || choice === "int8" ? own[kind][choice] : few[kind];
      return base * factors[layer] * (1 + 0.04 * (q - 1));
    },
  };
}

export interface Planted {
  engine: FakeEngine;
  clock: FakeClock;
  times: FakeTimes;
}

export function planted(
  layers: number,
  times: FakeTimes,
  contextLimit?: number,
  kernels: readonly Kernel[] = DEFAULT_KERNELS,
  shortHeads?: readonly ShortKernel[],
): Planted {
  const clock = new FakeClock();
  return {
    clock,
    times,
    engine: new FakeEngine({
      spec: fakeSpec(layers, contextLimit),
      clock,
      times,
      missRate: () => 0.3,
      kernels,
      shortHeads,
    }),
  };
}

/** A measured profile as a whole document. */
export const asDocument = (measured: Measured, layers: number): Profile => ({
  kind: "draftplan/profile",
  version: 1,
  model: { name: "fake", layers, architecture_sha256: "a".repeat(64), weights_sha256: null },
  device: { processor: "none", provider: "fake", threads: 1, runtime: "fake", platform: "none" },
  kernels: { target: "fp32", int8: "int8" },
  ...measured,
});

/** Choices drawn apart from src: each block at random, the mixture drawn for each. */
export function strangeChoices(count: number, layers: number, seed: number): ChoiceSet[] {
  const next = uniform(seed);
  return Array.from({ length: count }, () => {
    const [a, b] = [next(), next()].sort((x, y) => x - y);
    const draw = () => {
      const u = next();
      return u < a ? "target" : u < b ? "int8" : "skip";
    };
    return { blocks: Array.from({ length: 2 * layers }, draw), head: next() < 0.5 ? "target" : "int8" };
  });
}
