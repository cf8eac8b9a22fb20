/**
 * Hugging Face safetensors: 8 bytes header length, a JSON header, then the tensors' bytes.
 * As strict as the reference reader (github.com/huggingface/safetensors, `SafeTensors::deserialize`): tensors fill
 * the file from end to end without gap or overlap. A file that breaks this was cut, edited or hides something.
 */

import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { DraftplanError } from "../../core/errors.js";
import { corrupt, describeIssues } from "../failures.js";
import { ByteFile, messageOf } from "./byte-file.js";
import { readJsonFile } from "./json-file.js";
import { findDuplicateKey } from "./json-keys.js";
import type { StoredTensor } from "./tensors.js";
import { assertNoOverlap } from "./tensors.js";

/** The reference reader's own limit. */
const MAX_HEADER_BYTES = 100_000_000;
const MAX_SHARDS = 1024;
/** header, tensor, shape */
const MAX_DEPTH = 3;

/** bits per number of every type the format knows; most cannot be read, but sizes are checked for all */
const TYPE_BITS: Record<string, number> = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  F64: 64,
  I64: 64,
  U64: 64,
  C64: 64,
};

const Entry = z.strictObject({
  dtype: z.string(),
  shape: z.array(z.int().min(0)).max(16),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});

export interface SafetensorsFiles {
  files: ByteFile[];
  tensors: Map<string, StoredTensor>;
}

const SINGLE_FILE = "model.safetensors";
const INDEX_FILE = "model.safetensors.index.json";

/** Opens `model.safetensors`, or the shards its index names. The caller closes the files. */
export function openSafetensors(directory: string): SafetensorsFiles {
  if (existsSync(join(directory, SINGLE_FILE))) return openShards([join(directory, SINGLE_FILE)]);
  const indexPath = join(directory, INDEX_FILE);
  if (!existsSync(indexPath)) throw noWeights(directory);
  const index = readJsonFile(indexPath, z.looseObject({ weight_map: z.record(z.string(), z.string()) }));
  const names = [...new Set(Object.values(index.weight_map))].sort();
  for (const name of names) assertPlainName(name, indexPath);
  if (names.length === 0 || names.length > MAX_SHARDS)
    throw corrupt(indexPath, "weight_map", `names ${names.length} files`);
  const opened = openShards(names.map((name) => join(directory, name)));
  try {
    assertIndexAgrees(index.weight_map, opened.tensors, indexPath);
  } catch (cause) {
    closeAll(opened.files);
    throw cause;
  }
  return opened;
}

/** Opens every `.safetensors` file of a list, as one set of tensors. The caller closes them. */
export function openSafetensorsFiles(paths: readonly string[]): SafetensorsFiles {
  return openShards(paths);
}

function noWeights(directory: string): DraftplanError {
  return new DraftplanError({
    code: "FILE_NOT_FOUND",
    at: directory,
    what: `holds a config.json but neither ${SINGLE_FILE} nor ${INDEX_FILE}`,
    remedy:
      "download the weights in safetensors format; convert pytorch_model.bin with save_pretrained(safe_serialization=True)",
  });
}

/** A shard is a file beside its index; a path could reach any file on the machine. */
function assertPlainName(name: string, indexPath: string): void {
  if (/^[^/\\\0]+\.safetensors$/.test(name) && basename(name) === name) return;
  throw corrupt(
    indexPath,
    "weight_map",
    `${JSON.stringify(name.slice(0, 200))} is not the name of a .safetensors file in the same folder`,
  );
}

function openShards(paths: readonly string[]): SafetensorsFiles {
  const files: ByteFile[] = [];
  const tensors = new Map<string, StoredTensor>();
  try {
    for (const path of paths) {
      const file = new ByteFile(path);
      files.push(file);
      for (const tensor of readHeader(file)) {
        const twin = tensors.get(tensor.storedName);
        if (twin) throw corrupt(path, `tensor ${tensor.storedName}`, `is also in ${basename(twin.file.path)}`);
        tensors.set(tensor.storedName, tensor);
      }
    }
  } catch (cause) {
    closeAll(files);
    throw cause;
  }
  return { files, tensors };
}

function closeAll(files: readonly ByteFile[]): void {
  for (const file of files) file.close();
}

function assertIndexAgrees(
  weightMap: Record<string, string>,
  tensors: ReadonlyMap<string, StoredTensor>,
  indexPath: string,
): void {
  for (const [name, shard] of Object.entries(weightMap)) {
    const tensor = tensors.get(name);
    if (!tensor || basename(tensor.file.path) !== shard)
      throw corrupt(indexPath, `weight_map: ${name.slice(0, 200)}`, `is not in ${shard}`);
  }
  for (const name of tensors.keys())
    if (!Object.hasOwn(weightMap, name))
      throw corrupt(indexPath, "weight_map", `lacks tensor ${name.slice(0, 200)}, which a shard holds`);
}

function readHeader(file: ByteFile): StoredTensor[] {
  const lengthBytes = new Uint8Array(8);
  if (file.size < 8)
    throw corrupt(
      file.path,
      "byte 0",
      `the file has ${file.size} bytes; a safetensors file begins with 8 bytes of header length`,
    );
  file.readInto(lengthBytes, 0, "header length");
  const length = new DataView(lengthBytes.buffer).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES || Number(length) > file.size - 8)
    throw corrupt(file.path, "byte 0", `a header of ${length} bytes in a file of ${file.size} bytes`);
  const header = new Uint8Array(Number(length));
  file.readInto(header, 8, "header");
  const dataStart = 8 + header.length;
  const entries = Object.entries(parseHeader(header, file.path)).filter(([name]) => name !== "__metadata__");
  const tensors = entries.map(([name, entry]) => toTensor(name, entry, file, dataStart));
  assertNoOverlap(tensors);
  const held = tensors.reduce((sum, t) => sum + t.byteLength, 0);
  if (held !== file.size - dataStart)
    throw corrupt(
      file.path,
      `byte ${dataStart}`,
      `the tensors hold ${held} bytes, but ${file.size - dataStart} follow the header`,
    );
  return tensors;
}

function parseHeader(bytes: Uint8Array, path: string): object {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const duplicate = findDuplicateKey(text, MAX_DEPTH);
    if (duplicate !== null) throw corrupt(path, "header", duplicate);
    const parsed: unknown = JSON.parse(text);
    if (parsed !== null && typeof parsed === "object" && !Array.isArray(parsed)) return parsed;
  } catch (cause) {
    if (cause instanceof DraftplanError) throw cause;
    throw corrupt(path, "byte 8", `the header is not valid JSON: ${messageOf(cause).slice(0, 200)}`);
  }
  throw corrupt(path, "byte 8", "the header is not a JSON object");
}

function toTensor(name: string, entry: unknown, file: ByteFile, dataStart: number): StoredTensor {
  const where = `tensor ${name.slice(0, 200)}`;
  const parsed = Entry.safeParse(entry);
  if (!parsed.success) {
    const { key, what } = describeIssues(parsed.error);
    throw corrupt(file.path, `${where}: ${key}`, what);
  }
  const {
    dtype,
    shape,
    data_offsets: [begin, end],
  } = parsed.data;
  if (!Object.hasOwn(TYPE_BITS, dtype))
    throw corrupt(file.path, where, `unknown type ${JSON.stringify(dtype.slice(0, 40))}`);
  if (begin > end || end > file.size - dataStart)
    throw corrupt(file.path, where, `lies at bytes ${begin} to ${end} of ${file.size - dataStart} bytes of data`);
  // In bigints: a product of sizes may exceed what a double holds exactly.
  const bits = shape.reduce((total, n) => total * BigInt(n), BigInt(TYPE_BITS[dtype]));
  if (bits !== 8n * BigInt(end - begin))
    throw corrupt(file.path, where, `${dtype} of shape [${shape.join(", ")}] does not take ${end - begin} bytes`);
  return { storedName: name, type: dtype, shape, file, offset: dataStart + begin, byteLength: end - begin };
}
