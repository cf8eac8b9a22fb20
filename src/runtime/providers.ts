/**
 * Execution providers: the one place that knows how each is appended and where tensors live on it. The engine asks this
 * table and nothing else. docs/devices.md says which parts have run where.
 *
 * Nothing falls back: ONNX Runtime gives an operator that a provider lacks to the CPU and says so only in a log. The
 * session option `session.disable_cpu_ep_fallback` does not prevent it inside `If` branches, where draftplan's blocks
 * are (ONNX Runtime 1.30, WebGPU: a session with 49 products on the CPU was made without a word). So the library is asked
 * where it put every operator, and a model that would run partly on the CPU is refused.
 */
import { DraftplanError } from "../core/errors.js";
import {
  CPU_DIALECT,
  CUDA_DIALECT,
  type GraphDialect,
  UNKNOWN_DIALECT,
  WEBGPU_DIALECT,
} from "../model/graph/dialect.js";
import { HOST_PREFIX } from "../model/graph/host-inputs.js";
import type { ComputesOn } from "../model/needs.js";
import { TARGET_PRECISIONS, type TargetPrecision, withTarget } from "../schema/numerics.js";
import { openWhatCudaWants } from "./gpu/open-library.js";
import { oneLineReason } from "./one-line-reason.js";
import { minorVersion, type OrtApi, type Pointer, RECORD_ASSIGNMENTS } from "./ort-api.js";
import type { FunctionName } from "./ort-functions.js";

/** How a provider gets into the session options. */
export type Append =
  /** always there */
  | { how: "built in" }
  /** an options object of its own: made, filled with keys and values, appended, released */
  | {
      how: "options object";
      create: FunctionName;
      update: FunctionName;
      append: FunctionName;
      release: FunctionName;
      options: Readonly<Record<string, string>>;
    }
  /** SessionOptionsAppendExecutionProvider, by name */
  | { how: "by name"; as: string; options: Readonly<Record<string, string>> };

/** Where the KV cache lies. */
export type CacheMemory =
  /** host memory: the runtime copies it to the device and back where it has to */
  | { on: "host" }
  /** the device's own; the name is an OrtMemoryInfo's */
  | { on: "device"; memoryName: string };

export interface Provider {
  /** what --provider takes */
  name: string;
  /** ONNX Runtime's name, as GetAvailableProviders lists it */
  ortName: string;
  append: Append;
  /** how the graph is written for it, and in which numbers */
  dialect: GraphDialect;
  cache: CacheMemory;
  /**
   * Small inputs (token ids, lengths, choices). "in place": bound once, and the session reads what draftplan writes.
   * "as placed": an input that the session wants on the device is copied there when it is bound, so those are bound
   * again whenever they change; the library says which they are.
   */
  inputs: "in place" | "as placed";
  /** the first minor version whose attention takes positions and a bias there; left out: as the dialect says */
  treesSinceMinor?: number;
  /** the first minor version whose MatMulNBits takes codes of 2 bits there; left out: none is known to */
  twoBitsSinceMinor?: number;
  /** what has to be there, as something to do */
  needs: string;
}

/** What a library can do, as far as the choice of a provider depends on it. */
export interface LibraryFacts {
  /** of ONNX Runtime, e.g. `1.30.0` */
  version: string;
  /** ONNX Runtime's names of the providers it was built with */
  available: readonly string[];
  /** whether it says where it runs each operator; without that only the CPU is trusted */
  placement: boolean;
}

export const libraryFacts = (api: OrtApi): LibraryFacts => ({
  version: api.version,
  available: api.availableProviders(),
  placement: api.placement !== undefined,
});

const CPU_NAME = "CPUExecutionProvider";
const DEVICE_0 = { device_id: "0" } as const;

const TABLE: readonly Provider[] = [
  {
    name: "cpu",
    ortName: CPU_NAME,
    append: { how: "built in" },
    dialect: CPU_DIALECT,
    cache: { on: "host" },
    inputs: "in place",
    twoBitsSinceMinor: 24, // tried: 1.23.2 refuses the graph, 1.24.1 runs it
    needs: "Nothing is needed: every build of ONNX Runtime has it.",
  },
  {
    name: "cuda",
    ortName: "CUDAExecutionProvider",
    append: {
      how: "options object",
      create: "CreateCUDAProviderOptions",
      update: "UpdateCUDAProviderOptions",
      append: "SessionOptionsAppendExecutionProvider_CUDA_V2",
      release: "ReleaseCUDAProviderOptions",
      options: DEVICE_0,
    },
    dialect: CUDA_DIALECT,
    cache: { on: "device", memoryName: "Cuda" },
    inputs: "as placed",
    treesSinceMinor: 31, // the attention's position_ids, and its attention_bias without the fused kernels
    needs:
      "Needs an NVIDIA GPU with its driver, CUDA and cuDNN where the loader finds them, and a GPU build of ONNX Runtime with libonnxruntime_providers_cuda beside it: --ort-library PATH.",
  },
  {
    name: "tensorrt",
    ortName: "TensorrtExecutionProvider",
    append: {
      how: "options object",
      create: "CreateTensorRTProviderOptions",
      update: "UpdateTensorRTProviderOptions",
      append: "SessionOptionsAppendExecutionProvider_TensorRT_V2",
      release: "ReleaseTensorRTProviderOptions",
      options: DEVICE_0,
    },
    dialect: CUDA_DIALECT,
    cache: { on: "device", memoryName: "Cuda" },
    inputs: "as placed",
    needs:
      "Needs what cuda needs, TensorRT, and a GPU build of ONNX Runtime with libonnxruntime_providers_tensorrt beside it: --ort-library PATH.",
  },
  {
    name: "webgpu",
    ortName: "WebGpuExecutionProvider",
    append: { how: "by name", as: "WebGPU", options: {} },
    dialect: WEBGPU_DIALECT,
    cache: { on: "device", memoryName: "WebGPU_Buffer" },
    inputs: "as placed",
    needs:
      "Needs a build of ONNX Runtime with WebGPU (the bundled one has it, except on Linux arm64), a GPU with a Vulkan, Metal or Direct3D 12 driver, and on Linux the Vulkan loader (libvulkan.so.1).",
  },
];

/** `QNNExecutionProvider` -> `qnn` */
const shortName = (ortName: string): string => ortName.replace(/ExecutionProvider$/, "").toLowerCase();

/** A provider that the table does not know: appended by its name, everything bound in host memory. */
const unlisted = (ortName: string): Provider => ({
  name: shortName(ortName),
  ortName,
  append: { how: "by name", as: ortName, options: {} },
  dialect: UNKNOWN_DIALECT,
  cache: { on: "host" },
  inputs: "as placed",
  needs: "draftplan knows nothing about this provider; see ONNX Runtime's own documentation of it.",
});

/**
 * How the graph is written for a provider; one that the table does not know gets the CPU's.
 * @param target the precision that the target is to have there; default: the provider's own
 * @throws OPTION_INVALID where the provider does not compute in the numbers of that precision
 */
export function dialectFor(name: string, target?: TargetPrecision): GraphDialect {
  const own = listed(name)?.dialect ?? UNKNOWN_DIALECT;
  if (target === undefined || target === own.targetPrecision) return own;
  const dialect = withTarget(own, target);
  if (dialect.float === own.float) return dialect;
  const possible = TARGET_PRECISIONS.filter((precision) => withTarget(own, precision).float === own.float);
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `a target in ${target}`,
    what: `draftplan does not compute in ${target} on ${name}`,
    remedy: `Use another provider, or one of these precisions: ${possible.join(", ")}.`,
  });
}

/** undefined: the table does not know it */
export const listed = (name: string): Provider | undefined => TABLE.find((entry) => entry.name === name);

/** Where weights and the KV cache lie on it. */
export const computesOn = (name: string): ComputesOn => (listed(name)?.cache.on === "device" ? "device" : "host");

/** Whether it computes on an NVIDIA GPU by CUDA, of which nvidia-smi can tell. */
export function isNvidia(name: string): boolean {
  const cache = listed(name)?.cache;
  return cache?.on === "device" && cache.memoryName === "Cuda";
}

/** Whether passes over trees run there, where they are asked for (RuntimeOptions). */
export function runsTrees({ dialect, treesSinceMinor }: Provider, { version }: LibraryFacts): boolean {
  return dialect.trees || (treesSinceMinor !== undefined && (minorVersion(version) ?? 0) >= treesSinceMinor);
}

/** All that the table or the library names, in the library's order of preference, then those it lacks. */
export function allProviders(available: readonly string[]): Provider[] {
  const offered = available.map((ortName) => TABLE.find((entry) => entry.ortName === ortName) ?? unlisted(ortName));
  return [...offered, ...TABLE.filter(({ ortName }) => !available.includes(ortName))];
}

/**
 * @throws OPTION_INVALID for a name that neither the table nor the library knows; PROVIDER_UNAVAILABLE where the library
 *   was built without it, or is too old to be trusted with it
 */
export function chooseProvider(name: string, { version, available, placement }: LibraryFacts): Provider {
  const known = allProviders(available);
  const provider = known.find((entry) => entry.name === name);
  if (provider === undefined) {
    throw new DraftplanError({
      code: "OPTION_INVALID",
      at: "--provider",
      what: `'${name}' is not a provider draftplan can run on`,
      remedy: `Use one of: ${known.map((entry) => entry.name).join(", ")}.`,
    });
  }
  if (!available.includes(provider.ortName)) {
    const offers = available.map((ortName) => shortName(ortName)).join(", ");
    throw unavailable(provider, `this build of ONNX Runtime ${version} is without it; it offers ${offers}`);
  }
  if (provider.append.how !== "built in" && !placement) {
    throw unavailable(
      provider,
      `ONNX Runtime ${version} does not say where it runs each operator, and some might fall back to the CPU`,
      "Give ONNX Runtime 1.24 or newer with --ort-library PATH, or use --provider cpu.",
    );
  }
  return provider;
}

export function unavailable(provider: Provider, what: string, remedy?: string, cause?: unknown): DraftplanError {
  return new DraftplanError({
    code: "PROVIDER_UNAVAILABLE",
    at: `--provider ${provider.name}`,
    what,
    remedy: remedy ?? `${provider.needs} Or use --provider cpu.`,
    cause,
  });
}

/** Puts a provider into session options. @throws PROVIDER_UNAVAILABLE with the library's reason */
export function appendProvider(api: OrtApi, settings: Pointer, provider: Provider): void {
  const { append } = provider;
  if (append.how === "built in") return;
  explained(provider, () => {
    if (isNvidia(provider.name)) openWhatCudaWants(api.libraryPath);
    api.check("AddSessionConfigEntry", settings, RECORD_ASSIGNMENTS, "1");
    const [keys, values] = [Object.keys(append.options), Object.values(append.options)];
    if (append.how === "by name") {
      api.check("SessionOptionsAppendExecutionProvider", settings, append.as, keys, values, keys.length);
      return;
    }
    const options = api.create(append.create);
    try {
      api.check(append.update, options, keys, values, keys.length);
      api.check(append.append, settings, options);
    } finally {
      api.release(append.release, options);
    }
  });
}

/** Runs what may fail because of the provider. @throws PROVIDER_UNAVAILABLE in place of RUNTIME_FAILED; cpu's pass */
export function explained<T>(provider: Provider, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (provider.append.how === "built in") throw cause;
    if (!(cause instanceof DraftplanError) || cause.code !== "RUNTIME_FAILED") throw cause;
    throw unavailable(provider, oneLineReason(cause.what), undefined, cause);
  }
}

/** @throws PROVIDER_UNAVAILABLE where the session has operators on the CPU beside the provider's own */
export function refuseFallback(api: Pick<OrtApi, "placement">, session: Pointer, provider: Provider): void {
  if (provider.append.how === "built in" || api.placement === undefined) return;
  const elsewhere = new Map<string, number>();
  for (const { provider: runsOn, operator, name } of api.placement.assignments(session)) {
    if (runsOn === CPU_NAME && !name.startsWith(HOST_PREFIX))
      elsewhere.set(operator, (elsewhere.get(operator) ?? 0) + 1);
  }
  if (elsewhere.size === 0) return;
  const list = [...elsewhere].map(([operator, count]) => `${operator} (${count})`).join(", ");
  throw unavailable(
    provider,
    `it lacks operators that draftplan's graph is made of, and they would run on the CPU: ${list}`,
    "Use --provider cpu, or --ort-library PATH with a build whose provider has them.",
  );
}

/** Inputs that are copied when they are bound, and so have to be bound again when they change. */
export function copiedInputs(api: Pick<OrtApi, "placement">, session: Pointer, provider: Provider): Set<string> {
  const copied = new Set<string>();
  if (provider.inputs === "in place" || api.placement === undefined) return copied;
  for (const [input, memory] of api.placement.inputMemory(session)) if (memory !== "Cpu") copied.add(input);
  return copied;
}
