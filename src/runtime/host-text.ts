/** How Linux describes a machine: pure readers of the texts under /proc and /sys. */

/** What a run can use of a processor: kernels of ONNX Runtime exist for these. */
const FEATURES: Readonly<Record<string, string>> = {
  avx2: "AVX2",
  fma: "FMA",
  avx512f: "AVX-512",
  avx_vnni: "AVX-VNNI",
  avx512_vnni: "AVX-512 VNNI",
  avx512_bf16: "AVX-512 BF16",
  amx_int8: "AMX int8",
  asimd: "NEON",
  asimddp: "dot product",
  i8mm: "int8 matrix product",
  sve: "SVE",
};

/** `0-3,8` -> [0, 1, 2, 3, 8] */
export function parseCpuList(text: string): number[] {
  return text
    .trim()
    .split(",")
    .flatMap((part) => {
      const range = /^(\d+)(?:-(\d+))?$/.exec(part.trim());
      if (range === null) return [];
      const from = Number(range[1]);
      const to = Number(range[2] ?? range[1]);
      return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
    });
}

/** Processors of /proc/self/status that this process may run on; null where it does not say. */
export function parseAllowedCpus(status: string): number[] | null {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status);
  return list === null ? null : parseCpuList(list[1]);
}

/** Instruction sets of the first processor in /proc/cpuinfo, as far as they matter here; null where it lists none. */
export function parseSimd(cpuinfo: string): string[] | null {
  const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo);
  if (line === null) return null;
  const flags = new Set(line[1].split(/\s+/));
  return Object.entries(FEATURES).flatMap(([flag, name]) => (flags.has(flag) ? [name] : []));
}

/** Cores of /proc/cpuinfo, two threads of one counted once; null where it does not tell them apart. */
export function parsePhysicalCores(cpuinfo: string): number | null {
  const cores = cpuinfo.split(/\n\s*\n/).flatMap((block) => {
    const id = (key: string) => new RegExp(`^${key}\\s*:\\s*(\\d+)$`, "m").exec(block)?.[1];
    const [socket, core] = [id("physical id"), id("core id")];
    return socket === undefined || core === undefined ? [] : [`${socket}/${core}`];
  });
  return cores.length === 0 ? null : new Set(cores).size;
}

/** MemTotal and MemAvailable of /proc/meminfo. */
export function parseMeminfo(meminfo: string): { totalBytes: number; availableBytes: number } | null {
  const kib = (key: string) => new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(meminfo)?.[1];
  const [total, available] = [kib("MemTotal"), kib("MemAvailable")];
  if (total === undefined || available === undefined) return null;
  return { totalBytes: Number(total) * 1024, availableBytes: Number(available) * 1024 };
}

/** Ticks of all processors since start, of /proc/stat. */
export interface CpuTicks {
  busy: number;
  total: number;
}

export function parseCpuTicks(stat: string): CpuTicks | null {
  const line = /^cpu\s+(.*)$/m.exec(stat);
  if (line === null) return null;
  // user nice system idle iowait irq softirq steal; guest time is part of user's
  const ticks = line[1].trim().split(/\s+/).slice(0, 8).map(Number);
  if (ticks.length < 5 || !ticks.every(Number.isFinite)) return null;
  const total = ticks.reduce((sum, n) => sum + n, 0);
  return { busy: total - ticks[3] - ticks[4], total };
}

/** Cores' worth of work between two readings; null where the clock has not moved. */
export function busyCores(from: CpuTicks, to: CpuTicks, processors: number): number | null {
  const passed = to.total - from.total;
  return passed <= 0 ? null : (processors * (to.busy - from.busy)) / passed;
}

export interface ControlGroups {
  /** path in the one hierarchy of version 2 */
  unified: string | null;
  /** controller -> path, version 1 */
  controllers: ReadonlyMap<string, string>;
}

/** /proc/self/cgroup */
export function parseControlGroups(text: string): ControlGroups {
  let unified: string | null = null;
  const controllers = new Map<string, string>();
  for (const [, names, path] of text.matchAll(/^\d+:([^:\n]*):(\/[^\n]*)$/gm)) {
    if (names === "") unified = path;
    else for (const name of names.split(",")) controllers.set(name, path);
  }
  return { unified, controllers };
}

/** `150000 100000` of cpu.max -> 1.5 cores; null for no limit */
export function parseCpuMax(text: string): number | null {
  const limit = /^(\d+)\s+(\d+)\s*$/.exec(text);
  return limit === null ? null : Number(limit[1]) / Number(limit[2]);
}

/** Version 1 writes "no limit" as a number of about 2^63. */
const NO_LIMIT_BYTES = 2 ** 60;

/** memory.max, or memory.limit_in_bytes of version 1; null for no limit */
export function parseMemoryLimit(text: string): number | null {
  const bytes = /^\d+\s*$/.test(text) ? Number(text) : Infinity;
  return bytes < NO_LIMIT_BYTES ? bytes : null;
}
