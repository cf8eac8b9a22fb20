/**
 * The machine as `draftplan doctor` shows it. Linux tells nearly everything; what another system does not tell is null.
 * Never a host name.
 */
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism, cpus, freemem, loadavg, totalmem } from "node:os";
import { posix } from "node:path";
import { processorName } from "./device.js";
import {
  busyCores,
  type CpuTicks,
  parseAllowedCpus,
  parseControlGroups,
  parseCpuList,
  parseCpuMax,
  parseCpuTicks,
  parseMeminfo,
  parseMemoryLimit,
  parsePhysicalCores,
  parseSimd,
} from "./host-text.js";

/** Where facts are read from; tests plant them. */
export interface HostFiles {
  /** null where there is no such file */
  text(path: string): string | null;
  /** names in a folder; none where there is no such folder */
  names(path: string): string[];
}

export interface Cache {
  level: number;
  /** Data, Unified; those for instructions alone are left out */
  type: string;
  bytes: number;
  /** how many of them the machine has */
  count: number;
}

export interface HostFacts {
  processor: string;
  simd: string[] | null;
  cores: {
    /** processors that this process may run on */
    allowed: number;
    /** processors of the machine, a core's two threads counted twice */
    logical: number;
    physical: number | null;
    /** cores' worth of time that a control group allows; null: no limit, or not known */
    quota: number | null;
  };
  caches: Cache[] | null;
  /** clock governors of the allowed processors, each once */
  governors: string[] | null;
  memory: { totalBytes: number; availableBytes: number; limitBytes: number | null };
  /** runnable processes, averaged over the last minute */
  loadOneMinute: number | null;
}

const CPUS = "/sys/devices/system/cpu";

/** @param root where the system's own folders are; tests give a folder of theirs */
export const filesBelow = (root: string): HostFiles => ({
  text(path) {
    try {
      return readFileSync(posix.join(root, path), "utf8");
    } catch {
      return null;
    }
  },
  names(path) {
    try {
      return readdirSync(posix.join(root, path));
    } catch {
      return [];
    }
  },
});

const systemFiles: HostFiles = filesBelow("/");

export function hostFacts(files: HostFiles = systemFiles): HostFacts {
  const cpuinfo = files.text("/proc/cpuinfo") ?? "";
  const allowed = parseAllowedCpus(files.text("/proc/self/status") ?? "");
  const limits = controlGroupLimits(files);
  return {
    processor: processorName(),
    simd: parseSimd(cpuinfo),
    cores: {
      allowed: allowed?.length ?? Math.max(1, availableParallelism()),
      logical: Math.max(1, cpus().length, allowed?.length ?? 0),
      physical: physicalCores(files) ?? parsePhysicalCores(cpuinfo),
      quota: limits.cores,
    },
    caches: caches(files),
    governors: governors(files, allowed),
    memory: hostMemory(files, limits),
    // Windows has no such average, and Node gives zeros there
    loadOneMinute: process.platform === "win32" ? null : loadavg()[0],
  };
}

/** Memory alone: processors and their caches, a folder each, are not looked at. */
export function hostMemory(
  files: HostFiles = systemFiles,
  { memoryBytes } = controlGroupLimits(files),
): HostFacts["memory"] {
  const memory = parseMeminfo(files.text("/proc/meminfo") ?? "");
  return {
    totalBytes: memory?.totalBytes ?? totalmem(),
    availableBytes: Math.min(memory?.availableBytes ?? freemem(), memoryBytes ?? Infinity),
    limitBytes: memoryBytes,
  };
}

/** Ticks of all processors until now; null where the system does not say. */
export const readCpuTicks = (files: HostFiles = systemFiles): CpuTicks | null =>
  parseCpuTicks(files.text("/proc/stat") ?? "");

/** Cores' worth of work that went on between two readings, this process's own included. */
export function busyBetween(from: CpuTicks | null, to: CpuTicks | null, logicalCores: number): number | null {
  return from === null || to === null ? null : busyCores(from, to, logicalCores);
}

export const cpuFolders = (files: HostFiles): string[] => files.names(CPUS).filter((name) => /^cpu\d+$/.test(name));

/** Sets of processors that share a core, counted. */
function physicalCores(files: HostFiles): number | null {
  const sets = cpuFolders(files).flatMap((cpu) => {
    const topology = `${CPUS}/${cpu}/topology`;
    return files.text(`${topology}/core_cpus_list`) ?? files.text(`${topology}/thread_siblings_list`) ?? [];
  });
  return sets.length === 0 ? null : new Set(sets.map((text) => text.trim())).size;
}

const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** One cache as the processors that share it list it. */
export interface ListedCache extends Omit<Cache, "count"> {
  /** the processors that share it, `0-7` */
  cpus: string;
}

/** Caches for data of the processors named (`cpu0`), each once; one that is not described as expected is left out. */
export function listCaches(files: HostFiles, cpuNames: readonly string[]): ListedCache[] {
  const found = new Map<string, ListedCache>();
  for (const cpu of cpuNames) {
    const folder = `${CPUS}/${cpu}/cache`;
    for (const index of files.names(folder).filter((name) => /^index\d+$/.test(name))) {
      const read = (name: string) => files.text(`${folder}/${index}/${name}`)?.trim();
      const size = /^(\d+)([KMG])$/.exec(read("size") ?? "");
      const [level, type, sharedBy] = [
        Number(read("level") ?? Number.NaN),
        read("type") ?? "",
        read("shared_cpu_list"),
      ];
      if (size === null || !Number.isInteger(level) || sharedBy === undefined || type === "Instruction") continue;
      const bytes = Number(size[1]) * UNITS[size[2]];
      found.set(`${level} ${type} ${sharedBy}`, { level, type, bytes, cpus: sharedBy });
    }
  }
  return [...found.values()];
}

function caches(files: HostFiles): Cache[] | null {
  const kinds = new Map<string, Cache>();
  for (const { cpus: _, ...cache } of listCaches(files, cpuFolders(files))) {
    const kind = `${cache.level} ${cache.type} ${cache.bytes}`;
    kinds.set(kind, { ...cache, count: (kinds.get(kind)?.count ?? 0) + 1 });
  }
  return kinds.size === 0 ? null : [...kinds.values()].sort((a, b) => a.level - b.level);
}

function governors(files: HostFiles, allowed: readonly number[] | null): string[] | null {
  const ids = allowed ?? parseCpuList(files.text(`${CPUS}/online`) ?? "");
  const names = ids.flatMap((id) => files.text(`${CPUS}/cpu${id}/cpufreq/scaling_governor`)?.trim() ?? []);
  return names.length === 0 ? null : [...new Set(names)].sort();
}

/** The tightest limit of this process's control group and of those around it. */
function controlGroupLimits(files: HostFiles): { cores: number | null; memoryBytes: number | null } {
  const groups = parseControlGroups(files.text("/proc/self/cgroup") ?? "");
  const root = "/sys/fs/cgroup";
  const tightest = (base: string, path: string | null | undefined, read: (folder: string) => number | null) => {
    const found = path == null ? [] : upward(path).flatMap((part) => read(posix.join(base, part)) ?? []);
    return found.length === 0 ? null : Math.min(...found);
  };
  const least = (...limits: (number | null)[]) => {
    const known = limits.filter((limit) => limit !== null);
    return known.length === 0 ? null : Math.min(...known);
  };
  const text = (folder: string, name: string) => files.text(`${folder}/${name}`) ?? "";
  const { unified, controllers } = groups;
  return {
    cores: least(
      tightest(root, unified, (folder) => parseCpuMax(text(folder, "cpu.max"))),
      tightest(`${root}/cpu`, controllers.get("cpu"), (folder) =>
        parseCpuMax(`${text(folder, "cpu.cfs_quota_us").trim()} ${text(folder, "cpu.cfs_period_us").trim()}`),
      ),
    ),
    memoryBytes: least(
      tightest(root, unified, (folder) => parseMemoryLimit(text(folder, "memory.max"))),
      tightest(`${root}/memory`, controllers.get("memory"), (folder) =>
        parseMemoryLimit(text(folder, "memory.limit_in_bytes")),
      ),
    ),
  };
}

/** `/a/b` -> [`/a/b`, `/a`, `/`] */
function upward(path: string): string[] {
  const parts = [path];
  while (parts[parts.length - 1] !== "/") parts.push(posix.dirname(parts[parts.length - 1]));
  return parts;
}
