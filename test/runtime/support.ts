/** Random tiny models run by the real runtime, beside their float64 twins. */
import { expect } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { convertInto, convertModel } from "../../src/model/convert.js";
import { CPU_DIALECT, type GraphDialect } from "../../src/model/graph/dialect.js";
import { openCheckpoint } from "../../src/model/open.js";
import type { WeightSource } from "../../src/model/spec.js";
import type { Engine } from "../../src/runtime/engine.js";
import { openOrtEngine } from "../../src/runtime/ort-engine.js";
import type { GraphKind } from "../../src/runtime/programs/graph-kind.js";
import { type Choice, type ChoiceSet, KERNEL_NAMES, targetChoices } from "../../src/schema/choice.js";
import { type Forward, forward, type Skipped, type TensorReader } from "../oracle/transformer.js";
import { uniform } from "../support/numbers.js";
import {
  type TinyModel,
  temporaryFolder,
  tinySpec,
  tinyTensors,
  writeTinyCheckpoint,
} from "../support/tiny-checkpoint.js";

/** fp32 sums of a few hundred products of size 1, against float64. */
export const TOLERANCE = 2e-4;

const LLAMA3 = { type: "llama3", factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 64 } as const;

export const MODELS: [string, TinyModel][] = [
  ["llama, tied head", { seed: 1, headDim: 16 }],
  ["llama, head of its own", { seed: 2, headDim: 16, tied: false }],
  ["llama, llama3 positions", { seed: 3, headDim: 16, theta: 500_000, ropeScaling: LLAMA3 }],
  ["llama, every bias", { seed: 4, headDim: 16, attentionBias: true, mlpBias: true, tied: false }],
  ["llama, heads wider than the model", { seed: 5, headDim: 32 }],
  ["llama, heads of 8", { seed: 10, attentionBias: true }],
  ["llama, heads of 20, llama3 positions", { seed: 11, headDim: 20, ropeScaling: LLAMA3 }],
  ["llama, heads of 2", { seed: 12, headDim: 2, heads: 16, kvHeads: 4 }],
  [
    "llama, one key/value head, sizes that fill no block of 32",
    { seed: 6, hidden: 48, heads: 3, kvHeads: 1, headDim: 16, intermediate: 72, vocab: 61 },
  ],
  [
    "mistral, window shorter than the text",
    { seed: 7, headDim: 16, architecture: "mistral", slidingWindow: 6, tied: false },
  ],
  ["qwen2", { seed: 8, headDim: 16, architecture: "qwen2" }],
  ["qwen3", { seed: 9, architecture: "qwen3", headDim: 16 }],
  ["qwen3, heads of 12", { seed: 13, architecture: "qwen3", headDim: 12, rmsEps: 1e-2 }],
  [
    "norms behind blocks, q and k normed over all heads, which are filled up",
    { seed: 14, headDim: 12, architecture: "olmo2", variations: { normPlacement: "after", qkNormOver: "projection" } },
  ],
  [
    "factors everywhere, a layer without positions",
    {
      ...{ seed: 15, headDim: 16, attentionBias: true, mlpBias: true },
      variations: {
        ...{ attentionScale: 0.4, embeddingScale: 3, residualScale: 0.3, logitScale: 0.2, unrotatedLayers: [1] },
      },
    },
  ],
  [
    "norms around blocks, caps, GELU, a window and positions of its own in one layer of two",
    {
      ...{ seed: 16, headDim: 16, architecture: "qwen3", ropeScaling: { type: "linear", factor: 4 } },
      variations: {
        ...{ normPlacement: "around", activation: "gelu_tanh", attentionSoftCap: 2, logitSoftCap: 3 },
        ...{ layerWindows: [5, null], windowedRope: { theta: 500, scaling: null } },
      },
    },
  ],
  [
    "heads turned in part, yarn",
    {
      ...{ seed: 17, headDim: 24, rotatedDim: 12 },
      ropeScaling: {
        ...{ type: "yarn", factor: 4, betaFast: 32, betaSlow: 1, originalContext: 40 },
        ...{ attentionFactor: 1.2, truncate: true },
      },
    },
  ],
  [
    "mixtures of experts, none of which is nearly chosen",
    {
      ...{ seed: 280, headDim: 16, intermediate: 40 },
      variations: { experts: { count: 5, perToken: 2, normalised: false } },
    },
  ],
];

export interface Subject {
  model: TinyModel;
  engine: Engine;
  /** of the whole text `ids` */
  twin(ids: readonly number[], skipped?: Skipped): Forward;
  target: ChoiceSet;
}

const converted = new Map<string, Promise<string>>();

/** Goes the whole way: a checkpoint in a folder, converted into the cache, opened. */
export async function openTiny(
  model: TinyModel,
  capacity = 64,
  dialect: GraphDialect = CPU_DIALECT,
  movesByGraph = false,
  graph: GraphKind = "choices",
  programBytes?: number,
  foldFrom?: number,
): Promise<Engine> {
  const key = JSON.stringify([model, dialect]);
  if (!converted.has(key)) converted.set(key, convertTiny(model, dialect));
  return openOrtEngine((await converted.get(key)) as string, tinySpec(model), {
    provider: "cpu",
    threads: 1,
    capacity,
    kernels: KERNEL_NAMES,
    dialect,
    movesByGraph,
    graph,
    programBytes,
    foldFrom,
  });
}

async function convertTiny(model: TinyModel, dialect: GraphDialect): Promise<string> {
  const { variations, rotatedDim, ropeScaling } = model;
  const isWritten =
    variations === undefined && rotatedDim === undefined && (ropeScaling?.type ?? "llama3") === "llama3";
  if (!isWritten)
    return (await convertInto(temporaryFolder(), tinyWeights(model), silentProgress, KERNEL_NAMES, dialect)).modelPath;
  const checkpoint = await openCheckpoint(writeTinyCheckpoint(temporaryFolder(), model));
  const { modelPath } = await convertModel(checkpoint, silentProgress, KERNEL_NAMES, dialect);
  checkpoint.close();
  return modelPath;
}

/** Weights as a checkpoint hands them over, without a file. */
export const tinyWeights = (model: TinyModel): WeightSource => {
  const tensors = tinyTensors(model);
  return {
    spec: tinySpec(model),
    tensor: (name) => (tensors.get(name) as { values: Float32Array }).values.slice(),
  };
};

export async function openSubject(
  model: TinyModel,
  capacity = 64,
  dialect: GraphDialect = CPU_DIALECT,
  graph: GraphKind = "choices",
): Promise<Subject> {
  const tensors = tinyTensors(model);
  const read: TensorReader = (name) => (tensors.get(name) as { values: Float32Array }).values;
  const spec = tinySpec(model);
  return {
    model,
    engine: await openTiny(model, capacity, dialect, false, graph),
    twin: (ids, skipped) => forward(spec, read, ids, skipped),
    target: targetChoices(spec.layers),
  };
}

export function tokens(seed: number, count: number, vocab = 61): number[] {
  const random = uniform(seed);
  return Array.from({ length: count }, () => Math.floor(random() * vocab));
}

/** Choices drawn from `from`, the head at the target's precision. */
export function randomChoices(seed: number, layers: number, from: readonly Choice[]): ChoiceSet {
  const random = uniform(seed);
  return { blocks: Array.from({ length: 2 * layers }, () => from[Math.floor(random() * from.length)]), head: "target" };
}

/** Every number of a flat array against rows of the twin. */
export function expectRows(
  actual: Float32Array,
  expected: readonly (readonly number[])[],
  tolerance = TOLERANCE,
): void {
  const flat = expected.flat();
  expect(actual.length).toBe(flat.length);
  expect(greatestDifference(actual, flat)).toBeLessThanOrEqual(tolerance);
}

export function greatestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let greatest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= greatest)) greatest = difference; // NaN too
  }
  return greatest;
}

/** |a − b| / |b|, of the vectors. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let error = 0;
  let size = 0;
  for (let i = 0; i < b.length; i++) {
    error += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  return Math.sqrt(error / size);
}
