/**
 * ONNX Runtime's C API, called through koffi.
 *
 * Why not onnxruntime-node's own `run`: it copies every output, the whole KV cache, on each step (85 to 120 ms a token
 * at capacity 8192 for SmolLM2-135M). Through the C API the cache is bound once and stays where it is.
 *
 * The API is a table of function pointers whose order never changes (onnxruntime_c_api.h: functions are only added at
 * the end), so a position and a signature are all that is needed. API version 22 is asked for; every later library
 * still answers it.
 */

import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type koffiModule from "koffi";
import { DraftplanError } from "../core/errors.js";

const API_VERSION = 22;

/** name -> [position in OrtApi, C signature]; `void *` stands for every opaque handle */
const FUNCTIONS = {
  GetErrorCode: [1, "int GetErrorCode(void *status)"],
  GetErrorMessage: [2, "const char *GetErrorMessage(void *status)"],
  CreateEnv: [3, "void *CreateEnv(int level, const char *logid, _Out_ void **env)"],
  CreateSession: [7, "void *CreateSession(void *env, const void *path, void *options, _Out_ void **session)"],
  CreateSessionOptions: [10, "void *CreateSessionOptions(_Out_ void **options)"],
  SetSessionGraphOptimizationLevel: [23, "void *SetSessionGraphOptimizationLevel(void *options, int level)"],
  SetIntraOpNumThreads: [24, "void *SetIntraOpNumThreads(void *options, int threads)"],
  SetInterOpNumThreads: [25, "void *SetInterOpNumThreads(void *options, int threads)"],
  CreateTensorAsOrtValue: [
    48,
    "void *CreateTensorAsOrtValue(void *allocator, const int64_t *shape, size_t rank, int type, _Out_ void **value)",
  ],
  CreateTensorWithDataAsOrtValue: [
    49,
    "void *CreateTensorWithDataAsOrtValue(void *info, void *data, size_t bytes, const int64_t *shape, size_t rank, int type, _Out_ void **value)",
  ],
  GetTensorMutableData: [51, "void *GetTensorMutableData(void *value, _Out_ void **data)"],
  CreateMemoryInfo: [
    68,
    "void *CreateMemoryInfo(const char *name, int allocatorType, int deviceId, int memoryType, _Out_ void **info)",
  ],
  ReleaseEnv: [92, "void ReleaseEnv(void *env)"],
  ReleaseStatus: [93, "void ReleaseStatus(void *status)"],
  ReleaseMemoryInfo: [94, "void ReleaseMemoryInfo(void *info)"],
  ReleaseSession: [95, "void ReleaseSession(void *session)"],
  ReleaseValue: [96, "void ReleaseValue(void *value)"],
  ReleaseSessionOptions: [100, "void ReleaseSessionOptions(void *options)"],
  GetAvailableProviders: [125, "void *GetAvailableProviders(_Out_ void **names, _Out_ int *count)"],
  ReleaseAvailableProviders: [126, "void *ReleaseAvailableProviders(void *names, int count)"],
  AddSessionConfigEntry: [130, "void *AddSessionConfigEntry(void *options, const char *key, const char *value)"],
  CreateAllocator: [131, "void *CreateAllocator(void *session, void *info, _Out_ void **allocator)"],
  ReleaseAllocator: [132, "void ReleaseAllocator(void *allocator)"],
  RunWithBinding: [133, "void *RunWithBinding(void *session, void *options, void *binding)"],
  CreateIoBinding: [134, "void *CreateIoBinding(void *session, _Out_ void **binding)"],
  ReleaseIoBinding: [135, "void ReleaseIoBinding(void *binding)"],
  BindInput: [136, "void *BindInput(void *binding, const char *name, void *value)"],
  BindOutput: [137, "void *BindOutput(void *binding, const char *name, void *value)"],
  SessionOptionsAppendExecutionProvider: [
    216,
    "void *SessionOptionsAppendExecutionProvider(void *options, const char *name, const char **keys, const char **values, size_t count)",
  ],
} as const satisfies Record<string, readonly [number, string]>;

type FunctionName = keyof typeof FUNCTIONS;
export type Pointer = bigint;
export type NativeArgument =
  | Pointer
  | string
  | number
  | ArrayBufferView
  | readonly (string | null)[]
  | null
  | (Pointer | null)[];
type NativeFunction = (...args: NativeArgument[]) => unknown;

export interface OrtApi {
  /** version of the loaded library, e.g. `1.30.0` */
  version: string;
  libraryPath: string;
  /** calls a function that returns a status; throws RUNTIME_FAILED with the library's message */
  check(name: FunctionName, ...args: NativeArgument[]): void;
  /** calls a function whose last parameter is a handle that it fills in */
  create(name: FunctionName, ...args: NativeArgument[]): Pointer;
  /** calls a Release function */
  release(name: FunctionName, handle: Pointer): void;
  /** memory of the library as an ArrayBuffer, without a copy */
  view(pointer: Pointer, bytes: number): ArrayBuffer;
  availableProviders(): string[];
}

/** The library that the onnxruntime-node package carries for this platform. */
export function bundledLibraryPath(): string {
  const require = createRequire(import.meta.url);
  const root = dirname(require.resolve("onnxruntime-node/package.json"));
  const folder = join(root, "bin", "napi-v6", process.platform, process.arch);
  const pattern =
    process.platform === "win32"
      ? /^onnxruntime\.dll$/
      : process.platform === "darwin"
        ? /^libonnxruntime.*\.dylib$/
        : /^libonnxruntime\.so/;
  try {
    const file = readdirSync(folder).find((name) => pattern.test(name));
    if (file !== undefined) return join(folder, file);
  } catch {
    // reported below
  }
  throw new DraftplanError({
    code: "RUNTIME_LOAD",
    at: "onnxruntime-node",
    what: `the package carries no library for ${process.platform} ${process.arch}`,
    remedy: "Use Linux x64 or arm64, Windows x64 or arm64, or macOS arm64, and reinstall with: npm ci",
  });
}

let loaded: OrtApi | undefined;
/** koffi closes a library when its object is collected, and the function table would dangle: never let go of one. */
const keptOpen: unknown[] = [];

/** Loads the library once per process. @throws RUNTIME_LOAD */
export function loadOrt(libraryPath = bundledLibraryPath()): OrtApi {
  if (loaded !== undefined && loaded.libraryPath === libraryPath) return loaded;
  try {
    loaded = bindLibrary(libraryPath);
    return loaded;
  } catch (cause) {
    if (cause instanceof DraftplanError) throw cause;
    throw new DraftplanError({
      code: "RUNTIME_LOAD",
      at: "onnxruntime",
      what: `the ONNX Runtime library could not be loaded (${cause instanceof Error ? cause.message : String(cause)})`,
      remedy: "Reinstall with: npm ci",
      cause,
    });
  }
}

function bindLibrary(libraryPath: string): OrtApi {
  const koffi = createRequire(import.meta.url)("koffi") as typeof koffiModule;
  // Session creation recurses into every nested graph: koffi's 2 MiB are not certain to do.
  koffi.config({ ...koffi.config(), sync_stack_size: 8 << 20 });
  const library = koffi.load(libraryPath);
  keptOpen.push(library);
  const base = library.func("void *OrtGetApiBase()")() as Pointer;
  const [getApi, getVersion] = koffi.decode(base, "void *", 2) as Pointer[];
  const version = koffi.call(getVersion, koffi.proto("const char *GetVersionString()")) as string;
  const api = koffi.call(getApi, koffi.proto("void *GetApi(uint32_t version)"), API_VERSION) as Pointer | null;
  if (api === null) throw new Error(`version ${version} does not offer API ${API_VERSION}`);

  const positions = Object.values(FUNCTIONS).map(([position]) => position);
  const table = koffi.decode(api, "void *", Math.max(...positions) + 1) as Pointer[];
  const functions = Object.fromEntries(
    Object.entries(FUNCTIONS).map(([name, [position, signature]]) => [
      name,
      koffi.decode(table[position], koffi.proto(signature)),
    ]),
  ) as Record<FunctionName, NativeFunction>;

  const verify = (name: FunctionName, status: unknown) => {
    if (status === null) return;
    const message = functions.GetErrorMessage(status as Pointer) as string;
    functions.ReleaseStatus(status as Pointer);
    throw new DraftplanError({
      code: "RUNTIME_FAILED",
      at: `onnxruntime ${version}: ${name}`,
      what: message,
      remedy: "Run the command again with --debug; if memory is short, use a smaller --context.",
    });
  };
  return {
    version,
    libraryPath,
    check: (name, ...args) => verify(name, functions[name](...args)),
    create(name, ...args) {
      const out: (Pointer | null)[] = [null];
      verify(name, functions[name](...args, out));
      return out[0] as Pointer;
    },
    release: (name, handle) => void functions[name](handle),
    view: (pointer, bytes) => koffi.view(pointer, bytes),
    availableProviders() {
      const names: (Pointer | null)[] = [null];
      const count = [0] as unknown as (Pointer | null)[];
      verify("GetAvailableProviders", functions.GetAvailableProviders(names, count));
      const list = koffi.decode(names[0] as Pointer, "const char *", Number(count[0])) as string[];
      verify("ReleaseAvailableProviders", functions.ReleaseAvailableProviders(names[0], Number(count[0])));
      return list;
    },
  };
}
