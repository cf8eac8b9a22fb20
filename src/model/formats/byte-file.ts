import { createHash } from "node:crypto";
import { closeSync, createReadStream, fstatSync, openSync, readSync, statSync } from "node:fs";
import { DraftplanError } from "../../core/errors.js";
import { corrupt } from "../failures.js";

/** One readSync takes at most 2^31 - 1 bytes. */
const MAX_READ_BYTES = 1 << 30;

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
    // A closed descriptor's number may already belong to another file.
    if (!this.#open) throw closed(this.path);
    let done = 0;
    while (done < target.length) {
      const count = this.#read(target, done, offset + done, where);
      if (count === 0)
        throw corrupt(this.path, where, `the file ends at byte ${offset + done}, ${target.length - done} bytes early`);
      done += count;
    }
  }

  #read(target: Uint8Array, at: number, position: number, where: string): number {
    try {
      return readSync(this.#descriptor, target, at, Math.min(target.length - at, MAX_READ_BYTES), position);
    } catch (cause) {
      throw unreadable(`${this.path}: ${where}`, messageOf(cause), cause);
    }
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

export const errnoOf = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined;
