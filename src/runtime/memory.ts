/** Memory of this machine that decides how much of a model can be measured. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Bytes this process may still take: what the machine has free, or what is left of its control group's limit. */
export const availableMemoryBytes = (): number => process.availableMemory();

/**
 * Bytes of the last-level caches that so many threads can keep weights in: on a processor with several, each thread's
 * share stays in the cache next to it.
 * @param threads that compute
 * @param root    where Linux describes processors and processes; elsewhere there is no such folder
 * @returns null where the system does not say
 */
export function lastLevelCacheBytes(threads: number, root = "/"): number | null {
  const processors = join(root, "sys/devices/system/cpu");
  const allowed = allowedProcessors(root);
  const caches = foldersOf(processors, /^cpu\d+$/)
    .filter((cpu) => allowed === null || allowed.has(Number(cpu.slice(3))))
    .flatMap((cpu) => {
      const folder = join(processors, cpu, "cache");
      return foldersOf(folder, /^index\d+$/).flatMap((index) => readCache(join(folder, index)));
    });
  const lastLevel = Math.max(...caches.map(({ level }) => level));
  // every processor lists the cache it shares with others
  const distinct = new Map(caches.filter(({ level }) => level === lastLevel).map(({ cpus, bytes }) => [cpus, bytes]));
  if (distinct.size === 0) return null;
  const largest = [...distinct.values()].sort((a, b) => b - a).slice(0, threads);
  return largest.reduce((sum, bytes) => sum + bytes, 0);
}

/** Processors this process may run on; null where that is not said: all of them. */
function allowedProcessors(root: string): Set<number> | null {
  try {
    const status = readFileSync(join(root, "proc/self/status"), "utf8");
    const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1];
    if (list === undefined) return null;
    const ranges = list.split(",").map((range) => range.split("-").map(Number));
    return new Set(ranges.flatMap(([from, to = from]) => Array.from({ length: to - from + 1 }, (_, i) => from + i)));
  } catch {
    return null;
  }
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
