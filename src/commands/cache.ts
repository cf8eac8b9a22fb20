/** draftplan cache: the converted models kept on disk, listed or deleted. */
import { cacheFolder, clearCache, listCache } from "../model/cache.js";
import { formatBytes } from "../output/format.js";
import type { CommandContext } from "./context.js";

export async function cacheCommand(options: { clear?: boolean }, context: CommandContext): Promise<void> {
  const folder = cacheFolder();
  const freedBytes = options.clear === true ? clearCache(folder) : null;
  const entries = listCache(folder).map(({ key, bytes }) => ({ key, bytes }));
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  if (context.json) {
    context.print(JSON.stringify({ folder, entries, bytes, freed_bytes: freedBytes }));
    return;
  }
  if (freedBytes !== null) context.print(`${formatBytes(freedBytes)} freed in ${folder}`);
  else {
    context.print(
      `${folder}: ${entries.length} converted ${entries.length === 1 ? "model" : "models"}, ${formatBytes(bytes)}`,
    );
    for (const entry of entries) context.print(`  ${entry.key}  ${formatBytes(entry.bytes)}`);
  }
}
