/** Weights in one file, each at a page boundary so that whoever reads it can map it; one tensor in memory at a time. */
import { type FileHandle, open } from "node:fs/promises";
import type { Place } from "./graph/branch.js";
import type { WeightPart } from "./kernels/kernel.js";

const PAGE = 4096;

/** One write takes at most 2^31 - 1 bytes, and may take fewer than it was given. */
const MAX_WRITE_BYTES = 1 << 30;

export interface WeightsToWrite {
  /** in the order they are written */
  parts(): Iterable<WeightPart>;
  /** told of every part that was written */
  written(part: WeightPart): Promise<void>;
}

const upToPage = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;

const TYPE_BYTES = { float32: 4, float16: 2, uint8: 1 } as const;

/** Bytes that a part takes in the file, known before it is made. */
export const pagesOf = ({ dims, type }: WeightPart): number =>
  upToPage(dims.reduce((product, d) => product * d, TYPE_BYTES[type]));

/**
 * Writes a new file, which has reached the disk when this returns.
 * @returns where each part lies
 * @throws what the file system says, and what the parts throw
 */
export async function writeWeights(path: string, weights: WeightsToWrite): Promise<Map<string, Place>> {
  const handle = await open(path, "wx");
  try {
    const places = await writeParts(handle, weights);
    await handle.datasync(); // a crash must not leave a file of the right size with other bytes
    return places;
  } finally {
    await handle.close();
  }
}

async function writeParts(handle: FileHandle, { parts, written }: WeightsToWrite): Promise<Map<string, Place>> {
  const places = new Map<string, Place>();
  let offset = 0;
  for (const part of parts()) {
    const bytes = part.bytes();
    await writeAll(handle, bytes, offset);
    places.set(part.name, { dims: part.dims, type: part.type, offset, length: bytes.length });
    offset = upToPage(offset + bytes.length);
    await written(part);
  }
  await handle.truncate(offset);
  return places;
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(
      bytes,
      done,
      Math.min(bytes.length - done, MAX_WRITE_BYTES),
      position + done,
    );
    if (bytesWritten === 0)
      throw Object.assign(new Error("no more bytes were taken"), { code: "ENOSPC", syscall: "write" });
    done += bytesWritten;
  }
}
