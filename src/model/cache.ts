/**
 * Where converted models are kept: `$XDG_CACHE_HOME/draftplan` or `~/.cache/draftplan` (the platform's own place
 * elsewhere), one folder a model, keyed by what it was made from. Deleting it at any time is safe. Nothing here looks
 * at, or deletes, a folder whose name draftplan did not give: DRAFTPLAN_CACHE_DIR may be anyone's home.
 */
import { randomUUID } from "node:crypto";
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import envPaths from "env-paths";

const KEY = /^[0-9a-f]{40}$/;
const PARTIAL = /^\.partial-(\d+)-/;

/** A conversion writes all the time. Process numbers say nothing where containers share a cache; this does. */
const IDLE_MS = 10 * 60_000;

export const cacheFolder = (): string => process.env.DRAFTPLAN_CACHE_DIR || envPaths("draftplan", { suffix: "" }).cache;

export interface CacheEntry {
  key: string;
  folder: string;
  bytes: number;
}

/** A name for a conversion in progress, unlike any other's. */
export const partialFolder = (root: string): string => join(root, `.partial-${process.pid}-${randomUUID()}`);

export function listCache(root = cacheFolder()): CacheEntry[] {
  return foldersIn(root)
    .filter((name) => KEY.test(name))
    .map((name) => ({ key: name, folder: join(root, name), bytes: folderSize(join(root, name)).bytes }));
}

/** Removes every converted model, and what conversions that were killed left behind; returns the bytes freed. */
export function clearCache(root = cacheFolder()): number {
  const entries = listCache(root);
  for (const entry of entries) rmSync(entry.folder, { recursive: true, force: true });
  return entries.reduce((sum, entry) => sum + entry.bytes, 0) + removeAbandoned(root, 0);
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
