/**
 * Checkpoint -> ONNX model with choices, once: `model.onnx`, `weights.bin` and a manifest in the cache.
 * Written beside its place and renamed, so that a reader sees all of it or nothing.
 */
import { createHash, randomUUID } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DraftplanError } from "../core/errors.js";
import { type Progress, silentProgress } from "../core/progress.js";
import { KERNELS } from "../schema/choice.js";
import { cacheFolder } from "./cache.js";
import { buildGraph, type Place } from "./graph/build.js";
import { encodeModel } from "./graph/onnx.js";
import { weightParts } from "./graph/weights.js";
import type { Checkpoint } from "./spec.js";

/** Raise it whenever the graph or the weight layout changes: older entries are then not read. */
const LAYOUT = 1;
const PAGE = 4096;
const WEIGHTS = "weights.bin";

export interface ConvertedModel {
  modelPath: string;
  /** bytes of all weights on disk */
  weightBytes: number;
}

const cacheKey = (checkpoint: Checkpoint): string =>
  createHash("sha256")
    .update(JSON.stringify([LAYOUT, KERNELS, checkpoint.weightsSha256, checkpoint.architectureSha256]))
    .digest("hex")
    .slice(0, 40);

/** A finished entry, or undefined where there is none or a file of it was cut. */
function readEntry(folder: string): ConvertedModel | undefined {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as Record<string, number>;
    for (const [file, bytes] of Object.entries(manifest)) {
      if (statSync(join(folder, file)).size !== bytes) return undefined;
    }
    return { modelPath: join(folder, "model.onnx"), weightBytes: manifest[WEIGHTS] };
  } catch {
    return undefined;
  }
}

async function writeWeights(handle: FileHandle, checkpoint: Checkpoint, progress: Progress): Promise<Map<string, Place>> {
  const places = new Map<string, Place>();
  let offset = 0;
  const total = 2 * checkpoint.spec.layers;
  for (const part of weightParts(checkpoint)) {
    const bytes = part.bytes();
    await handle.write(bytes, 0, bytes.length, offset);
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
 * @throws FILE_UNWRITABLE where the cache folder cannot be written; what the checkpoint throws
 */
export async function convertModel(checkpoint: Checkpoint, progress: Progress = silentProgress): Promise<ConvertedModel> {
  const root = cacheFolder();
  const folder = join(root, cacheKey(checkpoint));
  const found = readEntry(folder);
  if (found !== undefined) return found;

  const draft = join(root, `.partial-${process.pid}-${randomUUID()}`);
  try {
    await mkdir(draft, { recursive: true });
    const handle = await open(join(draft, WEIGHTS), "wx");
    let places: Map<string, Place>;
    try {
      places = await writeWeights(handle, checkpoint, progress);
    } finally {
      await handle.close();
    }
    const model = encodeModel(buildGraph(checkpoint.spec, { file: WEIGHTS, places }), String(LAYOUT));
    await writeFile(join(draft, "model.onnx"), model);
    const manifest = { [WEIGHTS]: statSync(join(draft, WEIGHTS)).size, "model.onnx": model.length };
    await writeFile(join(draft, "manifest.json"), JSON.stringify(manifest));
    // An entry that could not be read is in the way; one that another process finished meanwhile is as good as ours.
    if (readEntry(folder) === undefined) {
      if (existsSync(folder)) await rm(folder, { recursive: true, force: true });
      await rename(draft, folder).catch((error) => {
        if (readEntry(folder) === undefined) throw error;
      });
    }
  } catch (cause) {
    throw asWriteError(cause, root);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return readEntry(folder) as ConvertedModel;
}

function asWriteError(cause: unknown, root: string): unknown {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (!["ENOSPC", "EACCES", "EROFS", "EDQUOT", "EPERM", "ENOTDIR"].includes(code)) return cause;
  return new DraftplanError({
    code: "FILE_UNWRITABLE",
    at: root,
    what: `the converted model could not be written (${code})`,
    remedy: "Free space there (draftplan cache --clear), or set DRAFTPLAN_CACHE_DIR to a folder with room.",
    cause,
  });
}
