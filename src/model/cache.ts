/**
 * Where converted models are kept: `$XDG_CACHE_HOME/draftplan` or `~/.cache/draftplan` (the platform's own place
 * elsewhere), one folder a model, keyed by what it was made from. Deleting it at any time is safe.
 */
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import envPaths from "env-paths";

export const cacheFolder = (): string => process.env.DRAFTPLAN_CACHE_DIR ?? envPaths("draftplan", { suffix: "" }).cache;

export interface CacheEntry {
  key: string;
  folder: string;
  bytes: number;
}

export function listCache(root = cacheFolder()): CacheEntry[] {
  if (!existsSync(root)) return [];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => {
      const folder = join(root, entry.name);
      const bytes = readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
      return { key: entry.name, folder, bytes };
    });
}

/** Removes every converted model; returns the bytes freed. */
export function clearCache(root = cacheFolder()): number {
  const entries = listCache(root);
  for (const entry of entries) rmSync(entry.folder, { recursive: true, force: true });
  return entries.reduce((sum, entry) => sum + entry.bytes, 0);
}
