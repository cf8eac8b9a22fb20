/**
 * The libraries that ONNX Runtime's CUDA provider is linked against, and where they are: where the system's loader looks,
 * or where Python packages and CUDA's installer put them, where it does not. The loader takes a library that is open already
 * for one that it is asked for by the same name, so those found elsewhere are opened first, and no LD_LIBRARY_PATH is needed.
 */
import { closeSync, openSync, readdirSync, readSync, realpathSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { neededLibraries } from "./elf.js";

export const CUDA_PROVIDER = "libonnxruntime_providers_cuda.so";

/** Loaded by the provider itself when an operator wants it, so no entry of its file names it. */
const ON_DEMAND = "libcudnn.so.9";

/** How the files begin that scripts/before-install.mjs puts where onnxruntime-node would download CUDA's. */
const PLACEHOLDER = "Not a library: put here by draftplan";

/** Whether there is but draftplan's own placeholder where the CUDA provider of this library would lie. */
export function isPlaceholder(library: string): boolean {
  const folder = dirname(realpathSync(library));
  if (!readNames(folder).includes(CUDA_PROVIDER)) return false;
  const file = openSync(join(folder, CUDA_PROVIDER), "r");
  try {
    const start = Buffer.alloc(PLACEHOLDER.length);
    readSync(file, start);
    return start.toString() === PLACEHOLDER;
  } finally {
    closeSync(file);
  }
}

/** Opens a library for good. @throws with the loader's reason */
export type OpenLibrary = (nameOrPath: string) => void;

export interface LibraryState {
  name: string;
  /** where it was found outside the loader's own places; null: the loader finds it, or nobody does */
  path: string | null;
  found: boolean;
  /** wanted by some operators alone */
  onDemand: boolean;
  /** the loader's reason; null where it was found */
  reason: string | null;
}

/** Parts of the C library and of the compiler's; a system without them runs no Node. */
const OF_THE_SYSTEM = /^(ld-linux.*|libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+|linux-vdso)\.so/;

/**
 * Opens what the provider beside an ONNX Runtime library wants.
 * @param library   path of libonnxruntime
 * @param installed where CUDA's installer makes its folders
 * @returns a state each; none where there is no such provider beside it
 * @throws Error where the provider's file is cut
 */
export function openCudaLibraries(library: string, open: OpenLibrary, installed = "/usr/local"): LibraryState[] {
  const folder = dirname(realpathSync(library));
  const provider = join(folder, CUDA_PROVIDER);
  if (!readNames(folder).includes(CUDA_PROVIDER)) return [];
  const wanted = neededLibraries(provider).filter((name) => !OF_THE_SYSTEM.test(name));
  const folders = placesOf(folder, installed);
  const ordered = [...wanted.filter((name) => !dependsOnOthers(name)), ...wanted.filter(dependsOnOthers)];
  const states = [...ordered, ON_DEMAND].map((name) => openOne(name, folders, open));
  return [...wanted, ON_DEMAND].flatMap((name) => states.find((state) => state.name === name) ?? []);
}

/** cuBLAS is linked against cuBLASLt: where both lie in a place of their own, that has to be open first. */
const dependsOnOthers = (name: string): boolean => /^libcublas\.so/.test(name);

function openOne(name: string, folders: readonly string[], open: OpenLibrary): LibraryState {
  const state = { name, path: null, found: false, onDemand: name === ON_DEMAND, reason: null as string | null };
  const tryOpen = (what: string) => {
    try {
      open(what);
      return true;
    } catch (cause) {
      state.reason = cause instanceof Error ? cause.message : String(cause);
      return false;
    }
  };
  if (tryOpen(name)) return { ...state, found: true, reason: null };
  for (const folder of folders) {
    if (!readNames(folder).includes(name)) continue;
    const path = join(folder, name);
    if (tryOpen(path)) return { ...state, found: true, path, reason: null };
  }
  return state;
}

/**
 * Beside the library; in the Python packages beside `onnxruntime/capi` (`nvidia/…/lib`, and PyTorch's own); and where CUDA's
 * installer puts them.
 */
function placesOf(folder: string, installed: string): string[] {
  const packages = resolve(folder, "..", "..");
  const nvidia = join(packages, "nvidia");
  const cuda = readNames(installed).filter((name) => /^cuda(-\d+(\.\d+)?)?$/.test(name));
  return [
    folder,
    ...readNames(nvidia).map((name) => join(nvidia, name, "lib")),
    join(packages, "torch", "lib"),
    ...cuda.map((name) => join(installed, name, "lib64")),
  ];
}

function readNames(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

/** The version of CUDA that the provider was built for, by the name of the runtime that it asks for; null: not known. */
export function cudaMajor(names: readonly string[]): number | null {
  const [, major] = names.map((name) => /^libcudart\.so\.(\d+)/.exec(name)).find((match) => match !== null) ?? [];
  return major === undefined ? null : Number(major);
}

/** The command that brings a library, or what else to do. @param cuda major version; null: not known */
export function howToGet(name: string, cuda: number | null): string {
  if (/^libcuda\.so/.test(name))
    return "it comes with NVIDIA's driver: install that (nvidia-smi then lists the GPU); in a container, start it with --gpus all (NVIDIA Container Toolkit)";
  const suffix = cuda !== null && cuda < 13 ? `-cu${cuda}` : "";
  const packages: readonly [RegExp, string][] = [
    [/^libcublas(Lt)?\.so/, `nvidia-cublas${suffix}`],
    [/^libcudart\.so/, `nvidia-cuda-runtime${suffix}`],
    [/^libcurand\.so/, `nvidia-curand${suffix}`],
    [/^libcufft\.so/, `nvidia-cufft${suffix}`],
    [/^libcudnn\.so/, `nvidia-cudnn-cu${cuda ?? 13}`],
    [/^libnvrtc\.so/, `nvidia-cuda-nvrtc${suffix}`],
  ];
  const found = packages.find(([pattern]) => pattern.test(name))?.[1];
  return found === undefined
    ? "it is no part of CUDA that draftplan knows: see the release notes of this build of ONNX Runtime"
    : `pip install --target FOLDER ${found}, with the FOLDER that onnxruntime-gpu was installed into`;
}
