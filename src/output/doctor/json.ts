/** The value that `draftplan doctor --json` prints. */
import type { DoctorReport } from "../../pipeline/doctor/report.js";
import type { Gpu } from "../../runtime/gpu/nvidia-smi.js";

const gpuJson = (gpu: Gpu) => ({
  name: gpu.name,
  driver: gpu.driver,
  memory_bytes: gpu.memoryBytes,
  free_bytes: gpu.freeBytes,
  max_sm_clock_mhz: gpu.maxSmClockMhz,
  power_limit_watts: gpu.powerLimitWatts,
  ...gpu.reading,
});

export function doctorJson(report: DoctorReport): unknown {
  const { library, host, bandwidth } = report;
  const { cores, memory } = host;
  return {
    can_run: report.failure === null,
    library: { version: library.version, source: report.librarySource, refusal: library.refusal },
    provider: report.provider,
    providers: report.providers.map(({ name, ortName, refusal }) => ({
      ...{ name, ort_name: ortName, runs: refusal === null, refusal },
    })),
    cuda:
      report.cuda === null
        ? null
        : {
            refusal: report.cuda.refusal,
            libraries: report.cuda.libraries.map(({ onDemand, ...state }) => ({ ...state, on_demand: onDemand })),
          },
    gpu: report.gpu === null ? null : gpuJson(report.gpu),
    platform: report.platform,
    processor: host.processor,
    simd: host.simd,
    cores: { allowed: cores.allowed, logical: cores.logical, physical: cores.physical, quota: cores.quota },
    caches: host.caches,
    clock_governors: host.governors,
    load: { one_minute: host.loadOneMinute, busy_cores: report.busyCores },
    memory: { total_bytes: memory.totalBytes, available_bytes: memory.availableBytes, limit_bytes: memory.limitBytes },
    threads: report.threads,
    bandwidth:
      bandwidth === null
        ? null
        : {
            bytes_per_second: bandwidth.bytesPerSecond,
            median_bytes_per_second: bandwidth.medianBytesPerSecond,
            bytes: bandwidth.bytes,
            passes: bandwidth.passes,
            threads: bandwidth.threads,
          },
    cache: report.cache,
    warnings: report.warnings,
  };
}
