/** One write may take fewer bytes than it was given, and takes at most 2^31 - 1: these write until all are taken. */
import { writeSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";

const MAX_WRITE_BYTES = 1 << 30;

/** @throws what the file system says; ENOSPC where it takes nothing more */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, nextBytes(bytes, done), position + done);
    done += taken(bytesWritten);
  }
}

/** @throws as writeAll */
export function writeAllSync(descriptor: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; )
    done += taken(writeSync(descriptor, bytes, done, nextBytes(bytes, done), position + done));
}

const nextBytes = (bytes: Uint8Array, done: number): number => Math.min(bytes.length - done, MAX_WRITE_BYTES);

function taken(bytes: number): number {
  if (bytes === 0) throw Object.assign(new Error("no more bytes were taken"), { code: "ENOSPC", syscall: "write" });
  return bytes;
}
