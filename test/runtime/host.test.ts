/** The machine's facts from planted texts of /proc and /sys. */
import { describe, expect, test } from "vitest";
import { bytesToRead, summarise } from "../../src/runtime/bandwidth.js";
import { type HostFiles, hostFacts } from "../../src/runtime/host.js";
import {
  busyCores,
  parseAllowedCpus,
  parseControlGroups,
  parseCpuList,
  parseCpuMax,
  parseCpuTicks,
  parseMeminfo,
  parseMemoryLimit,
  parsePhysicalCores,
  parseSimd,
} from "../../src/runtime/host-text.js";

const block = (processor: number, core: number, flags: string) =>
  `processor\t: ${processor}\nmodel name\t: Example 9000\nphysical id\t: 0\ncore id\t\t: ${core}\nflags\t\t: ${flags}\n`;
const X86 = [0, 1, 2, 3].map((i) => block(i, i >> 1, "fpu sse2 fma avx2 avx512f avx512_vnni")).join("\n");
const ARM = "processor\t: 0\nFeatures\t: fp asimd aes asimddp i8mm\nCPU implementer\t: 0x41\n";

describe("texts", () => {
  test("lists of processors", () => {
    expect(parseCpuList("0-3,8\n")).toEqual([0, 1, 2, 3, 8]);
    expect(parseCpuList("5")).toEqual([5]);
    expect(parseCpuList("")).toEqual([]);
    expect(parseCpuList("none")).toEqual([]);
  });

  test("what this process may run on", () => {
    expect(parseAllowedCpus("Name:\tnode\nCpus_allowed:\t5\nCpus_allowed_list:\t0,2\n")).toEqual([0, 2]);
    expect(parseAllowedCpus("Name:\tnode\n")).toBeNull();
  });

  test("instruction sets of x86 and Arm; null where none are listed", () => {
    expect(parseSimd(X86)).toEqual(["AVX2", "FMA", "AVX-512", "AVX-512 VNNI"]);
    expect(parseSimd(ARM)).toEqual(["NEON", "dot product", "int8 matrix product"]);
    expect(parseSimd("flags\t\t: fpu sse2\n")).toEqual([]);
    expect(parseSimd("")).toBeNull();
  });

  test("two threads of a core are one core", () => {
    expect(parsePhysicalCores(X86)).toBe(2);
    expect(parsePhysicalCores(ARM)).toBeNull();
  });

  test("memory", () => {
    expect(parseMeminfo("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n")).toEqual({
      totalBytes: 1_024_000,
      availableBytes: 409_600,
    });
    expect(parseMeminfo("MemTotal:       1000 kB\n")).toBeNull();
  });

  test("busy processors between two readings: waiting for disks is idle, guest time is not counted twice", () => {
    const ticks = (user: number, idle: number, iowait: number) =>
      parseCpuTicks(`cpu  ${user} 0 10 ${idle} ${iowait} 0 0 5 ${9 * user} 0\ncpu0 1 2 3 4\n`);
    const [from, to] = [ticks(100, 1000, 50), ticks(150, 1040, 60)];
    if (from === null || to === null) throw new Error("not read");
    expect(busyCores(from, to, 4)).toBeCloseTo(2, 12); // 50 of 100 ticks, on 4 processors
    expect(busyCores(from, from, 4)).toBeNull();
    expect(parseCpuTicks("intr 1 2 3\n")).toBeNull();
  });

  test("control groups of both versions", () => {
    expect(parseControlGroups("0::/user.slice/a\n")).toEqual({ unified: "/user.slice/a", controllers: new Map() });
    const old = parseControlGroups("5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n1:name=systemd:/\n");
    expect(old.unified).toBeNull();
    expect(old.controllers.get("cpu")).toBe("/docker/x");
    expect(old.controllers.get("memory")).toBe("/docker/x");
  });

  test("limits, and no limits", () => {
    expect(parseCpuMax("150000 100000\n")).toBe(1.5);
    expect(parseCpuMax("max 100000\n")).toBeNull();
    expect(parseCpuMax("-1 100000")).toBeNull();
    expect(parseMemoryLimit("1073741824\n")).toBe(2 ** 30);
    expect(parseMemoryLimit("max\n")).toBeNull();
    expect(parseMemoryLimit("9223372036854771712\n")).toBeNull();
  });
});

/** Files by path; a folder's names are those of the paths below it. */
const planted = (files: Record<string, string>): HostFiles => ({
  text: (path) => files[path] ?? null,
  names: (path) => [
    ...new Set(
      Object.keys(files).flatMap((file) =>
        file.startsWith(`${path}/`) ? file.slice(path.length + 1).split("/")[0] : [],
      ),
    ),
  ],
});

const CPUS = "/sys/devices/system/cpu";
const cache = (cpu: number, index: number, level: number, type: string, size: string, shared: string) => ({
  [`${CPUS}/cpu${cpu}/cache/index${index}/level`]: `${level}\n`,
  [`${CPUS}/cpu${cpu}/cache/index${index}/type`]: `${type}\n`,
  [`${CPUS}/cpu${cpu}/cache/index${index}/size`]: `${size}\n`,
  [`${CPUS}/cpu${cpu}/cache/index${index}/shared_cpu_list`]: `${shared}\n`,
});
const MACHINE: Record<string, string> = {
  "/proc/cpuinfo": X86,
  "/proc/self/status": "Cpus_allowed_list:\t0-2\n",
  "/proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n",
  "/proc/self/cgroup": "0::/outer/inner\n",
  "/sys/fs/cgroup/outer/inner/cpu.max": "max 100000\n",
  "/sys/fs/cgroup/outer/cpu.max": "250000 100000\n",
  "/sys/fs/cgroup/outer/inner/memory.max": "2147483648\n",
  "/sys/fs/cgroup/outer/memory.max": "3221225472\n",
};
for (const cpu of [0, 1, 2, 3]) {
  const shared = cpu < 2 ? "0-1" : "2-3";
  Object.assign(MACHINE, cache(cpu, 0, 1, "Data", "32K", shared), cache(cpu, 1, 1, "Instruction", "32K", shared));
  Object.assign(MACHINE, cache(cpu, 2, 2, "Unified", "1M", shared), cache(cpu, 3, 3, "Unified", "32M", "0-3"));
  MACHINE[`${CPUS}/cpu${cpu}/topology/core_cpus_list`] = `${shared}\n`;
  MACHINE[`${CPUS}/cpu${cpu}/cpufreq/scaling_governor`] = cpu === 3 ? "ondemand\n" : "powersave\n";
}

describe("a planted machine", () => {
  test("cores, their limit from an outer control group, and the tightest limit on memory", () => {
    const facts = hostFacts(planted(MACHINE));
    expect(facts.cores).toMatchObject({ allowed: 3, physical: 2, quota: 2.5 });
    expect(facts.memory).toEqual({ totalBytes: 2 ** 33, availableBytes: 2 ** 31, limitBytes: 2 ** 31 });
  });

  test("caches, shared ones counted once, those for instructions left out", () => {
    expect(hostFacts(planted(MACHINE)).caches).toEqual([
      { level: 1, type: "Data", bytes: 32 * 1024, count: 2 },
      { level: 2, type: "Unified", bytes: 2 ** 20, count: 2 },
      { level: 3, type: "Unified", bytes: 32 * 2 ** 20, count: 1 },
    ]);
  });

  test("governors of the processors it may use", () => {
    expect(hostFacts(planted(MACHINE)).governors).toEqual(["powersave"]);
  });

  test("limits of control groups of version 1", () => {
    const facts = hostFacts(
      planted({
        "/proc/self/cgroup": "3:cpu,cpuacct:/box\n2:memory:/box\n",
        "/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "50000\n",
        "/sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/memory/box/memory.limit_in_bytes": "1073741824\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      }),
    );
    expect(facts.cores.quota).toBe(0.5);
    expect(facts.memory.limitBytes).toBe(2 ** 30);
  });

  test("a system without these files: what Node knows, and null for the rest", () => {
    const facts = hostFacts(planted({}));
    expect(facts).toMatchObject({ simd: null, caches: null, governors: null });
    expect(facts.cores).toMatchObject({ physical: null, quota: null });
    expect(facts.cores.allowed).toBeGreaterThanOrEqual(1);
    expect(facts.cores.logical).toBeGreaterThanOrEqual(facts.cores.allowed);
    expect(facts.memory.totalBytes).toBeGreaterThanOrEqual(facts.memory.availableBytes);
  });
});

describe("how much memory is read", () => {
  const MIB = 2 ** 20;
  test.each([
    ["four times a large cache", 96 * MIB, 64 * 1024 * MIB, 384 * MIB],
    ["256 MiB where the cache is small or not known", null, 64 * 1024 * MIB, 256 * MIB],
    ["1 GiB at most", 512 * MIB, 64 * 1024 * MIB, 1024 * MIB],
    ["a quarter of what is available", 32 * MIB, 512 * MIB, 128 * MIB],
  ])("%s", (_what, cacheBytes, availableBytes, expected) => {
    expect(bytesToRead(cacheBytes, availableBytes)).toBe(expected);
  });

  test.each([
    ["memory is short", 32 * MIB, 128 * MIB],
    ["the cache would hold half of it", 768 * MIB, 64 * 1024 * MIB],
  ])("nothing where %s", (_what, cacheBytes, availableBytes) => {
    expect(bytesToRead(cacheBytes, availableBytes)).toBeNull();
  });

  test("the fastest pass counts, and the median is told", () => {
    expect(summarise([40, 10, 20], { bytes: 1000, threads: 2, budgetUs: 0 })).toEqual({
      bytesPerSecond: 1e8,
      medianBytesPerSecond: 5e7,
      bytes: 1000,
      passes: 3,
      threads: 2,
    });
  });
});
