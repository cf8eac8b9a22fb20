/** What a CUDA provider wants of the loader: read from its file, looked for, opened, and said where it is missing. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  CUDA_PROVIDER,
  cudaMajor,
  howToGet,
  isPlaceholder,
  openCudaLibraries,
} from "../../../src/runtime/gpu/cuda-libraries.js";
import { neededLibraries } from "../../../src/runtime/gpu/elf.js";
import { openWhatCudaWants } from "../../../src/runtime/gpu/open-library.js";
import { bundledLibraryPath } from "../../../src/runtime/ort-api.js";
import { temporaryFolder } from "../../support/tiny-checkpoint.js";

/** A 64-bit library of two segments, one loaded at an address of its own, as the ABI lays it down. */
function elf(needed: readonly string[]): Buffer {
  const strings = Buffer.from(`\0${needed.map((name) => `${name}\0`).join("")}`, "latin1");
  const dynamic = [[14, 0], ...needed.map((name) => [1, strings.indexOf(`${name}\0`, 1, "latin1")])];
  const [stringsAt, address] = [64 + 2 * 56, 0x7000];
  dynamic.push([5, address + stringsAt], [10, strings.length], [0, 0]);
  const dynamicAt = stringsAt + strings.length;
  const total = dynamicAt + 16 * dynamic.length;
  const file = Buffer.alloc(total);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  file.writeBigUInt64LE(64n, 32); // program headers
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(2, 56);
  const segment = (i: number, type: number, offset: number, at: number, bytes: number) => {
    const from = 64 + 56 * i;
    file.writeUInt32LE(type, from);
    for (const [place, value] of [
      [8, offset],
      [16, at],
      [32, bytes],
    ])
      file.writeBigUInt64LE(BigInt(value), from + place);
  };
  segment(0, 1, 0, address, total);
  segment(1, 2, dynamicAt, address + dynamicAt, 16 * dynamic.length);
  file.set(strings, stringsAt);
  dynamic.forEach(([tag, value], i) => {
    file.writeBigUInt64LE(BigInt(tag), dynamicAt + 16 * i);
    file.writeBigUInt64LE(BigInt(value), dynamicAt + 16 * i + 8);
  });
  return file;
}

/** Where no installer has been. */
const NOWHERE = join(temporaryFolder(), "none");

const WANTED = ["libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10", "libcudart.so.13", "libcuda.so.1"];
const SYSTEM = ["libdl.so.2", "libstdc++.so.6", "libc.so.6", "ld-linux-x86-64.so.2"];

/** site-packages with `onnxruntime/capi`, and further files. @returns path of libonnxruntime */
function packages(provider: Buffer, ...files: string[]): string {
  const root = temporaryFolder();
  const capi = join(root, "onnxruntime", "capi");
  mkdirSync(capi, { recursive: true });
  writeFileSync(join(capi, CUDA_PROVIDER), provider);
  writeFileSync(join(capi, "libonnxruntime.so.1.31.1"), "");
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), "");
  }
  return join(capi, "libonnxruntime.so.1.31.1");
}

describe("the names in an ELF file", () => {
  const write = (bytes: Uint8Array) => {
    const path = join(temporaryFolder(), "x.so");
    writeFileSync(path, bytes);
    return path;
  };

  test("are read in order", () => {
    expect(neededLibraries(write(elf([...WANTED, ...SYSTEM])))).toEqual([...WANTED, ...SYSTEM]);
    expect(neededLibraries(write(elf([])))).toEqual([]);
  });

  test.runIf(process.platform === "linux")("of a real one are what it is linked against", () => {
    expect(neededLibraries(bundledLibraryPath())).toEqual(expect.arrayContaining(["libc.so.6", "libstdc++.so.6"]));
  });

  test("a file that was cut says so, wherever it was cut", () => {
    const whole = elf(WANTED);
    for (const length of [0, 3, 40, 63, 64, 120, 176, 200, whole.length - 1])
      expect(() => neededLibraries(write(whole.subarray(0, length))), `${length} bytes`).toThrow(/^it is cut: it has/);
  });

  test("text is no library, and names outside the table are refused", () => {
    expect(() => neededLibraries(write(Buffer.alloc(100, "text")))).toThrow("no 64-bit ELF");
    const bytes = elf(["a.so"]);
    bytes.writeBigUInt64LE(9999n, bytes.length - 16 * 4 + 8); // where its one name begins
    expect(() => neededLibraries(write(bytes))).toThrow("cannot be read");
  });
});

describe("libraries that a provider wants", () => {
  const missing = (name: string) => new Error(`${name}: cannot open shared object file`);

  test("the system's own are nobody's business; those that the loader finds need no path", () => {
    const library = packages(elf([...WANTED, ...SYSTEM]));
    const opened: string[] = [];
    const states = openCudaLibraries(library, (name) => opened.push(name), NOWHERE);
    expect(states.map(({ name }) => name)).toEqual([...WANTED, "libcudnn.so.9"]);
    expect(states.every(({ found, path }) => found && path === null)).toBe(true);
    expect([...opened].sort()).toEqual([...WANTED, "libcudnn.so.9"].sort());
  });

  test("those in Python packages beside it are opened by their path, cuBLAS behind what it is linked against", () => {
    const library = packages(
      elf(WANTED),
      "nvidia/cu13/lib/libcublas.so.13",
      "nvidia/cu13/lib/libcublasLt.so.13",
      "nvidia/cudnn/lib/libcudnn.so.9",
    );
    const opened: string[] = [];
    const states = openCudaLibraries(
      library,
      (name) => {
        if (!name.includes("/")) throw missing(name);
        opened.push(name);
      },
      NOWHERE,
    );
    const found = states.filter((one) => one.found).map(({ name }) => name);
    expect(found).toEqual(["libcublasLt.so.13", "libcublas.so.13", "libcudnn.so.9"]);
    expect(opened.findIndex((path) => path.endsWith("libcublasLt.so.13"))).toBeLessThan(
      opened.findIndex((path) => path.endsWith("libcublas.so.13")),
    );
    const cuda = states.find(({ name }) => name === "libcuda.so.1");
    expect(cuda).toEqual({
      name: "libcuda.so.1",
      found: false,
      path: null,
      onDemand: false,
      reason: missing("libcuda.so.1").message,
    });
  });

  test("those that CUDA's installer put somewhere", () => {
    const installed = temporaryFolder();
    mkdirSync(join(installed, "cuda-13.0", "lib64"), { recursive: true });
    writeFileSync(join(installed, "cuda-13.0", "lib64", "libcurand.so.10"), "");
    const library = packages(elf(["libcurand.so.10"]));
    const opened: string[] = [];
    const open = (name: string) => {
      if (!name.startsWith(installed)) throw missing(name);
      opened.push(name);
    };
    expect(openCudaLibraries(library, open, installed)[0]).toMatchObject({ found: true, path: opened[0] });
  });

  test("one that is there and does not open keeps the loader's reason", () => {
    const library = packages(elf(["libcurand.so.10"]), "nvidia/cu13/lib/libcurand.so.10");
    const [state] = openCudaLibraries(
      library,
      (name) => {
        throw new Error(`${name}: file too short`);
      },
      NOWHERE,
    );
    expect(state).toMatchObject({
      found: false,
      path: null,
      reason: expect.stringMatching(/nvidia.cu13.lib.libcurand.so.10: file too short$/),
    });
  });

  test("draftplan's own placeholder counts as no provider, and is the file that before-install.mjs writes", () => {
    const script = readFileSync(join("scripts", "before-install.mjs"), "utf8");
    const [, placeholder] = /PLACEHOLDER =\s+"(.*?)\\n/.exec(script) ?? [];
    const library = packages(Buffer.from(`${placeholder}\n`));
    expect(isPlaceholder(library)).toBe(true);
    expect(() => openWhatCudaWants(library)).toThrow(expect.objectContaining({ code: "PROVIDER_UNAVAILABLE" }));
    expect(isPlaceholder(packages(elf(WANTED)))).toBe(false);
    expect(isPlaceholder(bundledLibraryPath())).toBe(false);
  });

  test("a build without the provider wants nothing; a cut provider is an error", () => {
    expect(openCudaLibraries(bundledLibraryPath(), () => {})).toEqual([]);
    const library = packages(elf(WANTED).subarray(0, 150));
    expect(() => openCudaLibraries(library, () => {})).toThrow(/^it is cut/);
  });
});

test("a process opens them once: every session asks, and a provider that could not be read is read again", () => {
  const library = packages(elf(WANTED).subarray(0, 150));
  const provider = join(dirname(library), CUDA_PROVIDER);
  expect(() => openWhatCudaWants(library)).toThrow(/it is cut/);
  writeFileSync(provider, elf(["libnowhere.so.1"]));
  const states = openWhatCudaWants(library);
  expect(states[0]).toMatchObject({ name: "libnowhere.so.1", found: false });
  writeFileSync(provider, "");
  expect(openWhatCudaWants(library)).toBe(states);
});

test("every library has a command that brings it, of the CUDA that the provider was built for", () => {
  expect(cudaMajor(WANTED)).toBe(13);
  expect(cudaMajor(["libcudart.so.12"])).toBe(12);
  expect(cudaMajor(["libx.so.1"])).toBeNull();
  const packagesFor = (major: number) =>
    ["libcublas.so.13", "libcublasLt.so.13", "libcudart.so.13", "libcurand.so.10", "libcudnn.so.9"].map(
      (name) => / (nvidia-[\w-]+),/.exec(howToGet(name, major))?.[1],
    );
  expect(packagesFor(13)).toEqual([
    "nvidia-cublas",
    "nvidia-cublas",
    "nvidia-cuda-runtime",
    "nvidia-curand",
    "nvidia-cudnn-cu13",
  ]);
  expect(packagesFor(12)).toEqual([
    "nvidia-cublas-cu12",
    "nvidia-cublas-cu12",
    "nvidia-cuda-runtime-cu12",
    "nvidia-curand-cu12",
    "nvidia-cudnn-cu12",
  ]);
  expect(howToGet("libcuda.so.1", 13)).toMatch(/driver/);
  expect(howToGet("libodd.so.1", 13)).toMatch(/release notes/);
});
