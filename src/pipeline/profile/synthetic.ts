/** A model made up from its config.json and profiled: all of it, or a slice where memory is short. */
import { statSync } from "node:fs";
import { basename } from "node:path";
import { gib } from "../../core/text.js";
import { readUserFile } from "../../core/user-file.js";
import { architectureSha256 } from "../../model/digest.js";
import { weightBytes } from "../../model/graph/matrices.js";
import { openConfigOnly } from "../../model/open.js";
import type { ModelSpec } from "../../model/spec.js";
import { withWeightFiles } from "../../model/synthetic/files.js";
import { chooseSlice, type Slice } from "../../model/synthetic/slice.js";
import { SYNTHETIC_SEED, syntheticWeights } from "../../model/synthetic/weights.js";
import { type Scaled, scaleProfile } from "../../profile/scale.js";
import type { Engine } from "../../runtime/engine.js";
import { readGpu } from "../../runtime/gpu/nvidia-smi.js";
import { availableMemoryBytes, lastLevelCacheBytes } from "../../runtime/memory.js";
import { openOrtEngine } from "../../runtime/ort-engine.js";
import { requireMixtures } from "../../runtime/pass/mixtures.js";
import { computesOn, dialectFor, isNvidia } from "../../runtime/providers.js";
import { DEFAULT_KERNELS, type Kernel } from "../../schema/choice.js";
import type { ModelRef } from "../../schema/common.js";
import { sha256 } from "../../schema/document.js";
import type { Profile } from "../../schema/profile.js";
import { scaledText } from "../../schema/profile-text.js";
import type { PipelineContext } from "../context.js";
import { floorAgain } from "./floor.js";

/** A model given as a configuration alone. */
export const isConfig = (model: string): boolean =>
  /\.json$/i.test(model) && statSync(model, { throwIfNoEntry: false })?.isFile() === true;

/** Taken where the system does not tell the cache's size: more than most processors have. */
const ASSUMED_CACHE_BYTES = 128 << 20;
const MAX_CONFIG_BYTES = 64 << 20;

export interface SyntheticSteps<Prepared extends { capacity: number }> {
  /** sees the whole model before anything is built: refuses what does not fit it, and says what the cache must hold */
  prepare(spec: ModelSpec): Prepared;
  /** measures what was built: `ref` has the layers of the engine */
  measure(engine: Engine, ref: ModelRef, prepared: Prepared): Promise<Profile>;
}

/** What decides how much is built. */
export interface MachineRoom {
  /** bytes that may be used */
  memoryBytes: number;
  /** of the last-level cache; null: not known */
  cacheBytes: number | null;
}

/** @param memoryGib what the user allows; undefined: what is free, of a GPU where it computes and its driver tells */
export const machineRoom = (memoryGib: number | undefined, threads: number, provider: string): MachineRoom => ({
  memoryBytes: memoryGib === undefined ? freeBytesFor(provider) : memoryGib * 2 ** 30,
  cacheBytes: lastLevelCacheBytes(threads),
});

const freeBytesFor = (provider: string): number =>
  (isNvidia(provider) ? readGpu()?.freeBytes : null) ?? availableMemoryBytes();

/**
 * @returns the profile of the whole model
 * @throws OUT_OF_MEMORY where not even a slice fits, FILE_UNWRITABLE where the disk has no room for it
 */
export async function profileSynthetic<Prepared extends { capacity: number }>(
  path: string,
  room: MachineRoom,
  { prepare, measure }: SyntheticSteps<Prepared>,
  {
    provider,
    threads,
    ortLibrary,
    targetPrecision,
    progress,
    kernels = DEFAULT_KERNELS,
  }: Pick<PipelineContext, "provider" | "threads" | "ortLibrary" | "targetPrecision" | "progress"> & {
    kernels?: readonly Kernel[];
  },
): Promise<Profile> {
  const whole = readConfig(path);
  requireMixtures(path, whole, provider);
  const prepared = prepare(whole);
  const capacity = Math.min(whole.contextLimit, prepared.capacity);
  const dialect = dialectFor(provider, targetPrecision);
  const slice = chooseSlice(
    whole,
    {
      ...room,
      cacheBytes: room.cacheBytes ?? ASSUMED_CACHE_BYTES,
      capacity,
      kernels,
      numerics: dialect,
      on: computesOn(provider),
    },
    path,
  );
  const scaled = slice.isWhole ? null : scaledKeys(whole, slice, room);
  if (scaled !== null) {
    const reason = `the whole model needs about ${gib(slice.wholeBytes)} of memory, and ${gib(room.memoryBytes)} may be used`;
    progress.warn("SLICE_SCALED", `${scaledText(scaled)} are measured and stand for all: ${reason}`);
  }
  const ref = {
    name: whole.name,
    layers: slice.spec.layers,
    architecture_sha256: architectureSha256(whole), // the model's own, whatever was built of it
    weights_sha256: null,
  };
  const weights = syntheticWeights(slice.spec);
  const measured = await withWeightFiles(weights, slice.weightBytes, { progress, kernels, dialect }, async (file) => {
    const engine = openOrtEngine(file, slice.spec, {
      provider,
      threads,
      ortLibrary,
      targetPrecision,
      capacity,
      kernels,
    });
    try {
      return await measure(engine, ref, prepared);
    } finally {
      engine.close();
    }
  });
  const config_sha256 = sha256(readUserFile(path, MAX_CONFIG_BYTES));
  // the head's rows may have been sliced: what it takes is the model's own
  const weight_bytes = weightBytes(whole, kernels, dialect);
  const profile = { ...measured, weight_bytes, synthetic: { config_sha256, seed: SYNTHETIC_SEED } };
  return floorAgain(scaled === null ? profile : scaleProfile(profile, scaled));
}

/** `llama-8b/config.json` is named after its folder, `llama-8b.json` after itself. */
export function readConfig(path: string): ModelSpec {
  const spec = openConfigOnly(path);
  const file = basename(path).replace(/\.json$/i, "");
  return file.toLowerCase() === "config" ? spec : { ...spec, name: file };
}

const scaledKeys = (whole: ModelSpec, { spec, weightBytes }: Slice, room: MachineRoom): Scaled => ({
  layers_measured: spec.layers,
  layers: whole.layers,
  vocabulary_measured: spec.vocabSize,
  vocabulary: whole.vocabSize,
  weight_bytes: weightBytes,
  cache_bytes: room.cacheBytes,
  memory_bytes: Math.floor(room.memoryBytes),
});
