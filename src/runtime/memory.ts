/** Memory of this machine that decides how much of a model can be measured. */
import { cpuFolders, filesBelow, listCaches } from "./host.js";
import { parseAllowedCpus } from "./host-text.js";

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
  const files = filesBelow(root);
  const allowed = parseAllowedCpus(files.text("/proc/self/status") ?? "");
  const cpus = cpuFolders(files).filter((cpu) => allowed === null || allowed.includes(Number(cpu.slice(3))));
  const caches = listCaches(files, cpus);
  if (caches.length === 0) return null;
  const lastLevel = Math.max(...caches.map(({ level }) => level));
  const last = caches.filter(({ level }) => level === lastLevel).map(({ bytes }) => bytes);
  return last
    .sort((a, b) => b - a)
    .slice(0, threads)
    .reduce((sum, bytes) => sum + bytes, 0);
}
