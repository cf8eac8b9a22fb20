/** The CUDA provider reduced to one architecture: a library laid down by hand, as the formats have it. */
import { expect, test } from "vitest";
import { keepArchitecture } from "../../../scripts/gpu-check/strip.mjs";

const [PTX, BINARY] = [1, 2];

/** A container of device code: 16 bytes of header, entries with 64 of their own. */
function container(...entries: [kind: number, arch: number, bytes: number][]): Buffer {
  const made = entries.map(([kind, arch, bytes]) => {
    const entry = Buffer.alloc(64 + bytes, kind * 64 + (arch % 50));
    entry.fill(0, 0, 64);
    entry.writeUInt16LE(kind, 0);
    entry.writeUInt32LE(64, 4);
    entry.writeBigUInt64LE(BigInt(bytes), 8);
    entry.writeUInt32LE(arch, 28);
    return entry;
  });
  const body = Buffer.concat(made);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(0xba55ed50, 0);
  header.writeUInt16LE(1, 4);
  header.writeUInt16LE(16, 6);
  header.writeBigUInt64LE(BigInt(body.length), 8);
  return Buffer.concat([header, body]);
}

/** A kernel of TensorRT's attention: an ELF file of CUDA's machine, its section table at the end. */
function cubin(arch: number, bytes: number): Buffer {
  const file = Buffer.alloc(64 + bytes + 64, arch);
  file.fill(0, 0, 64);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  file.writeUInt16LE(190, 18);
  file.writeBigUInt64LE(BigInt(64 + bytes), 40);
  file.writeUInt32LE(0x500 + arch, 48);
  file.writeUInt16LE(64, 58);
  file.writeUInt16LE(1, 60);
  return file;
}

function library(sections: Record<string, Buffer>): { file: Buffer; at: (name: string) => number } {
  const names = ["", ...Object.keys(sections), ".shstrtab"];
  const strings = Buffer.from(`${names.join("\0")}\0`, "latin1");
  const bodies = [Buffer.alloc(0), ...Object.values(sections), strings];
  const offsets: number[] = [];
  let end = 64;
  for (const body of bodies) {
    offsets.push(end);
    end += body.length;
  }
  const file = Buffer.alloc(end + 64 * bodies.length);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  file.writeBigUInt64LE(BigInt(end), 40);
  file.writeUInt16LE(64, 58);
  file.writeUInt16LE(bodies.length, 60);
  file.writeUInt16LE(bodies.length - 1, 62);
  bodies.forEach((body, i) => {
    file.set(body, offsets[i]);
    const header = end + 64 * i;
    file.writeUInt32LE(strings.indexOf(`${names[i]}\0`, i === 0 ? 0 : 1, "latin1"), header);
    file.writeBigUInt64LE(BigInt(offsets[i]), header + 24);
    file.writeBigUInt64LE(BigInt(body.length), header + 32);
  });
  return { file, at: (name) => offsets[names.indexOf(name)] };
}

const both = container([BINARY, 80, 100], [BINARY, 90, 200], [PTX, 90, 50]);
const ptxAlone = container([BINARY, 75, 30], [PTX, 75, 40]);
const FATBIN = Buffer.concat([both, Buffer.alloc(8), ptxAlone]);
const RODATA = Buffer.concat([Buffer.from("text that stays "), cubin(80, 40), cubin(90, 60), Buffer.from("and this")]);

test("code of other GPUs is nought, everything else as it was, and the file as long", () => {
  const { file, at } = library({ ".text": Buffer.alloc(32, 7), ".nv_fatbin": FATBIN, ".rodata": RODATA });
  const before = Buffer.from(file);
  const counts = keepArchitecture(file, 90);
  // kept: the binary of sm_90, PTX where there is none, the kernel of sm_90 with its header and table
  expect(counts).toEqual({ kept: 200 + 40 + 188, dropped: 100 + 50 + 30 + 168 });
  const expected = Buffer.from(before);
  const fatbin = at(".nv_fatbin");
  const zero = (from: number, bytes: number) => expected.fill(0, from, from + bytes);
  zero(fatbin + 16 + 64, 100);
  zero(fatbin + 16 + 164 + 264 + 64, 50);
  zero(fatbin + both.length + 8 + 16 + 64, 30);
  zero(at(".rodata") + 16, 168);
  expect(file.equals(expected)).toBe(true);
});

test("a GPU that the library has no code for is refused, and what is no such library", () => {
  const { file } = library({ ".nv_fatbin": container([BINARY, 80, 100]) });
  expect(() => keepArchitecture(file, 120)).toThrow("no code for architecture 120");
  expect(() => keepArchitecture(library({ ".text": Buffer.alloc(8) }).file, 90)).toThrow("holds no device code");
  expect(() => keepArchitecture(Buffer.alloc(100), 90)).toThrow("no ELF");
  const cut = container([BINARY, 90, 100]).subarray(0, 80);
  expect(() => keepArchitecture(library({ ".nv_fatbin": cut }).file, 90)).toThrow("ends behind its section");
});
