/** What the machine says of its caches, read from folders made as Linux makes them. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { availableMemoryBytes, lastLevelCacheBytes } from "../../src/runtime/memory.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const MIB = 2 ** 20;
type Cache = { level: number; size: string; cpus: string };

/** @param cpus the caches of each processor */
function machine(cpus: readonly (readonly Cache[])[], allowed?: string): string {
  const root = temporaryFolder();
  cpus.forEach((caches, cpu) => {
    caches.forEach(({ level, size, cpus: shared }, index) => {
      const folder = join(root, `sys/devices/system/cpu/cpu${cpu}/cache/index${index}`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "level"), `${level}\n`);
      writeFileSync(join(folder, "size"), `${size}\n`);
      writeFileSync(join(folder, "shared_cpu_list"), `${shared}\n`);
    });
  });
  mkdirSync(join(root, "proc/self"), { recursive: true });
  if (allowed !== undefined)
    writeFileSync(join(root, "proc/self/status"), `Name:\tx\nCpus_allowed_list:\t${allowed}\n`);
  return root;
}
const own = (cpu: number): Cache[] => [
  { level: 1, size: "32K", cpus: String(cpu) },
  { level: 2, size: "1024K", cpus: String(cpu) },
];
const withL3 = (cpu: number, size: string, cpus: string): Cache[] => [...own(cpu), { level: 3, size, cpus }];

describe("the last-level cache", () => {
  const two = [0, 1].map((cpu) => withL3(cpu, "32768K", "0-1"));
  /** four processors, each pair with a cache of its own */
  const pairs = [0, 1, 2, 3].map((cpu) => withL3(cpu, cpu < 2 ? "16M" : "96M", cpu < 2 ? "0-1" : "2-3"));

  test("that two processors share counts once", () => {
    expect(lastLevelCacheBytes(2, machine(two))).toBe(32 * MIB);
  });
  test("counts as often as there are several that threads can be on, the largest first", () => {
    expect(lastLevelCacheBytes(4, machine(pairs))).toBe(112 * MIB);
    expect(lastLevelCacheBytes(1, machine(pairs))).toBe(96 * MIB);
  });
  test.each([
    ["0-1", 16],
    ["3", 96],
    ["1,2-3", 112],
  ])("is one next to the processors the process may use: %s", (allowed, mib) => {
    expect(lastLevelCacheBytes(4, machine(pairs, allowed))).toBe(mib * MIB);
  });
  test("is the second level where there is no third", () => {
    expect(lastLevelCacheBytes(2, machine([own(0), own(1)]))).toBe(2 * MIB);
  });
  test("is not known where the system does not say, or not as expected", () => {
    expect(lastLevelCacheBytes(2, temporaryFolder())).toBeNull();
    expect(lastLevelCacheBytes(2, machine([[{ level: 3, size: "much", cpus: "0" }]]))).toBeNull();
  });
});

test("some memory is available, and less than a thousand terabytes", () => {
  expect(availableMemoryBytes()).toBeGreaterThan(2 ** 20);
  expect(availableMemoryBytes()).toBeLessThan(2 ** 60);
});
