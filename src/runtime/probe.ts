/**
 * Tries what `draftplan doctor` reports: a library, a provider in a tiny model, the memory. Meant to be run in a process
 * of its own, because a library or a driver may end the process that loads it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DraftplanError, type ErrorCode } from "../core/errors.js";
import { silentProgress } from "../core/progress.js";
import { convertInto } from "../model/convert.js";
import type { ModelSpec } from "../model/spec.js";
import { syntheticWeights } from "../model/synthetic/weights.js";
import { DEFAULT_KERNELS, targetChoices, uniformChoices } from "../schema/choice.js";
import { type Bandwidth, type BandwidthRequest, measureReadBandwidth } from "./bandwidth.js";
import { systemClock } from "./device.js";
import type { Engine } from "./engine.js";
import type { LibraryState } from "./gpu/cuda-libraries.js";
import { openWhatCudaWants } from "./gpu/open-library.js";
import { loadOrt } from "./ort-api.js";
import { openOrtEngine } from "./ort-engine.js";
import { dialectFor, type LibraryFacts, libraryFacts } from "./providers.js";

/** What was asked for, or why there is none. */
export type Answer<T> = { ok: true; value: T } | { ok: false; code: ErrorCode; what: string; remedy: string };

/** Everything doctor tries; src/cli runs each in a process of its own. */
export interface Probes {
  library(): Promise<Answer<LibraryFacts>>;
  /** @returns the greatest difference of a logit from the CPU's */
  provider(name: string): Promise<Answer<number>>;
  bandwidth(request: BandwidthRequest): Promise<Answer<Bandwidth>>;
  /** the libraries that the CUDA provider beside ONNX Runtime wants; none: there is no such provider */
  cuda(): Promise<Answer<LibraryState[]>>;
}

/** Two small layers with every operator of draftplan's graph. */
const TINY: ModelSpec = {
  name: "probe",
  architecture: "llama",
  layers: 2,
  hiddenSize: 64,
  intermediateSize: 128,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  vocabSize: 64,
  contextLimit: 64,
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
};
const CAPACITY = 16;
const PROMPT = [3, 1, 4, 1, 5, 9, 2, 6];

/**
 * Against the CPU's fp32. Sums of some hundred numbers of size 1, in another order: WebGPU differed by 4e-6. In fp16 every
 * weight and every state is off by 2^-12 of itself: the CPU's own run of the fp16 graph differs by 0.008.
 */
const TOLERANCE = { fp32: 1e-3, fp16: 2e-2 } as const;

/** Tries each thing in this process. */
export function localProbes(ortLibrary: string | undefined): Probes {
  return {
    library: () => answer(() => libraryFacts(loadOrt(ortLibrary))),
    provider: (name) => answer(() => tryProvider(name, ortLibrary)),
    cuda: () => answer(() => openWhatCudaWants(loadOrt(ortLibrary).libraryPath)),
    bandwidth: (request) => answer(() => measureReadBandwidth(loadOrt(ortLibrary), request, systemClock)),
  };
}

async function answer<T>(work: () => T | Promise<T>): Promise<Answer<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    if (!(error instanceof DraftplanError)) throw error;
    const { code, what, remedy } = error;
    return { ok: false, code, what, remedy };
  }
}

/** Runs the tiny model on a provider and on the CPU. @throws what openOrtEngine throws; RUNTIME_FAILED where they differ */
async function tryProvider(name: string, ortLibrary: string | undefined): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "draftplan-doctor-"));
  try {
    const open = async (provider: string) => {
      const place = mkdtempSync(join(folder, "model-"));
      const weights = syntheticWeights(TINY);
      const { modelPath } = await convertInto(place, weights, silentProgress, DEFAULT_KERNELS, dialectFor(provider));
      return openOrtEngine(modelPath, TINY, { provider, threads: 1, capacity: CAPACITY, ortLibrary });
    };
    const tried = logitsOf(await open(name));
    const expected = logitsOf(await open("cpu"));
    const difference = greatestDifference(tried, expected);
    if (difference <= TOLERANCE[dialectFor(name).float]) return difference;
    throw new DraftplanError({
      code: "RUNTIME_FAILED",
      at: `--provider ${name}`,
      what: `a tiny model gives other results than on the CPU: a logit differs by ${difference}`,
      remedy: "Use --provider cpu, and report it with the version of the library and the GPU's driver.",
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A prompt, a step of the draft, and a verification over what the draft wrote: logits of the target alone. */
function logitsOf(engine: Engine): number[] {
  const target = targetChoices(TINY.layers);
  try {
    const prompt = [...engine.run({ position: 0, input: PROMPT, choices: target, logitRows: 1 }).logits];
    const n = PROMPT.length;
    engine.run({ position: n, input: [7], choices: uniformChoices(TINY.layers, "int8"), logitRows: 1 });
    const verified = [...engine.run({ position: n, input: [7, 11, 13], choices: target, logitRows: 3 }).logits];
    return [...prompt, ...verified];
  } finally {
    engine.close();
  }
}

/** Infinite where anything is not a number. */
const greatestDifference = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((most, value, i) => (Number.isFinite(value - b[i]) ? Math.max(most, Math.abs(value - b[i])) : Infinity), 0);
