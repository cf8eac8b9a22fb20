/**
 * Checkpoint -> ONNX model with choices, once: `model.onnx`, `weights.bin` and a manifest in the cache.
 * Written beside its place and renamed, so that a reader sees all of it or nothing.
 */
import { createHash } from "node:crypto";
import { readFileSync, rmSync, statSync } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DraftplanError } from "../core/errors.js";
import { type Progress, silentProgress } from "../core/progress.js";
import { DEFAULT_KERNELS, type Kernel } from "../schema/choice.js";
import { numericsName } from "../schema/numerics.js";
import { cacheFolder, partialFolder, removeAbandoned } from "./cache.js";
import type { Place } from "./graph/branch.js";
import { buildGraph } from "./graph/build.js";
import { CPU_DIALECT, type GraphDialect } from "./graph/dialect.js";
import { encodeModel } from "./graph/onnx.js";
import { weightParts } from "./graph/weights.js";
import { draftKernel } from "./kernels/registry.js";
import type { Checkpoint, WeightSource } from "./spec.js";

/** Raise it whenever the graph or the weight layout changes: older entries are then not read. */
const LAYOUT = 3;
const PAGE = 4096;
const WEIGHTS = "weights.bin";
const MODEL = "model.onnx";

/** One write takes at most 2^31 - 1 bytes, and may take fewer than it was given. */
const MAX_WRITE_BYTES = 1 << 30;

export interface ConvertedModel {
  modelPath: string;
  /** bytes of all weights on disk */
  weightBytes: number;
}

/**
 * Each set of kernels is an entry of its own, by what they compute with, and each dialect. The CPU's is not named: its keys
 * are older than the others.
 */
function cacheKey(checkpoint: Checkpoint, kernels: readonly Kernel[], dialect: GraphDialect): string {
  const { float, activations, product, opset, hostInputs, trees } = dialect;
  const graph = { float, activations, product, opset, hostInputs, trees };
  const isCpu = (Object.keys(graph) as (keyof typeof graph)[]).every((key) => graph[key] === CPU_DIALECT[key]);
  const key = [
    LAYOUT,
    kernels.map((kernel) => ({
      numerics: numericsName(kernel, dialect),
      bits: kernel === "target" ? null : draftKernel(kernel).bits,
    })),
    checkpoint.weightsSha256,
    checkpoint.architectureSha256,
    ...(isCpu ? [] : [JSON.stringify(graph)]),
  ];
  return createHash("sha256").update(JSON.stringify(key)).digest("hex").slice(0, 40);
}

/** A finished entry, or undefined where there is none or a file of it was cut. */
function readEntry(folder: string): ConvertedModel | undefined {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as Record<string, unknown>;
    const whole = [WEIGHTS, MODEL].every((file) => statSync(join(folder, file)).size === manifest[file]);
    return whole ? { modelPath: join(folder, MODEL), weightBytes: manifest[WEIGHTS] as number } : undefined;
  } catch {
    return undefined;
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(
      bytes,
      done,
      Math.min(bytes.length - done, MAX_WRITE_BYTES),
      position + done,
    );
    done += bytesWritten;
  }
}

async function writeWeights(
  handle: FileHandle,
  checkpoint: WeightSource,
  kernels: readonly Kernel[],
  dialect: GraphDialect,
  progress: Progress,
): Promise<Map<string, Place>> {
  const places = new Map<string, Place>();
  let offset = 0;
  const total = 2 * checkpoint.spec.layers;
  for (const part of weightParts(checkpoint, kernels, dialect)) {
    const bytes = part.bytes();
    await writeAll(handle, bytes, offset);
    places.set(part.name, { dims: part.dims, type: part.type, offset, length: bytes.length });
    offset = Math.ceil((offset + bytes.length) / PAGE) * PAGE;
    const layer = /^(\d+)\.mlp\.norm$/.exec(part.name);
    await progress.tick(layer === null ? {} : { stage: "convert", done: 2 * Number(layer[1]), total });
  }
  await handle.truncate(offset);
  return places;
}

/**
 * The converted form of a checkpoint, made now if the cache does not hold it.
 * @param kernels what it can run, in the order of KERNELS
 * @param dialect what the provider that is to run it wants (runtime/providers.ts)
 * @throws FILE_UNWRITABLE where the cache folder cannot be written; what the checkpoint throws
 */
export async function convertModel(
  checkpoint: Checkpoint,
  progress: Progress = silentProgress,
  kernels: readonly Kernel[] = DEFAULT_KERNELS,
  dialect: GraphDialect = CPU_DIALECT,
): Promise<ConvertedModel> {
  const root = cacheFolder();
  const folder = join(root, cacheKey(checkpoint, kernels, dialect));
  const found = readEntry(folder);
  if (found !== undefined) return found;

  const draft = partialFolder(root);
  try {
    removeAbandoned(root);
    // An entry that cannot be read is in the way. It goes now, not at the end: by then it may be another process's.
    rmSync(folder, { recursive: true, force: true });
    await mkdir(draft, { recursive: true });
    const weightBytes = await writeEntry(draft, checkpoint, kernels, dialect, progress);
    await rename(draft, folder).catch((error) => {
      if (readEntry(folder) === undefined) throw error; // otherwise another process was faster, with the same result
    });
    return { modelPath: join(folder, MODEL), weightBytes };
  } catch (cause) {
    throw asWriteError(cause, root);
  } finally {
    await rm(draft, { recursive: true, force: true }).catch(() => {}); // must not hide what went wrong before it
  }
}

/**
 * Writes a converted model into a folder of the caller's, which is made if need be, and who removes it.
 * @throws FILE_UNWRITABLE; what the weights throw
 */
export async function convertInto(
  folder: string,
  weights: WeightSource,
  progress: Progress = silentProgress,
  kernels: readonly Kernel[] = DEFAULT_KERNELS,
  dialect: GraphDialect = CPU_DIALECT,
): Promise<ConvertedModel> {
  try {
    await mkdir(folder, { recursive: true });
    const weightBytes = await writeEntry(folder, weights, kernels, dialect, progress);
    return { modelPath: join(folder, MODEL), weightBytes };
  } catch (cause) {
    throw asWriteError(cause, folder);
  }
}

/** @returns bytes of the weight file */
async function writeEntry(
  folder: string,
  checkpoint: WeightSource,
  kernels: readonly Kernel[],
  dialect: GraphDialect,
  progress: Progress,
): Promise<number> {
  const handle = await open(join(folder, WEIGHTS), "wx");
  let places: Map<string, Place>;
  try {
    places = await writeWeights(handle, checkpoint, kernels, dialect, progress);
    await handle.datasync(); // a crash must not leave an entry of the right size with other bytes
  } finally {
    await handle.close();
  }
  const graph = buildGraph(checkpoint.spec, kernels, { file: WEIGHTS, places }, dialect);
  const model = encodeModel(graph, String(LAYOUT), dialect.opset);
  await writeFile(join(folder, MODEL), model, { flush: true });
  const weightBytes = statSync(join(folder, WEIGHTS)).size;
  await writeFile(join(folder, "manifest.json"), JSON.stringify({ [WEIGHTS]: weightBytes, [MODEL]: model.length }));
  return weightBytes;
}

/** Reading a checkpoint fails with a DraftplanError: a bare system error comes from writing here. */
function asWriteError(cause: unknown, root: string): unknown {
  if (!(cause instanceof Error) || !("syscall" in cause)) return cause;
  const code = "code" in cause ? String(cause.code) : cause.message;
  return new DraftplanError({
    code: "FILE_UNWRITABLE",
    at: root,
    what: `the converted model could not be written (${code})`,
    remedy: "Free space there (draftplan cache --clear), or set DRAFTPLAN_CACHE_DIR to a folder with room.",
    cause,
  });
}
