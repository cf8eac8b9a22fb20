/**
 * Writes a `.gguf` file, version 3: header, metadata, where the tensors lie, and the tensors, each on a multiple of the
 * alignment. Tensors are asked for one after the other and in pieces, so that a model of any size takes a few megabytes
 * of memory, besides what a tensor needs that is converted.
 *
 * Not @huggingface/gguf: its writer (0.4) makes headers alone, and of values that went through JavaScript numbers.
 */
import type { FileHandle } from "node:fs/promises";
import { open } from "node:fs/promises";
import { writeAll } from "../../core/write-all.js";
import { STORED_TYPES, type StoredTypeName } from "../../model/formats/dequantize.js";
import { ggmlTypeId } from "../../model/formats/ggml-types.js";
import { type MetadataEntry, stringBytes, u32Bytes, u64Bytes } from "./metadata.js";

const MAGIC = Buffer.from("GGUF");
const VERSION = 3;
const DEFAULT_ALIGNMENT = 32;
/** Small pieces are gathered before they are written. */
const GATHER_BYTES = 1 << 20;

export interface GgufTensor {
  name: string;
  type: StoredTypeName;
  /** outermost first: a linear layer is [out, in] */
  shape: readonly number[];
  /** all bytes of the tensor, in pieces */
  chunks(): Iterable<Uint8Array>;
}

export interface GgufContents {
  metadata: readonly MetadataEntry[];
  tensors: readonly GgufTensor[];
  /** of tensors, a power of two; where it is not 32, `general.alignment` in the metadata says the same */
  alignment?: number;
  /** asked between pieces, so that a tensor of any size can be interrupted. @throws what ends the writing */
  tick?: () => Promise<void>;
  /** told of every tensor that was written, with its bytes */
  written?: (tensor: GgufTensor, bytes: number) => void | Promise<void>;
}

/** Bytes of a tensor as stored. @throws RangeError where its rows are no whole blocks of the type */
export function tensorBytes({ name, type, shape }: Pick<GgufTensor, "name" | "type" | "shape">): number {
  const { blockValues, blockBytes } = STORED_TYPES[type];
  const row = shape[shape.length - 1];
  if (row % blockValues !== 0)
    throw new RangeError(`tensor ${name} has rows of ${row} numbers; ${type} needs a multiple of ${blockValues}`);
  return (shape.reduce((product, n) => product * n, 1) / blockValues) * blockBytes;
}

/**
 * @param path a file that does not exist yet
 * @returns bytes of the file
 * @throws a system error where it cannot be written; what reading the tensors throws
 */
export async function writeGguf(path: string, contents: GgufContents): Promise<number> {
  const handle = await open(path, "wx");
  try {
    const out = new Gatherer(handle);
    await writeAllOf(out, contents);
    await handle.datasync(); // a crash must not leave a file of the right size with other bytes
    return out.position;
  } finally {
    await handle.close();
  }
}

async function writeAllOf(
  out: Gatherer,
  { metadata, tensors, alignment = DEFAULT_ALIGNMENT, tick, written }: GgufContents,
): Promise<void> {
  await out.add(Buffer.concat([MAGIC, u32Bytes(VERSION), u64Bytes(tensors.length), u64Bytes(metadata.length)]));
  for (const entry of metadata) await whole(out, entry.chunks(), entry.bytes, `metadata ${entry.key}`);
  let offset = 0;
  for (const tensor of tensors) {
    await out.add(tensorInfo(tensor, offset));
    offset = aligned(offset + tensorBytes(tensor), alignment);
  }
  await out.pad(alignment);
  for (const tensor of tensors) {
    const bytes = tensorBytes(tensor);
    await whole(out, tensor.chunks(), bytes, `tensor ${tensor.name}`, tick);
    await out.pad(alignment); // behind the last one too, as gguf-py does
    await written?.(tensor, bytes);
  }
  await out.flush();
}

/** ggml counts dimensions from the innermost. */
function tensorInfo({ name, type, shape }: GgufTensor, offset: number): Buffer {
  const dimensions = [...shape].reverse().map((n) => u64Bytes(n));
  return Buffer.concat([
    stringBytes(name),
    u32Bytes(shape.length),
    ...dimensions,
    u32Bytes(ggmlTypeId(type)),
    u64Bytes(offset),
  ]);
}

/** A source that gives more or fewer bytes than it announced would move all that follows. */
async function whole(
  out: Gatherer,
  chunks: Iterable<Uint8Array>,
  bytes: number,
  what: string,
  tick?: GgufContents["tick"],
): Promise<void> {
  const start = out.position;
  for (const chunk of chunks) {
    await out.add(chunk);
    await tick?.();
  }
  if (out.position - start !== bytes)
    throw new Error(`${what}: ${out.position - start} bytes were given, ${bytes} announced`);
}

const aligned = (offset: number, alignment: number): number => Math.ceil(offset / alignment) * alignment;

class Gatherer {
  /** bytes taken so far */
  position = 0;
  readonly #handle: FileHandle;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async add(bytes: Uint8Array): Promise<void> {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.position += bytes.length;
    if (this.#waitingBytes >= GATHER_BYTES) await this.flush();
  }

  async pad(alignment: number): Promise<void> {
    const missing = aligned(this.position, alignment) - this.position;
    if (missing > 0) await this.add(new Uint8Array(missing));
  }

  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.#waiting);
    const start = this.position - bytes.length;
    this.#waiting = [];
    this.#waitingBytes = 0;
    await writeAll(this.#handle, bytes, start);
  }
}
