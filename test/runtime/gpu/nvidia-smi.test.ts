/** nvidia-smi: a stand-in on the PATH that answers as drivers do, and what a profile keeps of it. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { gpuFacts, readGpu, throttledText } from "../../../src/runtime/gpu/nvidia-smi.js";
import { GpuFacts } from "../../../src/schema/gpu.js";
import { temporaryFolder } from "../../support/tiny-checkpoint.js";

afterEach(() => {
  vi.unstubAllEnvs();
});

/** Puts a program of this name first on the PATH; it sees its arguments as $*. */
function standIn(script: string): void {
  const folder = join(temporaryFolder(), "bin");
  mkdirSync(folder);
  writeFileSync(join(folder, "nvidia-smi"), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, "nvidia-smi"), 0o755);
  vi.stubEnv("PATH", `${folder}${delimiter}${process.env.PATH}`);
}

const H200 = "NVIDIA H200, 580.95.05, 143771, 143200, 1980, 700.00, 1980, 3201, 118.42, 31";

describe("a driver that answers", () => {
  test("gives memory, clocks, power and heat; idleness and chosen limits slow nothing down", () => {
    standIn(`echo '${H200}, 0x0000000000000003'`);
    expect(readGpu()).toEqual({
      name: "NVIDIA H200",
      driver: "580.95.05",
      memoryBytes: 143771 * 1024 * 1024,
      freeBytes: 143200 * 1024 * 1024,
      maxSmClockMhz: 1980,
      powerLimitWatts: 700,
      reading: {
        sm_clock_mhz: 1980,
        memory_clock_mhz: 3201,
        power_watts: 118.42,
        temperature_celsius: 31,
        throttled_by: [],
      },
    });
  });

  // nvml.h: SwPowerCap 4, HwSlowdown 8, SwThermalSlowdown 0x20, HwThermalSlowdown 0x40, HwPowerBrakeSlowdown 0x80
  test.each([
    ["0x4", ["power cap"]],
    ["0x8", ["hardware slowdown"]],
    ["0x20", ["thermal slowdown"]],
    ["0x48", ["hardware slowdown", "hardware thermal slowdown"]],
    ["0x80", ["power brake"]],
    ["0x112", []],
  ])("reasons %s", (mask, reasons) => {
    standIn(`echo '${H200}, ${mask}'`);
    expect(readGpu()?.reading.throttled_by).toEqual(reasons);
  });

  test("an older one, which calls the reasons otherwise and fails over the new name", () => {
    standIn(`case "$*" in *event_reasons*) echo 'Field "clocks_event_reasons.active" is not a valid field to query.'; exit 2;;
*throttle_reasons*) echo '${H200}, 0x4';; esac`);
    expect(readGpu()?.reading.throttled_by).toEqual(["power cap"]);
  });

  test("what it does not know is null", () => {
    standIn("echo 'NVIDIA GB10, 580.1, [N/A], [N/A], [N/A], [N/A], 2400, [N/A], [Not Supported], 40, [N/A]'");
    const gpu = readGpu();
    expect(gpu).toMatchObject({ memoryBytes: null, freeBytes: null, powerLimitWatts: null });
    expect(gpu?.reading).toMatchObject({ sm_clock_mhz: 2400, power_watts: null, throttled_by: [] });
  });

  test("is asked for the GPU that CUDA calls the first", () => {
    standIn(`case "$1" in --id=GPU-5a) echo '${H200}, 0x0';; *) echo 'wrong'; exit 6;; esac`);
    expect(readGpu()).toBeNull();
    vi.stubEnv("CUDA_VISIBLE_DEVICES", "GPU-5a,1");
    expect(readGpu()).not.toBeNull();
    vi.stubEnv("CUDA_VISIBLE_DEVICES", "");
    expect(readGpu()).toBeNull();
  });
});

test.each([
  ["nothing of that name", () => null],
  ["no devices were found", () => "No devices were found\n"],
  ["an empty answer", () => ""],
])("%s: no facts, no refusal", (_what, run) => {
  expect(readGpu(run)).toBeNull();
});

test("no such program", () => {
  vi.stubEnv("PATH", temporaryFolder());
  expect(readGpu()).toBeNull();
});

test("a document keeps both readings, and the warning names what slowed it down and when", () => {
  const at = (mask: string) => readGpu(() => `${H200}, ${mask}`);
  const facts = (before: string, after: string) => {
    const [from, to] = [at(before), at(after)];
    if (from === null || to === null) throw new Error("the stand-in answers");
    return GpuFacts.parse(gpuFacts(from, to));
  };
  expect(throttledText(facts("0x0", "0x1"))).toBeNull();
  expect(throttledText(facts("0x0", "0x24"))).toBe(
    "the GPU was slowed down after the sweep (power cap, thermal slowdown), at 1980 MHz, 31 °C",
  );
  expect(throttledText(facts("0x4", "0x4"))).toMatch(/before and after the sweep \(power cap\)/);
});
