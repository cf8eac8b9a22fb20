/** The writer of GGUF files, against a naive one and against two readers. */
import { mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gguf as secondOpinion } from "@huggingface/gguf";
import { expect, test } from "vitest";
import { copiedEntry, type MetadataEntry, type MetadataValue, madeEntry } from "../../../src/export/gguf/metadata.js";
import { type GgufTensor, writeGguf } from "../../../src/export/gguf/write.js";
import { openGguf } from "../../../src/model/formats/gguf-parts.js";
import { ggufBytes, type Metadata } from "../../support/gguf-bytes.js";
import { temporaryFolder } from "../../support/tiny-checkpoint.js";

const root = temporaryFolder();
const fresh = (): string => join(mkdtempSync(join(root, "w-")), "t.gguf");

const VALUES: Record<string, MetadataValue> = {
  u8: { type: "u8", value: 255 },
  i8: { type: "i8", value: -128 },
  u16: { type: "u16", value: 65_535 },
  i16: { type: "i16", value: -32_768 },
  u32: { type: "u32", value: 4_294_967_295 },
  i32: { type: "i32", value: -2_147_483_648 },
  u64: { type: "u64", value: 2 ** 53 },
  i64: { type: "i64", value: -(2 ** 53) },
  f32: { type: "f32", value: 0.1 },
  f64: { type: "f64", value: 0.1 },
  yes: { type: "bool", value: true },
  no: { type: "bool", value: false },
  text: { type: "string", value: "é€😀\n\0" },
  "no text": { type: "string", value: "" },
  "array.u8": { type: "array", of: "u8", values: [0, 255] },
  "array.i32": { type: "array", of: "i32", values: [-1, 2] },
  "array.f32": { type: "array", of: "f32", values: [0.5, -1e9] },
  "array.u64": { type: "array", of: "u64", values: [0, 2 ** 40] },
  "array.bool": { type: "array", of: "bool", values: [true, false] },
  "array.string": { type: "array", of: "string", values: ["", "ab", "Ġç"] },
  "array.none": { type: "array", of: "string", values: [] },
  "array.long": { type: "array", of: "string", values: Array.from({ length: 10_000 }, (_, i) => `token ${i}`) },
};

const tensor = (name: string, shape: number[], seed: number): GgufTensor & { all: Uint8Array } => {
  const all = Uint8Array.from({ length: 4 * shape.reduce((a, b) => a * b, 1) }, (_, i) => (i * seed) & 255);
  return { name, type: "F32", shape, all, chunks: () => [all.subarray(0, 5), all.subarray(5, 5), all.subarray(5)] };
};
const TENSORS = [tensor("first", [3, 7], 3), tensor("second", [5], 5), tensor("third", [2, 8, 4], 7)];

/** By the writer of the tests, which knows nothing of the other. */
const naive = (metadata: ReadonlyMap<string, MetadataValue>, alignment: number): Buffer =>
  ggufBytes({
    metadata: metadata as unknown as ReadonlyMap<string, Metadata>,
    tensors: new Map(TENSORS.map(({ name, shape, all }) => [name, { type: 0, shape: [...shape], bytes: all }])),
    alignment,
  });

test.each([32, 64, 8])("every type of metadata and every tensor, on multiples of %i bytes", async (alignment) => {
  const values = new Map(Object.entries(VALUES));
  if (alignment !== 32) values.set("general.alignment", { type: "u32", value: alignment });
  const metadata = [...values].map(([key, value]) => madeEntry(key, value));
  const path = fresh();
  const written: string[] = [];
  const bytes = await writeGguf(path, {
    metadata,
    tensors: TENSORS,
    alignment,
    written: ({ name }) => void written.push(name),
  });
  const found = readFileSync(path);
  expect(found.length).toBe(bytes);
  expect(bytes % alignment).toBe(0);
  const expected = naive(values, alignment);
  expect(found.subarray(0, expected.length).equals(expected)).toBe(true); // behind it there is but padding
  expect(found.length - expected.length).toBeLessThan(alignment);
  expect(written).toEqual(["first", "second", "third"]);

  const file = openGguf(path);
  for (const { name, all, shape } of TENSORS) {
    const stored = file.tensors.get(name);
    expect(stored?.shape).toEqual(shape);
    const content = new Uint8Array(stored?.byteLength ?? 0);
    file.file.readInto(content, stored?.offset ?? 0, name);
    expect(content).toEqual(all);
    expect((stored?.offset ?? 1) % alignment).toBe(0);
  }
  file.close();
  const theirs = await secondOpinion(path, { allowLocalFile: true });
  expect(theirs.metadata["array.string" as keyof typeof theirs.metadata]).toEqual(["", "ab", "Ġç"]);
  expect(theirs.metadata["f32" as keyof typeof theirs.metadata]).toBe(Math.fround(0.1));
});

test("64-bit numbers keep every digit", async () => {
  const path = fresh();
  const entries = [
    madeEntry("u", { type: "u64", value: 2n ** 64n - 1n }),
    madeEntry("i", { type: "array", of: "i64", values: [-(2n ** 63n)] }),
  ];
  await writeGguf(path, { metadata: entries, tensors: [] });
  const bytes = readFileSync(path);
  expect(bytes.readBigUInt64LE(24 + 8 + 1 + 4)).toBe(2n ** 64n - 1n);
  expect(bytes.readBigInt64LE(24 + 21 + 8 + 1 + 4 + 4 + 8)).toBe(-(2n ** 63n));
});

test("entries copied from a file are its bytes, and under another key all but the key", async () => {
  const path = fresh();
  const metadata = Object.entries(VALUES).map(([key, value]) => madeEntry(key, value));
  await writeGguf(path, { metadata, tensors: TENSORS });
  const file = openGguf(path);
  const bytesOf = (entry: MetadataEntry): Buffer => {
    const all = Buffer.concat([...entry.chunks()]);
    expect(all.length).toBe(entry.bytes);
    return all;
  };
  for (const [key, value] of Object.entries(VALUES)) {
    expect(bytesOf(copiedEntry(file, key)).equals(bytesOf(madeEntry(key, value))), key).toBe(true);
    expect(bytesOf(copiedEntry(file, key, "another.key")).equals(bytesOf(madeEntry("another.key", value)))).toBe(true);
  }
  file.close();
});

test("a tensor that gives other bytes than it announced is an error, not a shifted file", async () => {
  const short: GgufTensor = { name: "short", type: "F32", shape: [4], chunks: () => [new Uint8Array(15)] };
  await expect(writeGguf(fresh(), { metadata: [], tensors: [short] })).rejects.toThrow(
    /short: 15 bytes were given, 16/,
  );
  const odd: GgufTensor = { name: "odd", type: "Q8_0", shape: [2, 33], chunks: () => [] };
  await expect(writeGguf(fresh(), { metadata: [], tensors: [odd] })).rejects.toThrow(/rows of 33 numbers; Q8_0/);
});

test("what stands at a path is never overwritten", async () => {
  const path = fresh();
  await writeGguf(path, { metadata: [], tensors: [] });
  await expect(writeGguf(path, { metadata: [], tensors: TENSORS })).rejects.toThrow(/EEXIST/);
});
