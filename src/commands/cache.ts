/** draftplan cache: the converted models kept on disk, listed or deleted. */
import { DraftplanError } from "../core/errors.js";
import { type CacheEntry, cacheFolder, clearCache, listCache, listHalfMade, removeEntries } from "../model/cache.js";
import { cacheJson, cacheText } from "../output/cache.js";
import type { CommandContext } from "./context.js";

/** @throws OPTION_INVALID for a name that none has, or the beginning of several keys; FILE_UNWRITABLE */
export async function cacheCommand(options: { clear?: boolean | string }, context: CommandContext): Promise<void> {
  const folder = cacheFolder();
  const freedBytes = freed(options.clear, folder);
  const report = { folder, entries: listCache(folder), halfMade: listHalfMade(folder), freedBytes };
  context.print(context.json ? JSON.stringify(cacheJson(report)) : cacheText(report));
}

function freed(clear: boolean | string | undefined, folder: string): number | null {
  if (clear === undefined || clear === false) return null;
  return clear === true ? clearCache(folder) : removeEntries(entriesNamed(clear, listCache(folder)));
}

/** Fewer digits may be a model's name that was mistyped. */
const LEAST_DIGITS = 4;

/** A model's name is all of its entries, of whatever kernels; a key, or the beginning of one key alone, is one entry. */
function entriesNamed(name: string, entries: readonly CacheEntry[]): CacheEntry[] {
  const ofModel = entries.filter(({ label }) => label?.model === name);
  if (ofModel.length > 0) return ofModel;
  const byKey = name.length < LEAST_DIGITS ? [] : entries.filter(({ key }) => key.startsWith(name));
  if (byKey.length === 1) return byKey;
  const names = [...new Set(entries.map(({ key, label }) => label?.model ?? key.slice(0, 12)))];
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `--clear ${name}`,
    what:
      byKey.length > 1
        ? `${byKey.length} converted models have keys that begin so`
        : `no converted model has this name or key; there ${names.length === 0 ? "are none" : `is ${names.join(", ")}`}`,
    remedy: "draftplan cache lists names and keys; --clear alone deletes all.",
  });
}
