/**
 * A converted model on disk: `model.onnx`, `weights.bin` and a manifest in one folder. In the cache it is written beside
 * its place and renamed, so that a reader sees all of it or nothing.
 */
import { readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DraftplanError } from "../core/errors.js";
import { makeFolder } from "../core/folders.js";
import { cacheFolder, type EntryLabel, MANIFEST, partialFolder, removeAbandoned } from "./cache.js";
import type { WeightFile } from "./graph/branch.js";
import { encodeModel, type Graph } from "./graph/onnx.js";
import { requireRoom } from "./room.js";
import { fileBytes, type WeightsToWrite, writeWeights } from "./weight-file.js";

const WEIGHTS = "weights.bin";
const MODEL = "model.onnx";

export interface ConvertedModel {
  modelPath: string;
  /** bytes of all weights on disk */
  weightBytes: number;
}

/** What is to be written. */
export interface Conversion extends WeightsToWrite {
  /** over the parts at the places they got */
  graph(weights: WeightFile): Graph;
  /** of the graph and the weights' layout */
  version: string;
  opset: number;
  /** what the cache is listed by */
  label: EntryLabel;
}

/**
 * The entry of a key in the cache, made now if the cache does not hold it.
 * @param key  40 hex digits: what it was made from
 * @param make asked only then
 * @throws FILE_UNWRITABLE where the cache folder cannot be written; what the conversion throws
 */
export async function cachedEntry(key: string, make: () => Conversion | Promise<Conversion>): Promise<ConvertedModel> {
  const root = cacheFolder();
  const folder = join(root, key);
  const found = readEntry(folder);
  if (found !== undefined) {
    markUsed(folder);
    return found;
  }

  const draft = partialFolder(root);
  try {
    removeAbandoned(root);
    // An entry that cannot be read is in the way. It goes now, not at the end: by then it may be another process's.
    rmSync(folder, { recursive: true, force: true });
    makeFolder(draft);
    const conversion = await make();
    await requireRoom(root, fileBytes(conversion.parts()), "a converted model");
    const weightBytes = await writeEntry(draft, conversion);
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
 * @throws FILE_UNWRITABLE; what the conversion throws
 */
export async function entryInto(folder: string, conversion: Conversion): Promise<ConvertedModel> {
  try {
    makeFolder(folder);
    const weightBytes = await writeEntry(folder, conversion);
    return { modelPath: join(folder, MODEL), weightBytes };
  } catch (cause) {
    throw asWriteError(cause, folder);
  }
}

/** The folder's time is when its entry was last used: files are read without a trace on most systems. */
function markUsed(folder: string): void {
  try {
    const now = new Date();
    utimesSync(folder, now, now);
  } catch {
    // another user's, or on a disk that is read only: it is used all the same
  }
}

/** A finished entry, or undefined where there is none or a file of it was cut. */
function readEntry(folder: string): ConvertedModel | undefined {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, MANIFEST), "utf8")) as Record<string, unknown>;
    const whole = [WEIGHTS, MODEL].every((file) => statSync(join(folder, file)).size === manifest[file]);
    return whole ? { modelPath: join(folder, MODEL), weightBytes: manifest[WEIGHTS] as number } : undefined;
  } catch {
    return undefined;
  }
}

/** @returns bytes of the weight file */
async function writeEntry(folder: string, conversion: Conversion): Promise<number> {
  const places = await writeWeights(join(folder, WEIGHTS), conversion);
  const graph = conversion.graph({ file: WEIGHTS, places });
  const model = encodeModel(graph, conversion.version, conversion.opset);
  await writeFile(join(folder, MODEL), model, { flush: true });
  const weightBytes = statSync(join(folder, WEIGHTS)).size;
  const manifest = { [WEIGHTS]: weightBytes, [MODEL]: model.length, ...conversion.label };
  await writeFile(join(folder, MANIFEST), JSON.stringify(manifest));
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
