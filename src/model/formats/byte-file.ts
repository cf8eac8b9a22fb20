import { createHash } from "node:crypto";
import { closeSync, createReadStream, fstatSync, openSync, readSync, statSync } from "node:fs";
import { errnoOf } from "../../core/blocking.js";
import { DraftplanError } from "../../core/errors.js";
import { corrupt } from "../failures.js";

/** One readSync takes at most 2^31 - 1 bytes. */
const MAX_READ_BYTES = 1 << 30;
/** Read at a time for a digest. */
const DIGEST_BYTES = 1 << 20;

/** A regular file held open, read at offsets. What was promised by its size but cannot be read is corruption. */
export class ByteFile {
  readonly path: string;
  readonly size: number;
  readonly #descriptor: number;
  #open = true;

  constructor(path: string) {
    this.path = path;
    // Asked before opening: opening a pipe would block for ever.
    if (!statRegular(path)) throw unreadable(path, "is not a regular file");
    try {
      this.#descriptor = openSync(path, "r");
      this.size = fstatSync(this.#descriptor).size;
    } catch (cause) {
      throw unreadable(path, messageOf(cause), cause);
    }
  }

  /** Fills `target` from `offset`; `where` names what is being read. */
  readInto(target: Uint8Array, offset: number, where: string): void {
    openedFile(this.path, this.descriptor).readInto(target, offset, where);
  }

  /** For other threads of this process, which share it. It is theirs to read as long as this file is open. */
  get descriptor(): number {
    // A closed descriptor's number may already belong to another file.
    if (!this.#open) throw closed(this.path);
    return this.#descriptor;
  }

  async sha256(): Promise<string> {
    if (!this.#open) throw closed(this.path);
    const hash = createHash("sha256");
    const stream = createReadStream("", { fd: this.#descriptor, autoClose: false, start: 0, highWaterMark: 1 << 20 });
    try {
      for await (const chunk of stream) hash.update(chunk as Uint8Array);
    } catch (cause) {
      throw unreadable(this.path, messageOf(cause), cause);
    }
    return hash.digest("hex");
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.#descriptor);
  }
}

/** What reads at offsets of a file. */
export type BytesAt = Pick<ByteFile, "path" | "readInto">;

/** Reads of a file that another thread opened. */
export const openedFile = (path: string, descriptor: number): BytesAt => ({
  path,
  readInto(target, offset, where) {
    let done = 0;
    while (done < target.length) {
      const count = readAt(path, descriptor, target.subarray(done), offset + done, where);
      if (count === 0)
        throw corrupt(path, where, `the file ends at byte ${offset + done}, ${target.length - done} bytes early`);
      done += count;
    }
  },
});

function readAt(path: string, descriptor: number, target: Uint8Array, position: number, where: string): number {
  try {
    return readSync(descriptor, target, 0, Math.min(target.length, MAX_READ_BYTES), position);
  } catch (cause) {
    throw unreadable(`${path}: ${where}`, messageOf(cause), cause);
  }
}

/** SHA-256 of a file that another thread opened, hex. */
export function digestOpened(path: string, descriptor: number): string {
  const hash = createHash("sha256");
  const bytes = new Uint8Array(DIGEST_BYTES);
  for (let position = 0; ; ) {
    const count = readAt(path, descriptor, bytes, position, "its digest");
    if (count === 0) return hash.digest("hex");
    hash.update(bytes.subarray(0, count));
    position += count;
  }
}

function statRegular(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT" || errnoOf(cause) === "ENOTDIR") throw notFound(path);
    throw unreadable(path, messageOf(cause), cause);
  }
}

export function notFound(path: string): DraftplanError {
  return new DraftplanError({
    code: "FILE_NOT_FOUND",
    at: path,
    what: "no such file or folder",
    remedy: "check the path; relative paths start at the current folder",
  });
}

export function unreadable(path: string, what: string, cause?: unknown): DraftplanError {
  return new DraftplanError({
    code: "FILE_UNREADABLE",
    at: path,
    what,
    remedy: "check that it is a regular file you may read",
    cause,
  });
}

function closed(path: string): DraftplanError {
  return new DraftplanError({
    code: "INTERNAL",
    at: path,
    what: "the checkpoint was closed before this read",
    remedy: "read all tensors before calling close()",
  });
}

export const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
