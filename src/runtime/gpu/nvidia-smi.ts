/** What NVIDIA's own tool says of the GPU: its memory, clocks, power, heat, and why it is slowed down. */
import { spawnSync } from "node:child_process";
import type { GpuFacts, GpuReading, ThrottleReason } from "../../schema/gpu.js";

export interface Gpu {
  name: string;
  driver: string | null;
  memoryBytes: number | null;
  freeBytes: number | null;
  maxSmClockMhz: number | null;
  powerLimitWatts: number | null;
  reading: GpuReading;
}

const TIMEOUT_MS = 10_000;

/** Newer drivers say "event reasons" where older ones say "throttle reasons". */
const REASONS = ["clocks_event_reasons.active", "clocks_throttle_reasons.active"] as const;
const FIELDS = [
  ...["name", "driver_version", "memory.total", "memory.free", "clocks.max.sm", "power.limit"],
  ...["clocks.sm", "clocks.mem", "power.draw", "temperature.gpu"],
];

/** Bits of nvmlClocksEventReasons (nvml.h); the others are idleness, and limits that somebody set on purpose. */
const REASON_BITS: readonly (readonly [bit: number, reason: ThrottleReason])[] = [
  [0x4, "power cap"],
  [0x8, "hardware slowdown"],
  [0x20, "thermal slowdown"],
  [0x40, "hardware thermal slowdown"],
  [0x80, "power brake"],
];

/** @returns what it printed; null where there is no such tool, or it failed */
export type RunSmi = (args: readonly string[]) => string | null;

const runSmi: RunSmi = (args) => {
  const { status, stdout } = spawnSync("nvidia-smi", args, { encoding: "utf8", timeout: TIMEOUT_MS });
  return status === 0 ? stdout : null;
};

/**
 * The GPU that CUDA calls device 0.
 * @returns null where there is no such tool or it knows no GPU: nothing is said then, and nothing refused
 */
export function readGpu(run: RunSmi = runSmi, visible = process.env.CUDA_VISIBLE_DEVICES): Gpu | null {
  const [device = "0"] = visible?.split(",").map((one) => one.trim()) ?? [];
  if (!/^[\w-]+$/.test(device)) return null; // an empty list hides every GPU
  for (const reasons of REASONS) {
    const text = run([
      `--id=${device}`,
      `--query-gpu=${[...FIELDS, reasons].join(",")}`,
      "--format=csv,noheader,nounits",
    ]);
    const gpu = text === null ? null : parseGpu(text);
    if (gpu !== null) return gpu;
  }
  return null;
}

/** @param text a line of values in the order of FIELDS and the reasons; "[N/A]" and the like: not known */
function parseGpu(text: string): Gpu | null {
  const values = (text.trim().split("\n")[0] ?? "").split(",").map((value) => value.trim());
  if (values.length !== FIELDS.length + 1) return null;
  const [name, driver, total, free, maxSm, limit, sm, memory, power, temperature, reasons] = values;
  const mask = /^0x[0-9a-f]+$/i.test(reasons) ? Number(reasons) : 0;
  return {
    name,
    driver: /^\d/.test(driver) ? driver : null,
    memoryBytes: mebibytes(total),
    freeBytes: mebibytes(free),
    maxSmClockMhz: numberOf(maxSm),
    powerLimitWatts: numberOf(limit),
    reading: {
      sm_clock_mhz: numberOf(sm),
      memory_clock_mhz: numberOf(memory),
      power_watts: numberOf(power),
      temperature_celsius: numberOf(temperature),
      throttled_by: REASON_BITS.filter(([bit]) => (mask & bit) !== 0).map(([, reason]) => reason),
    },
  };
}

const numberOf = (text: string): number | null => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : null);

function mebibytes(text: string): number | null {
  const value = numberOf(text);
  return value === null ? null : Math.round(value * 2 ** 20);
}

/** Both readings as a document keeps them. */
export function gpuFacts(before: Gpu, after: Gpu): GpuFacts {
  return {
    driver: before.driver,
    memory_bytes: before.memoryBytes,
    max_sm_clock_mhz: before.maxSmClockMhz,
    power_limit_watts: before.powerLimitWatts,
    before: before.reading,
    after: after.reading,
  };
}

/** What slowed the GPU down, as a warning says it; null: nothing did. */
export function throttledText({ before, after }: GpuFacts): string | null {
  const reasons = [...new Set([...before.throttled_by, ...after.throttled_by])];
  if (reasons.length === 0) return null;
  const when = [before, after].map(({ throttled_by }) => throttled_by.length > 0);
  const moment = when[0] ? (when[1] ? "before and after" : "before") : "after";
  const { sm_clock_mhz: clock, temperature_celsius: heat } = after;
  const now = [clock === null ? "" : `${clock} MHz`, heat === null ? "" : `${heat} °C`].filter((text) => text !== "");
  return `the GPU was slowed down ${moment} the sweep (${reasons.join(", ")})${now.length === 0 ? "" : `, at ${now.join(", ")}`}`;
}
