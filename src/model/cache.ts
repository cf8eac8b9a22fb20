/**
 * Where converted models are kept: `$XDG_CACHE_HOME/draftplan` or `~/.cache/draftplan` (the platform's own place
 * elsewhere), one folder a model, keyed by what it was made from. Deleting it at any time is safe. Nothing here looks
 * at, or deletes, a folder whose name draftplan did not give: DRAFTPLAN_CACHE_DIR may be anyone's home.
 */
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import envPaths from "env-paths";
import { errnoOf } from "../core/blocking.js";
import { DraftplanError } from "../core/errors.js";
import { homeFolder, xdgCacheHome } from "../core/user-folders.js";

const KEY = /^[0-9a-f]{40}$/;
const PARTIAL = /^\.partial-(\d+)-/;

/** A conversion writes all the time. Process numbers say nothing where containers share a cache; this does. */
const IDLE_MS = 10 * 60_000;

export function cacheFolder(): string {
  const { DRAFTPLAN_CACHE_DIR } = process.env;
  if (DRAFTPLAN_CACHE_DIR) return DRAFTPLAN_CACHE_DIR;
  if (process.platform === "darwin") return join(homeFolder(), "Library", "Caches", "draftplan");
  if (process.platform === "win32") return envPaths("draftplan", { suffix: "" }).cache;
  return join(xdgCacheHome(), "draftplan");
}

/** What an entry says of itself, beside the sizes of its files; entries of earlier builds say nothing. */
export interface EntryLabel {
  /** the model's name */
  model: string;
  /** `fp32 int8` */
  kernels: string;
}

export interface CacheEntry {
  key: string;
  folder: string;
  bytes: number;
  /** null: made by an earlier build */
  label: EntryLabel | null;
  /** ms since 1970 */
  usedMs: number;
}

/** A conversion that is going on, or that a process left behind. */
export interface HalfMade {
  folder: string;
  bytes: number;
  /** whether its process runs here, so that clearing spares it */
  running: boolean;
}

export const MANIFEST = "manifest.json";

/** A name for a conversion in progress, unlike any other's. */
export const partialFolder = (root: string): string => join(root, `.partial-${process.pid}-${randomUUID()}`);

/** The entry last used first. */
export function listCache(root = cacheFolder()): CacheEntry[] {
  return foldersIn(root)
    .filter((name) => KEY.test(name))
    .map((name) => {
      const folder = join(root, name);
      // loading touches the folder (entry.ts)
      const usedMs = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0;
      return { key: name, folder, bytes: folderSize(folder).bytes, label: readLabel(folder), usedMs };
    })
    .sort((a, b) => b.usedMs - a.usedMs || (a.key < b.key ? -1 : 1));
}

export function listHalfMade(root = cacheFolder()): HalfMade[] {
  return foldersIn(root).flatMap((name) => {
    const pid = PARTIAL.exec(name)?.[1];
    if (pid === undefined) return [];
    const folder = join(root, name);
    return [{ folder, bytes: folderSize(folder).bytes, running: isRunning(Number(pid)) }];
  });
}

/** A manifest is anybody's text until it has been looked at. */
function readLabel(folder: string): EntryLabel | null {
  try {
    const { model, kernels } = JSON.parse(readFileSync(join(folder, MANIFEST), "utf8"));
    return typeof model === "string" && typeof kernels === "string" ? { model, kernels } : null;
  } catch {
    return null;
  }
}

/** Removes every converted model, and what conversions that were killed left behind; returns the bytes freed. */
export function clearCache(root = cacheFolder()): number {
  return removeEntries(listCache(root)) + removeAbandoned(root, 0);
}

/**
 * Removes these entries.
 * @returns the bytes freed
 * @throws FILE_UNWRITABLE for one that cannot be removed
 */
export function removeEntries(entries: readonly CacheEntry[]): number {
  for (const { folder } of entries) {
    try {
      rmSync(folder, { recursive: true, force: true });
    } catch (cause) {
      throw new DraftplanError({
        code: "FILE_UNWRITABLE",
        at: folder,
        what: `this converted model could not be deleted (${errnoOf(cause) ?? String(cause)})`,
        remedy: "Delete it as the user who owns it.",
        cause,
      });
    }
  }
  return entries.reduce((sum, entry) => sum + entry.bytes, 0);
}

/** Removes the folders of conversions whose process is gone and that nobody wrote to lately; returns the bytes freed. */
export function removeAbandoned(root: string, idleMs = IDLE_MS): number {
  let freed = 0;
  for (const name of foldersIn(root)) {
    const pid = PARTIAL.exec(name)?.[1];
    if (pid === undefined || isRunning(Number(pid))) continue;
    const { bytes, writtenMs } = folderSize(join(root, name));
    if (Date.now() - writtenMs < idleMs) continue;
    try {
      rmSync(join(root, name), { recursive: true, force: true });
      freed += bytes;
    } catch {
      // another user's: theirs to remove
    }
  }
  return freed;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH"; // EPERM: another user's
  }
}

function foldersIn(root: string): string[] {
  try {
    return readdirSync(root, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return []; // not there, or not a folder: it holds no converted model
  }
}

/** Files may vanish meanwhile: another process clears the cache, or finishes its conversion. */
function folderSize(folder: string): { bytes: number; writtenMs: number } {
  const size = { bytes: 0, writtenMs: 0 };
  try {
    for (const path of [folder, ...readdirSync(folder).map((file) => join(folder, file))]) {
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat?.isFile()) size.bytes += stat.size;
      size.writtenMs = Math.max(size.writtenMs, stat?.mtimeMs ?? 0);
    }
  } catch {
    // gone: what was counted until now is as good an answer as any
  }
  return size;
}
