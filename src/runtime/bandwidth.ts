/**
 * Read bandwidth of the memory, measured with what is at hand: ONNX Runtime multiplies a vector by a matrix much larger
 * than the last-level cache, with the threads that a model would use. That is what decoding one token mostly is.
 *
 * It reads as fast as a plain loop does: on two cores of an AMD EPYC (Zen 3) it gave 20 GB/s with one thread and 35 to 37
 * with two, where a C program that adds up the same 256 MiB with AVX2 gave 18 and 24 to 28. Products with the matrix on
 * the other side, transposed, or sums of its rows gave less.
 */
import { encodeModel, FLOAT, value } from "../model/graph/onnx.js";
import type { Clock } from "./engine.js";
import type { OrtApi, Pointer } from "./ort-api.js";
import { createSession, openEnvironment } from "./threads/pool.js";

export interface BandwidthRequest {
  threads: number;
  /** of the matrix: several times the last-level cache */
  bytes: number;
  /** µs that passes may take together, the first one not counted */
  budgetUs: number;
}

export interface Bandwidth {
  /** of the fastest pass: other work can only make a pass slower */
  bytesPerSecond: number;
  medianBytesPerSecond: number;
  bytes: number;
  passes: number;
  threads: number;
}

/** Rows of the matrix; the product is threaded over its columns. */
const ROWS = 1024;
const MIN_PASSES = 3;

const MIB = 2 ** 20;
const LEAST_BYTES = 256 * MIB;
const MOST_BYTES = 1024 * MIB;
const CACHES = 4; // a matrix of so many last-level caches: at most a quarter of it can be found there
const FEWEST_CACHES = 2;
const MEMORY_SHARE = 1 / 4;

/**
 * @param cacheBytes null where the system does not say
 * @returns bytes to read; null where memory has no room for enough more than the cache
 */
export function bytesToRead(cacheBytes: number | null, availableBytes: number): number | null {
  const wanted = Math.max(LEAST_BYTES, CACHES * (cacheBytes ?? 0));
  const bytes = Math.min(wanted, MOST_BYTES, availableBytes * MEMORY_SHARE);
  const enough = Math.max(FEWEST_CACHES * (cacheBytes ?? 0), LEAST_BYTES / 4);
  return bytes < enough ? null : Math.floor(bytes / (4 * ROWS)) * 4 * ROWS;
}

/** Times passes over a matrix of ones. */
export function measureReadBandwidth(api: OrtApi, request: BandwidthRequest, clock: Clock): Bandwidth {
  const pass = openProduct(api, request);
  try {
    pass.run(); // starts the threads
    const times: number[] = [];
    const end = clock.nowUs() + request.budgetUs;
    while (times.length < MIN_PASSES || clock.nowUs() < end) {
      const from = clock.nowUs();
      pass.run();
      times.push(clock.nowUs() - from);
    }
    return summarise(times, request);
  } finally {
    pass.close();
  }
}

/** @param timesUs of single passes, at least one */
export function summarise(timesUs: readonly number[], { bytes, threads }: BandwidthRequest): Bandwidth {
  const sorted = [...timesUs].sort((a, b) => a - b);
  const perSecond = (us: number) => (1e6 * bytes) / us;
  return {
    bytesPerSecond: perSecond(sorted[0]),
    medianBytesPerSecond: perSecond(sorted[Math.floor(sorted.length / 2)]),
    bytes,
    passes: sorted.length,
    threads,
  };
}

/** A session of one product: vector [1, rows] times matrix [rows, columns]. */
function openProduct(api: OrtApi, { threads, bytes }: BandwidthRequest): { run(): void; close(): void } {
  const columns = bytes / 4 / ROWS;
  const graph = {
    name: "bandwidth",
    node: [{ opType: "MatMul", input: ["x", "w"], output: ["y"], name: "product" }],
    initializer: [],
    input: [value("x", FLOAT, [1, ROWS]), value("w", FLOAT, [ROWS, columns])],
    output: [value("y", FLOAT, [1, columns])],
  };
  const model = encodeModel(graph, "1");
  const open: (() => void)[] = [];
  const own = (release: Parameters<OrtApi["release"]>[0], handle: Pointer) => {
    open.push(() => api.release(release, handle));
    return handle;
  };
  const env = openEnvironment(api, own, threads);
  const session = createSession(api, own, threads, (settings) =>
    api.create("CreateSessionFromArray", env, model, model.length, settings),
  );
  const binding = own("ReleaseIoBinding", api.create("CreateIoBinding", session));
  const info = own("ReleaseMemoryInfo", api.create("CreateMemoryInfo", "Cpu", 0, 0, 0));
  // ones: pages that were never written would all be one page of zeros, in the first-level cache
  const tensor = (shape: readonly number[]) => {
    const data = new Float32Array(shape[0] * shape[1]).fill(1);
    const dims = BigInt64Array.from(shape.map(BigInt));
    const handle = api.create("CreateTensorWithDataAsOrtValue", info, data, data.byteLength, dims, dims.length, 1);
    return { data, handle: own("ReleaseValue", handle) };
  };
  const tensors = { x: tensor([1, ROWS]), w: tensor([ROWS, columns]), y: tensor([1, columns]) };
  api.check("BindInput", binding, "x", tensors.x.handle);
  api.check("BindInput", binding, "w", tensors.w.handle);
  api.check("BindOutput", binding, "y", tensors.y.handle);
  return {
    run() {
      api.check("RunWithBinding", session, null, binding);
      if (tensors.y.data[0] !== ROWS) throw new Error("the product of ones is wrong"); // and holds the arrays alive
    },
    close: () => {
      while (open.length > 0) open.pop()?.();
    },
  };
}
