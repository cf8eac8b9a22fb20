/** Folders to write into. */
import { mkdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { errnoOf } from "./blocking.js";
import { followLinks } from "./descriptor-path.js";

/**
 * A folder and those above it. Node's own `recursive` tries for ever where the system answers ENOENT for a folder whose
 * parent is there, as /proc does.
 * @throws a system error
 */
export function makeFolder(path: string): void {
  const missing: string[] = [];
  for (let folder = resolve(path); !isFolder(folder); folder = dirname(folder)) {
    missing.push(folder);
    if (dirname(folder) === folder) break;
  }
  for (const folder of missing.reverse()) {
    try {
      mkdirSync(folder);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST" || !isFolder(folder)) throw error; // otherwise another process was faster
    }
  }
}

/** The path of one file as seen from the folder that a document is in; `-`: printed here. */
export const seenFrom = (document: string, path: string): string =>
  relative(document === "-" ? realpathSync(".") : folderOf(document), realFile(path)).replaceAll("\\", "/");

/** The folder that a file really lies in, links resolved: where relative paths in a document start. */
function folderOf(file: string): string {
  const target = followLinks(file);
  return "descriptor" in target ? process.cwd() : realFolder(dirname(target.path));
}

/** Where a path in a document leads: as the document's own path is written, where no link is in between. */
export function besideDocument(document: string, path: string): string {
  if (isAbsolute(path)) return path;
  const folder = folderOf(document);
  return join(folder === resolve(dirname(document)) ? dirname(document) : folder, path);
}

/** A file by the path without links; one that is open already (`/dev/stdin`) has no other name. */
function realFile(path: string): string {
  const target = followLinks(path);
  return "descriptor" in target ? path : join(realFolder(dirname(target.path)), basename(target.path));
}

/** A folder by the path without links; what is not there yet has none. */
function realFolder(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return dirname(path) === path ? path : join(realFolder(dirname(path)), basename(path));
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
