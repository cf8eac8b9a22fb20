/** Models that lie in the Hugging Face cache, and what documents call them: by their names, since a cache's path is one machine's. */
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { besideDocument, seenFrom } from "../../core/folders.js";
import { readJsonFile } from "../formats/json-file.js";
import {
  COMMIT,
  cacheFolderName,
  EMBEDDED,
  isHubReference,
  parseHubReference,
  referenceText,
  snapshotOf,
} from "./reference.js";
import { hubSettings } from "./settings.js";

export const CONFIG = "config.json";
export const WEIGHTS = "model.safetensors";
export const INDEX = "model.safetensors.index.json";

/** The whole snapshot of a revision that lies in the cache already; null: none does. */
export function cachedSnapshot(place: string, revision: string): string | null {
  const commit = COMMIT.test(revision) ? revision : readReference(join(place, "refs", revision));
  if (commit === null) return null;
  const snapshot = join(place, "snapshots", commit);
  const has = (name: string) => existsSync(join(snapshot, name));
  if (!has(CONFIG)) return null;
  if (has(WEIGHTS)) return snapshot;
  return has(INDEX) && shardsOf(join(snapshot, INDEX)).every(has) ? snapshot : null;
}

export function readReference(path: string): string | null {
  try {
    const commit = readFileSync(path, "utf8").trim();
    return COMMIT.test(commit) ? commit : null;
  } catch {
    return null;
  }
}

const Index = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

/** Plain names alone: anything else could lead out of the folder, and opening the index refuses it. */
export const shardsOf = (index: string): string[] =>
  [...new Set(Object.values(readJsonFile(index, Index).weight_map))]
    .filter((name) => /^[\w.-]+\.safetensors$/.test(name) && !name.startsWith("."))
    .sort();

/**
 * A model's path in a document that lies there: `embedded` and `hf:OWNER/NAME@COMMIT` are names, and anywhere the same.
 * @param path as the user gave it, or of a snapshot in the Hugging Face cache
 */
export const modelSeenFrom = (document: string, path: string): string =>
  path === EMBEDDED || isHubReference(path) ? path : (hubNameOf(path) ?? seenFrom(document, path));

/** Where a model that a document names lies. */
export const modelBeside = (document: string, path: string): string =>
  path === EMBEDDED || isHubReference(path) ? localModel(path) : besideDocument(document, path);

/**
 * The snapshot of a model by its name on the hub, and any other path as it is. Nothing is downloaded because a document names
 * it: what the cache does not hold stays a name, and opening that says how to bring it there.
 */
export function localModel(path: string): string {
  if (!isHubReference(path)) return path;
  const { repository, revision } = parseHubReference(path);
  return cachedSnapshot(join(hubSettings().cache, cacheFolderName(repository)), revision) ?? path;
}

/** The name of a snapshot in the cache that is used here; null for any other folder: another cache's would not be found by it. */
function hubNameOf(path: string): string | null {
  const found = snapshotOf(path);
  if (found === null || !found.repository.includes("/")) return null;
  const place = join(hubSettings().cache, cacheFolderName(found.repository), "snapshots", found.revision);
  return isSameFolder(place, path) ? referenceText(found) : null;
}

function isSameFolder(a: string, b: string): boolean {
  if (resolve(a) === resolve(b)) return true;
  try {
    return realpathSync(a) === realpathSync(b);
  } catch {
    return false;
  }
}
