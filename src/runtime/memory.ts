/** Memory of this machine that decides how much of a model can be measured. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Bytes this process may still take: what the machine has free, or what is left of its control group's limit. */
export const availableMemoryBytes = (): number => process.availableMemory();

/**
 * Bytes of all last-level caches together: threads run on several of them, each of which keeps its share of the weights.
 * @param root where Linux describes the processors; elsewhere there is no such folder
 * @returns null where the system does not say
 */
export function lastLevelCacheBytes(root = "/sys/devices/system/cpu"): number | null {
  const caches = foldersOf(root, /^cpu\d+$/).flatMap((cpu) =>
    foldersOf(join(root, cpu, "cache"), /^index\d+$/).flatMap((index) => readCache(join(root, cpu, "cache", index))),
  );
  const lastLevel = Math.max(...caches.map(({ level }) => level));
  // every processor lists the cache it shares with others
  const distinct = new Map(caches.filter(({ level }) => level === lastLevel).map(({ cpus, bytes }) => [cpus, bytes]));
  return distinct.size === 0 ? null : [...distinct.values()].reduce((sum, bytes) => sum + bytes, 0);
}

interface Cache {
  level: number;
  bytes: number;
  /** the processors that share it, `0-7` */
  cpus: string;
}

const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** @returns one cache, or none where its description is not as expected */
function readCache(folder: string): Cache[] {
  const read = (name: string) => readFileSync(join(folder, name), "utf8").trim();
  try {
    const size = /^(\d+)([KMG])$/.exec(read("size"));
    const level = Number(read("level"));
    if (size === null || !Number.isInteger(level)) return [];
    return [{ level, bytes: Number(size[1]) * UNITS[size[2]], cpus: read("shared_cpu_list") }];
  } catch {
    return [];
  }
}

function foldersOf(path: string, name: RegExp): string[] {
  try {
    return readdirSync(path).filter((entry) => name.test(entry));
  } catch {
    return [];
  }
}
