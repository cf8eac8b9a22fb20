/** Writes the GGUF format, well-formed or deliberately not. */

export type MetadataType =
  | "u8"
  | "i8"
  | "u16"
  | "i16"
  | "u32"
  | "i32"
  | "f32"
  | "bool"
  | "string"
  | "u64"
  | "i64"
  | "f64";

export type Metadata =
  | { type: MetadataType; value: number | string | boolean }
  | { type: "array"; of: MetadataType; values: readonly (number | string | boolean)[] };

export interface GgufTensor {
  /** ggml's type id */
  type: number;
  /** outermost first, as in Hugging Face files */
  shape: readonly number[];
  bytes: Uint8Array;
}

export interface GgufContents {
  version?: number;
  metadata: ReadonlyMap<string, Metadata>;
  tensors: ReadonlyMap<string, GgufTensor>;
  alignment?: number;
}

const TYPE_IDS: Record<MetadataType | "array", number> = {
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
};

export function ggufBytes({ version = 3, metadata, tensors, alignment = 32 }: GgufContents): Buffer {
  const header: Buffer[] = [Buffer.from("GGUF"), u32(version), u64(tensors.size), u64(metadata.size)];
  for (const [key, value] of metadata) header.push(string(key), ...metadataBytes(value));
  const data: Buffer[] = [];
  let offset = 0;
  for (const [name, { type, shape, bytes }] of tensors) {
    header.push(string(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(type), u64(offset));
    const padded = Buffer.alloc(Math.ceil(bytes.length / alignment) * alignment);
    padded.set(bytes);
    data.push(padded);
    offset += padded.length;
  }
  const length = header.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([...header, Buffer.alloc(Math.ceil(length / alignment) * alignment - length), ...data]);
}

function metadataBytes(value: Metadata): Buffer[] {
  if (value.type !== "array") return [u32(TYPE_IDS[value.type]), scalar(value.type, value.value)];
  const { of } = value;
  return [u32(TYPE_IDS.array), u32(TYPE_IDS[of]), u64(value.values.length), ...value.values.map((v) => scalar(of, v))];
}

const WRITERS: Record<
  Exclude<MetadataType, "string">,
  { bytes: number; write: (view: DataView, n: number) => void }
> = {
  u8: { bytes: 1, write: (v, n) => v.setUint8(0, n) },
  i8: { bytes: 1, write: (v, n) => v.setInt8(0, n) },
  bool: { bytes: 1, write: (v, n) => v.setUint8(0, n) },
  u16: { bytes: 2, write: (v, n) => v.setUint16(0, n, true) },
  i16: { bytes: 2, write: (v, n) => v.setInt16(0, n, true) },
  u32: { bytes: 4, write: (v, n) => v.setUint32(0, n, true) },
  i32: { bytes: 4, write: (v, n) => v.setInt32(0, n, true) },
  f32: { bytes: 4, write: (v, n) => v.setFloat32(0, n, true) },
  u64: { bytes: 8, write: (v, n) => v.setBigUint64(0, BigInt(n), true) },
  i64: { bytes: 8, write: (v, n) => v.setBigInt64(0, BigInt(n), true) },
  f64: { bytes: 8, write: (v, n) => v.setFloat64(0, n, true) },
};

function scalar(type: MetadataType, value: number | string | boolean): Buffer {
  if (type === "string") return string(String(value));
  const { bytes, write } = WRITERS[type];
  const out = Buffer.alloc(bytes);
  write(new DataView(out.buffer, out.byteOffset, bytes), Number(value));
  return out;
}

const u32 = (n: number): Buffer => scalar("u32", n);
const u64 = (n: number): Buffer => scalar("u64", n);
const string = (text: string): Buffer => Buffer.concat([u64(Buffer.byteLength(text)), Buffer.from(text)]);
