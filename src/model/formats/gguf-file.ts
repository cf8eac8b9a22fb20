/** A `.gguf` file: its metadata and where its tensors lie, all checked against the file's size. */

import { DraftplanError } from "../../core/errors.js";
import { corrupt } from "../failures.js";
import { ByteFile } from "./byte-file.js";
import { isStoredType, STORED_TYPES } from "./dequantize.js";
import { GGML_TYPE_NAMES } from "./ggml-types.js";
import type { GgufValue } from "./gguf-reader.js";
import { GgufReader, isGgufArray, NotUtf8 } from "./gguf-reader.js";
import type { StoredTensor } from "./tensors.js";
import { assertNoOverlap, product, typeUnsupported } from "./tensors.js";

const MAGIC = 0x46554747; // "GGUF", little-endian
const VERSIONS = [2, 3];
const MAX_ENTRIES = 1 << 16;
const MAX_KEY_BYTES = (1 << 16) - 1; // the specification's
const MAX_NAME_BYTES = 1024; // the specification says 64; some converters write more
const MAX_DIMENSIONS = 4;
const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 1 << 20;
/** the fewest bytes one entry can take: key length, type, one byte */
const MIN_METADATA_BYTES = 13;
/** name length, dimensions, one size, type, offset */
const MIN_TENSOR_BYTES = 32;

/** A metadata entry as it lies: its key, its type and its value. */
export interface GgufSpan {
  /** bytes from the beginning of the file */
  offset: number;
  bytes: number;
  /** of them, those of the key and its length */
  keyBytes: number;
}

export interface GgufContents {
  metadata: ReadonlyMap<string, GgufValue>;
  /** by the same keys: where the entry lies, for copying it as it is */
  spans: ReadonlyMap<string, GgufSpan>;
  /** by the name in the file */
  tensors: ReadonlyMap<string, StoredTensor>;
}

/** A model, or before they are joined one part of it. */
export class GgufFile implements GgufContents {
  /** what the metadata lies in */
  readonly file: ByteFile;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly spans: ReadonlyMap<string, GgufSpan>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;

  /** @param files in which the tensors lie: of a split model its parts, beginning with that of the metadata */
  constructor(
    readonly files: readonly [ByteFile, ...ByteFile[]],
    { metadata, spans, tensors }: GgufContents,
  ) {
    this.file = files[0];
    this.metadata = metadata;
    this.spans = spans;
    this.tensors = tensors;
  }

  /** @returns undefined where the key is missing; throws where it holds something else */
  number(key: string): number | undefined {
    return this.#typed(key, "a number", (v) => (typeof v === "number" ? v : null));
  }

  boolean(key: string): boolean | undefined {
    return this.#typed(key, "true or false", (v) => (typeof v === "boolean" ? v : null));
  }

  string(key: string): string | undefined {
    return this.#typed(key, "a string", (v) => (typeof v === "string" ? v : null));
  }

  strings(key: string): string[] | undefined {
    return this.#typed(key, "an array of strings", (v) =>
      isGgufArray(v) ? new GgufReader(this.file).strings(v) : null,
    );
  }

  numbers(key: string): number[] | undefined {
    return this.#typed(key, "an array of numbers", (v) =>
      isGgufArray(v) ? new GgufReader(this.file).numbers(v) : null,
    );
  }

  #typed<T>(key: string, wanted: string, take: (value: GgufValue) => T | null): T | undefined {
    const value = this.metadata.get(key);
    if (value === undefined) return undefined;
    if (value instanceof NotUtf8) throw corrupt(this.file.path, `metadata ${key}`, value.what);
    const taken = take(value);
    if (taken === null) throw corrupt(this.file.path, `metadata ${key}`, `is not ${wanted}`);
    return taken;
  }

  close(): void {
    for (const file of this.files) file.close();
  }
}

/** One file, of which a split model has several. The caller closes it. */
export function openGgufFile(path: string): GgufFile {
  const file = new ByteFile(path);
  try {
    const reader = new GgufReader(file);
    const { tensorCount, metadataCount } = readCounts(reader, file);
    const { metadata, spans } = readMetadata(reader, metadataCount);
    const tensors = readTensors(reader, tensorCount, alignmentOf(metadata, path), file);
    return new GgufFile([file], { metadata, spans, tensors });
  } catch (cause) {
    file.close();
    throw cause;
  }
}

function readCounts(reader: GgufReader, file: ByteFile): { tensorCount: number; metadataCount: number } {
  if (file.size < 24) throw reader.fail(`the file has ${file.size} bytes; a GGUF header takes at least 24`);
  if (reader.u32() !== MAGIC) throw reader.fail("does not begin with GGUF", 0);
  const version = reader.u32();
  if (!VERSIONS.includes(version)) throw versionUnsupported(file.path, version);
  return {
    tensorCount: reader.count("tensors", MIN_TENSOR_BYTES, MAX_ENTRIES),
    metadataCount: reader.count("metadata entries", MIN_METADATA_BYTES, MAX_ENTRIES),
  };
}

function readMetadata(
  reader: GgufReader,
  count: number,
): { metadata: Map<string, GgufValue>; spans: Map<string, GgufSpan> } {
  const metadata = new Map<string, GgufValue>();
  const spans = new Map<string, GgufSpan>();
  for (let i = 0; i < count; i++) {
    const at = reader.position;
    const key = reader.string("key", MAX_KEY_BYTES);
    if (metadata.has(key)) throw reader.fail(`metadata key ${key.slice(0, 200)} appears twice`, at);
    const keyBytes = reader.position - at;
    metadata.set(key, reader.value(reader.u32()));
    spans.set(key, { offset: at, bytes: reader.position - at, keyBytes });
  }
  return { metadata, spans };
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>, path: string): number {
  const alignment = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (
    typeof alignment === "number" &&
    alignment >= 1 &&
    alignment <= MAX_ALIGNMENT &&
    Number.isInteger(Math.log2(alignment))
  )
    return alignment;
  throw corrupt(path, "metadata general.alignment", "is not a power of two up to a megabyte");
}

function readTensors(reader: GgufReader, count: number, alignment: number, file: ByteFile): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (let i = 0; i < count; i++) {
    const tensor = readTensorInfo(reader, alignment, file);
    if (tensors.has(tensor.storedName)) throw reader.fail(`tensor ${tensor.storedName} appears twice`);
    tensors.set(tensor.storedName, tensor);
  }
  const dataStart = Math.ceil(reader.position / alignment) * alignment;
  for (const tensor of tensors.values()) {
    tensor.offset += dataStart;
    if (tensor.offset + tensor.byteLength > file.size)
      throw corrupt(
        file.path,
        `tensor ${tensor.storedName}`,
        `ends at byte ${tensor.offset + tensor.byteLength}, the file at ${file.size}`,
      );
  }
  assertNoOverlap(tensors.values());
  return tensors;
}

/** `offset` is still relative to the beginning of the tensor data. */
function readTensorInfo(reader: GgufReader, alignment: number, file: ByteFile): StoredTensor {
  const name = reader.string("tensor name", MAX_NAME_BYTES);
  const dimensions = reader.u32();
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) throw reader.fail(`tensor ${name} has ${dimensions} dimensions`);
  // ggml counts from the innermost dimension
  const shape = Array.from({ length: dimensions }, () => reader.u64()).reverse();
  const typeId = reader.u32();
  const offset = reader.u64();
  const type = GGML_TYPE_NAMES[typeId];
  if (type === undefined) throw reader.fail(`tensor ${name} has the unknown type ${typeId}`);
  if (!isStoredType(type)) throw typeUnsupported(file.path, name, type);
  const { blockValues, blockBytes } = STORED_TYPES[type];
  const byteLength = (product(shape) / blockValues) * blockBytes;
  if (!(byteLength > 0 && byteLength <= file.size))
    throw reader.fail(`tensor ${name} of shape [${shape.join(", ")}] does not fit into the file`);
  const rowLength = shape[shape.length - 1];
  if (rowLength % blockValues !== 0)
    throw reader.fail(`tensor ${name} has rows of ${rowLength} numbers; ${type} needs a multiple of ${blockValues}`);
  if (offset % alignment !== 0 || offset > file.size)
    throw reader.fail(`tensor ${name} begins at ${offset}, not on a multiple of ${alignment} inside the file`);
  return { storedName: name, type, shape, file, offset, byteLength };
}

function versionUnsupported(path: string, version: number): DraftplanError {
  const bigEndian = version !== 0 && (version & 0xffff) === 0;
  return new DraftplanError({
    code: "MODEL_NOT_RECOGNISED",
    at: `${path}: byte 4`,
    what: bigEndian ? "a big-endian GGUF file" : `GGUF version ${version}; versions ${VERSIONS.join(" and ")} are read`,
    remedy: "convert the model again with a current llama.cpp on a little-endian machine",
  });
}
