/** Facts about this machine that latencies depend on. Never a host name, never a path. */
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import type { Device } from "../schema/common.js";
import { DEFAULT_PRECISION, type Numerics, type TargetPrecision } from "../schema/numerics.js";
import type { Clock } from "./engine.js";
import { loadOrt } from "./ort-api.js";
import { allProviders, dialectFor } from "./providers.js";

export const systemClock: Clock = { nowUs: () => performance.now() * 1000 };

/** Threads that a run uses unless told otherwise: the processors this process may use. */
export const defaultThreads = (): number => Math.max(1, availableParallelism());

/**
 * @param ortLibrary another build of ONNX Runtime; its version is recorded, its path is not
 * @param target     the target's precision there; default: the provider's own
 * @param scales     how codes and scales of its kernels were found
 */
export function describeDevice(
  provider: string,
  threads: number,
  ortLibrary?: string,
  target: TargetPrecision = dialectFor(provider).targetPrecision,
  scales?: Numerics["scales"],
): Device {
  const ort = loadOrt(ortLibrary);
  const entry = allProviders(ort.availableProviders()).find(({ name }) => name === provider);
  return {
    processor: describeProcessor(entry?.cache.on === "device", processorName(), nvidiaModels()),
    provider,
    threads,
    runtime: `onnxruntime ${ort.version}`,
    platform: `${process.platform} ${process.arch}`,
    // documents are older than targets of another precision than fp32, which therefore has no name in them
    ...(target === DEFAULT_PRECISION ? {} : { target }),
    ...(scales === undefined ? {} : { scales }),
  };
}

/** The processor as the system names it. */
export const processorName = (): string => (cpus()[0]?.model ?? "unknown processor").trim().replace(/\s+/g, " ");

/** What computes: the CPU, or the GPU beside it, where the driver gives its name. */
export function describeProcessor(onGpu: boolean, cpu: string, gpus: readonly string[]): string {
  if (!onGpu) return cpu;
  const gpu = gpus.length === 0 ? "GPU of unknown model" : gpus[0];
  return `${gpu} with ${cpu}`.slice(0, 200); // as long as a document may say
}

/** `Model: <tabs> NVIDIA H100 80GB HBM3`, as NVIDIA's driver for Linux describes each of its GPUs */
export const parseNvidiaModel = (text: string): string | undefined => /^Model:\s*(\S.*?)\s*$/m.exec(text)?.[1];

/** Models of NVIDIA GPUs in the order of their bus addresses; none where there is no such driver. */
export function nvidiaModels(root = "/proc/driver/nvidia/gpus"): string[] {
  try {
    return readdirSync(root)
      .sort()
      .flatMap((gpu) => parseNvidiaModel(readFileSync(join(root, gpu, "information"), "utf8")) ?? []);
  } catch {
    return [];
  }
}
