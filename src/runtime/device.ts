/** Facts about this machine that latencies depend on. Never a host name, never a path. */
import { availableParallelism, cpus } from "node:os";
import type { Device } from "../schema/common.js";
import type { Clock } from "./engine.js";
import { loadOrt } from "./ort-api.js";

export const systemClock: Clock = { nowUs: () => performance.now() * 1000 };

/** Threads that a run uses unless told otherwise: the processors this process may use. */
export const defaultThreads = (): number => Math.max(1, availableParallelism());

export function describeDevice(provider: string, threads: number): Device {
  return {
    processor: (cpus()[0]?.model ?? "unknown processor").trim().replace(/\s+/g, " "),
    provider,
    threads,
    runtime: `onnxruntime ${loadOrt().version}`,
    platform: `${process.platform} ${process.arch}`,
  };
}
