/**
 * Entries of a GGUF header (github.com/ggml-org/ggml/blob/master/docs/gguf.md): key, type, value, all little-endian.
 * An entry is either made here or copied from another file byte for byte, so that nothing is lost on the way.
 */
import type { ByteFile } from "../../model/formats/byte-file.js";
import type { GgufFile } from "../../model/formats/gguf-file.js";

/** ids of the value types (`enum gguf_type`) */
const VALUE_TYPES = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

type ScalarType = Exclude<keyof typeof VALUE_TYPES, "array">;
type NumberType = Exclude<ScalarType, "bool" | "string" | "u64" | "i64">;

export type Scalar =
  | { type: NumberType; value: number }
  | { type: "u64" | "i64"; value: bigint | number }
  | { type: "bool"; value: boolean }
  | { type: "string"; value: string };

export type MetadataArray =
  | { type: "array"; of: NumberType; values: readonly number[] }
  | { type: "array"; of: "u64" | "i64"; values: readonly (bigint | number)[] }
  | { type: "array"; of: "bool"; values: readonly boolean[] }
  | { type: "array"; of: "string"; values: readonly string[] };

export type MetadataValue = Scalar | MetadataArray;

/** What a header holds under one key. */
export interface MetadataEntry {
  key: string;
  /** key, type and value together */
  bytes: number;
  /** the same, in pieces of bounded size */
  chunks(): Iterable<Uint8Array>;
}

const COPY_BYTES = 1 << 20;
/** Items of an array that are encoded together. */
const ITEMS_A_PIECE = 4096;

/** A new entry. */
export function madeEntry(key: string, value: MetadataValue): MetadataEntry {
  const head = Buffer.concat([stringBytes(key), u32Bytes(VALUE_TYPES[value.type])]);
  if (value.type !== "array") {
    const bytes = Buffer.concat([head, scalarBytes(value.type, value.value)]);
    return { key, bytes: bytes.length, chunks: () => [bytes] };
  }
  const { of, values } = value;
  const announced = Buffer.concat([head, u32Bytes(VALUE_TYPES[of]), u64Bytes(BigInt(values.length))]);
  return {
    key,
    bytes: announced.length + itemBytes(of, values),
    *chunks() {
      yield announced;
      for (let from = 0; from < values.length; from += ITEMS_A_PIECE)
        yield Buffer.concat(values.slice(from, from + ITEMS_A_PIECE).map((item) => scalarBytes(of, item)));
    },
  };
}

/**
 * An entry of another file, byte for byte. The file has to stay open until it is written.
 * @param renamed the key it gets; its type and value stay
 */
export function copiedEntry(file: GgufFile, key: string, renamed = key): MetadataEntry {
  const span = file.spans.get(key);
  if (span === undefined) throw new Error(`no metadata entry ${key}`);
  const head = renamed === key ? Buffer.alloc(0) : stringBytes(renamed);
  const left = renamed === key ? 0 : span.keyBytes;
  const what = `metadata ${key}`;
  return {
    key: renamed,
    bytes: head.length + span.bytes - left,
    *chunks() {
      yield head;
      yield* copiedBytes(file.file, span.offset + left, span.bytes - left, what);
    },
  };
}

/** Bytes of a file, a megabyte at a time. */
export function* copiedBytes(file: ByteFile, offset: number, bytes: number, what: string): Generator<Uint8Array> {
  for (let done = 0; done < bytes; done += COPY_BYTES) {
    const piece = new Uint8Array(Math.min(COPY_BYTES, bytes - done));
    file.readInto(piece, offset + done, what);
    yield piece;
  }
}

export const u32Bytes = (value: number): Buffer => scalarBytes("u32", value);
export const u64Bytes = (value: bigint | number): Buffer => scalarBytes("u64", value);

export function stringBytes(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([u64Bytes(bytes.length), bytes]);
}

const SIZES: Record<Exclude<ScalarType, "string">, number> = {
  u8: 1,
  i8: 1,
  bool: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  u64: 8,
  i64: 8,
  f64: 8,
};

function itemBytes(of: ScalarType, values: MetadataArray["values"]): number {
  if (of !== "string") return SIZES[of] * values.length;
  return values.reduce((sum: number, text) => sum + 8 + Buffer.byteLength(String(text)), 0);
}

/** Numbers that a type cannot hold are refused by Node itself (ERR_OUT_OF_RANGE). */
function scalarBytes(type: ScalarType, value: number | bigint | boolean | string): Buffer {
  if (type === "string") return stringBytes(String(value));
  const out = Buffer.alloc(SIZES[type]);
  switch (type) {
    case "u8":
      out.writeUInt8(Number(value));
      break;
    case "i8":
      out.writeInt8(Number(value));
      break;
    case "bool":
      out.writeUInt8(value === true ? 1 : 0);
      break;
    case "u16":
      out.writeUInt16LE(Number(value));
      break;
    case "i16":
      out.writeInt16LE(Number(value));
      break;
    case "u32":
      out.writeUInt32LE(Number(value));
      break;
    case "i32":
      out.writeInt32LE(Number(value));
      break;
    case "f32":
      out.writeFloatLE(Number(value));
      break;
    case "u64":
      out.writeBigUInt64LE(BigInt(value));
      break;
    case "i64":
      out.writeBigInt64LE(BigInt(value));
      break;
    case "f64":
      out.writeDoubleLE(Number(value));
      break;
  }
  return out;
}
