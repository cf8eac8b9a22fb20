/**
 * What a file is that was given as a shared library, before the system's loader is asked: its own messages do not tell
 * a wrong architecture from a file that is missing ("cannot open shared object file: No such file or directory").
 */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { DraftplanError } from "../core/errors.js";

export type LibraryFile =
  | { format: "elf" | "pe"; arch: string }
  | { format: "mach-o"; arch: string }
  | { format: "mach-o"; universal: true }
  | { format: "none" };

const ELF_MACHINES: Readonly<Record<number, string>> = {
  3: "ia32",
  40: "arm",
  62: "x64",
  183: "arm64",
  243: "riscv64",
};
const PE_MACHINES: Readonly<Record<number, string>> = { 332: "ia32", 34404: "x64", 43620: "arm64" };
const MACH_CPUS: Readonly<Record<number, string>> = { 16777223: "x64", 16777228: "arm64" };
const FORMAT_OF: Readonly<Record<string, LibraryFile["format"]>> = { win32: "pe", darwin: "mach-o" };
const FORMAT_NAMES = { elf: "Linux", pe: "Windows", "mach-o": "macOS" } as const;

/** Enough for every header that names the processor. */
const HEAD_BYTES = 4096;

/** @param head the first bytes of a file */
export function libraryFormat(head: Uint8Array): LibraryFile {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const known = (table: Readonly<Record<number, string>>, machine: number) =>
    table[machine] ?? `machine 0x${machine.toString(16)}`;
  if (head.length >= 20 && view.getUint32(0) === 0x7f454c46) {
    return { format: "elf", arch: known(ELF_MACHINES, view.getUint16(18, head[5] !== 2)) };
  }
  if (head.length >= 64 && view.getUint16(0) === 0x4d5a) {
    const at = view.getUint32(60, true);
    const isPe = at + 6 <= head.length && view.getUint32(at) === 0x50450000;
    return isPe ? { format: "pe", arch: known(PE_MACHINES, view.getUint16(at + 4, true)) } : { format: "none" };
  }
  if (head.length >= 8 && view.getUint32(0, true) === 0xfeedfacf) {
    return { format: "mach-o", arch: known(MACH_CPUS, view.getUint32(4, true)) };
  }
  return head.length >= 8 && view.getUint32(0) === 0xcafebabe
    ? { format: "mach-o", universal: true }
    : { format: "none" };
}

/**
 * @param at what the user wrote, for the message
 * @throws RUNTIME_LOAD for a file that is missing, that is no library, or that is one for another machine
 */
export function checkLibraryFile(path: string, at: string, platform: string = process.platform, arch = process.arch) {
  const refuse = (what: string, remedy: string, cause?: unknown) =>
    new DraftplanError({ code: "RUNTIME_LOAD", at, what, remedy, cause });
  const give = "Give the path of libonnxruntime.so, libonnxruntime.dylib or onnxruntime.dll.";
  let head: Uint8Array;
  try {
    if (!statSync(path).isFile()) throw refuse("it is not a file", give);
    head = readHead(path);
  } catch (cause) {
    if (cause instanceof DraftplanError) throw cause;
    const missing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    const why = missing ? "there is no such file" : `the file could not be read (${(cause as Error).message})`;
    throw refuse(why, missing ? "Check the path." : "Check the file and its permissions.", cause);
  }
  const file = libraryFormat(head);
  if (file.format === "none") throw refuse("the file is no shared library", give);
  const expected = FORMAT_OF[platform] ?? "elf";
  const fits = file.format === expected && ("universal" in file || file.arch === arch);
  if (fits) return;
  const found = `${FORMAT_NAMES[file.format]}${"arch" in file ? ` ${file.arch}` : ""}`;
  throw refuse(
    `it is a library for ${found}, and this is ${platform} ${arch}`,
    `Give a build of ONNX Runtime for ${platform} ${arch}.`,
  );
}

function readHead(path: string): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  const file = openSync(path, "r");
  try {
    return head.subarray(0, readSync(file, head));
  } finally {
    closeSync(file);
  }
}
