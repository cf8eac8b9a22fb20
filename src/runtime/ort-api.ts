/**
 * ONNX Runtime's C API, called through koffi.
 *
 * Why not onnxruntime-node's own `run`: it copies every output, the whole KV cache, on each step (85 to 120 ms a token
 * at capacity 8192 for SmolLM2-135M). Through the C API the cache is bound once and stays where it is.
 */

import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import type koffiModule from "koffi";
import { DraftplanError } from "../core/errors.js";
import { checkLibraryFile } from "./library-file.js";
import {
  API_VERSION,
  FUNCTIONS,
  type FunctionName,
  PLACEMENT_FUNCTIONS,
  PLACEMENT_SINCE_MINOR,
  type Placement,
  type Pointer,
} from "./ort-functions.js";
import { forbidTelemetry } from "./telemetry.js";

export type { Pointer };
export type NativeArgument =
  | Pointer
  | string
  | number
  | ArrayBufferView
  | readonly (string | null)[]
  | null
  | (Pointer | null)[];
export type NativeFunction = (...args: NativeArgument[]) => unknown;

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
  /** where a session's inputs and operators are; undefined where the library is too old to say (before 1.24) */
  placement: Placement | undefined;
}

/** Session option that makes the library record what `assignments` returns. */
export const RECORD_ASSIGNMENTS = "session.record_ep_graph_assignment_info";

/** A path as the library takes it: `ORTCHAR_T *`, which is `wchar_t *` on Windows. */
export const nativePath = (path: string): Buffer =>
  Buffer.from(`${path}\0`, process.platform === "win32" ? "utf16le" : "utf8");

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
  } catch {} // reported below
  throw new DraftplanError({
    code: "RUNTIME_LOAD",
    at: "onnxruntime-node",
    what: `the package carries no library for ${process.platform} ${process.arch}`,
    remedy:
      "Use Linux x64 or arm64, Windows x64 or arm64, or macOS arm64, and reinstall with: npm ci; or give another build with --ort-library PATH.",
  });
}

const loaded = new Map<string, OrtApi>();
/** koffi closes a library when its object is collected, and the function table would dangle: never let go of one. */
const keptOpen: unknown[] = [];
/** koffi knows a prototype by its name, once a process; a second library uses the same ones. */
const prototypes = new Map<string, ReturnType<typeof koffiModule.proto>>();

/**
 * Loads a library once per process.
 * @param chosen another build of ONNX Runtime's shared library; undefined: the one that travels with draftplan
 * @throws RUNTIME_LOAD
 */
export function loadOrt(chosen?: string): OrtApi {
  const path = chosen === undefined ? bundledLibraryPath() : resolve(chosen);
  const known = loaded.get(path);
  if (known !== undefined) return known;
  const origin =
    chosen === undefined
      ? { at: "onnxruntime", remedy: "Reinstall with: npm ci" }
      : { at: `--ort-library ${chosen}`, remedy: "Leave --ort-library out, or give a build for this machine." };
  if (chosen !== undefined) checkLibraryFile(path, origin.at);
  try {
    const api = bindLibrary(path, origin.at);
    loaded.set(path, api);
    return api;
  } catch (cause) {
    if (cause instanceof DraftplanError) throw cause;
    throw new DraftplanError({
      code: "RUNTIME_LOAD",
      at: origin.at,
      what: `the ONNX Runtime library could not be loaded (${cause instanceof Error ? cause.message : String(cause)})`,
      remedy: origin.remedy,
      cause,
    });
  }
}

/** The `minor` of 1.minor.patch; undefined where the version is written otherwise. */
export function minorVersion(version: string): number | undefined {
  const [, minor] = /^1\.(\d+)(\D|$)/.exec(version) ?? [];
  return minor === undefined ? undefined : Number(minor);
}

type Koffi = typeof koffiModule;
type Functions<Name extends string> = Record<Name, NativeFunction>;
/** Throws what a status says; null is no error. */
type Verify = (name: string, status: unknown) => void;

function prototype(koffi: Koffi, signature: string): ReturnType<Koffi["proto"]> {
  const made = prototypes.get(signature) ?? koffi.proto(signature);
  prototypes.set(signature, made);
  return made;
}

let configured: Koffi | undefined;

/** koffi's settings are fixed with the first library. */
function loadKoffi(): Koffi {
  if (configured === undefined) {
    configured = createRequire(import.meta.url)("koffi") as Koffi;
    // Session creation recurses into every nested graph: koffi's 2 MiB are not certain to do.
    configured.config({ ...configured.config(), sync_stack_size: 8 << 20 });
  }
  return configured;
}

function bindLibrary(libraryPath: string, at: string): OrtApi {
  const koffi = loadKoffi();
  const { table, version } = openTable(koffi, libraryPath, at);
  const functions = bindFunctions(koffi, table, FUNCTIONS);
  const verify = statusReader(functions, version);
  const ort: Omit<OrtApi, "placement"> = {
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
      const { start, items } = readList(koffi, "const char *", (out, count) =>
        verify("GetAvailableProviders", functions.GetAvailableProviders(out, count)),
      );
      verify("ReleaseAvailableProviders", functions.ReleaseAvailableProviders(start, items.length));
      return items as string[];
    },
  };
  const recent = (minorVersion(version) ?? 0) >= PLACEMENT_SINCE_MINOR;
  return { ...ort, placement: recent ? readPlacement(koffi, table, ort, verify) : undefined };
}

/** Opens the library and finds the table of functions in it. */
function openTable(koffi: Koffi, path: string, at: string): { table: Pointer; version: string } {
  forbidTelemetry(
    process.platform === "win32" ? null : koffi.load(null).func("int setenv(const char *, const char *, int)"),
  );
  const library = koffi.load(path);
  keptOpen.push(library);
  let entry: () => unknown;
  try {
    entry = library.func("void *OrtGetApiBase()");
  } catch (cause) {
    throw new DraftplanError({
      code: "RUNTIME_LOAD",
      at,
      what: "it is a library, but not ONNX Runtime's: it has no OrtGetApiBase",
      remedy: "Give the path of libonnxruntime itself (libonnxruntime.so, libonnxruntime.dylib or onnxruntime.dll).",
      cause,
    });
  }
  const [getApi, getVersion] = koffi.decode(entry() as Pointer, "void *", 2) as Pointer[];
  const version = koffi.call(getVersion, prototype(koffi, "const char *GetVersionString()")) as string;
  const signature = prototype(koffi, "void *GetApi(uint32_t version)");
  const table = koffi.call(getApi, signature, API_VERSION) as Pointer | null;
  if (table !== null) return { table, version };
  throw new DraftplanError({
    code: "RUNTIME_LOAD",
    at,
    what: `ONNX Runtime ${version} does not offer version ${API_VERSION} of its C API`,
    remedy: `Give a build of ONNX Runtime 1.${API_VERSION} or newer, or leave --ort-library out.`,
  });
}

function bindFunctions<Name extends string>(
  koffi: Koffi,
  table: Pointer,
  wanted: Readonly<Record<Name, readonly [number, string]>>,
): Functions<Name> {
  const entries = Object.entries(wanted) as [Name, readonly [number, string]][];
  const length = Math.max(...entries.map(([, [position]]) => position)) + 1;
  const pointers = koffi.decode(table, "void *", length) as Pointer[];
  return Object.fromEntries(
    entries.map(([name, [position, signature]]) => [
      name,
      koffi.decode(pointers[position], prototype(koffi, signature)),
    ]),
  ) as Functions<Name>;
}

function statusReader(functions: Functions<FunctionName>, version: string): Verify {
  return (name, status) => {
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
}

/** What a call tells through its last two parameters: where a list starts, and how long it is. */
function readList(
  koffi: Koffi,
  type: string,
  call: (start: (Pointer | null)[], count: (Pointer | null)[]) => void,
): { start: Pointer | null; items: unknown[] } {
  const start: (Pointer | null)[] = [null];
  const count = [0] as unknown as (Pointer | null)[];
  call(start, count);
  const length = Number(count[0]);
  const items = length === 0 ? [] : (koffi.decode(start[0] as Pointer, type, length) as unknown[]);
  return { start: start[0], items };
}

function readPlacement(koffi: Koffi, table: Pointer, ort: Omit<OrtApi, "placement">, verify: Verify): Placement {
  const late = bindFunctions(koffi, table, PLACEMENT_FUNCTIONS);
  type Late = keyof typeof PLACEMENT_FUNCTIONS;
  const text = (name: Late, handle: Pointer): string => {
    const out: (Pointer | null)[] = [null];
    verify(name, late[name](handle, out));
    return out[0] as unknown as string; // `const char *` comes back as text
  };
  const handles = (name: Late, of: Pointer) =>
    readList(koffi, "void *", (start, count) => verify(name, late[name](of, start, count))).items as Pointer[];
  return {
    inputMemory(session) {
      const names = inputNames(koffi, ort, session);
      const infos = new BigUint64Array(names.length);
      verify("SessionGetMemoryInfoForInputs", late.SessionGetMemoryInfoForInputs(session, infos, names.length));
      const memory = (info: Pointer) => ort.create("MemoryInfoGetName", info) as unknown as string;
      return new Map(names.map((name, i) => [name, memory(infos[i])]));
    },
    assignments: (session) =>
      handles("Session_GetEpGraphAssignmentInfo", session).flatMap((subgraph) => {
        const provider = text("EpAssignedSubgraph_GetEpName", subgraph);
        return handles("EpAssignedSubgraph_GetNodes", subgraph).map((node) => ({
          provider,
          operator: text("EpAssignedNode_GetOperatorType", node),
          name: text("EpAssignedNode_GetName", node),
        }));
      }),
  };
}

function inputNames(koffi: Koffi, ort: Omit<OrtApi, "placement">, session: Pointer): string[] {
  const count = Number(ort.create("SessionGetInputCount", session));
  const allocator = ort.create("GetAllocatorWithDefaultOptions"); // the library's own; never released
  return Array.from({ length: count }, (_, i) => {
    const name = ort.create("SessionGetInputName", session, i, allocator);
    const text = koffi.decode(name, "char", -1) as string;
    ort.check("AllocatorFree", allocator, name);
    return text;
  });
}

/** Functions of another native library, by their C signatures. @throws where it cannot be loaded, or lacks one */
export function nativeFunctions<Name extends string>(path: string, of: Record<Name, string>): Functions<Name> {
  const library = loadKoffi().load(path);
  keptOpen.push(library);
  return Object.fromEntries(Object.entries<string>(of).map(([name, c]) => [name, library.func(c)] as const)) as never;
}
