/** Files that a command line or a document names, read with a bound on their size, and with one answer to what can go wrong. */
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from "node:fs";
import { blocking, errnoOf, untilReady } from "./blocking.js";
import { followLinks } from "./descriptor-path.js";
import { DraftplanError } from "./errors.js";

/**
 * A file that the command line names: it may be a pipe (`<(command)`, `/dev/stdin`), which is read to its end.
 * @param maxBytes far above any real file of its kind: bounds what is read, not what may be asked for
 * @param remedy   what to do about a wrong path, where the flag that took it can be named
 * @throws FILE_NOT_FOUND; FILE_UNREADABLE for a folder, a file that may not be read, or one that is too large
 */
export function readUserFile(path: string, maxBytes: number, remedy = "Check the path."): Buffer {
  return orUnreadable(path, remedy, () => {
    const target = followLinks(path);
    if ("descriptor" in target) return blocking(() => readToEnd(target.descriptor, maxBytes));
    const stat = statSync(path);
    if (stat.isDirectory()) throw new Error("it is a folder");
    if (stat.isFile()) return readRegular(path, maxBytes);
    return blocking(() => readOpened(path, constants.O_RDONLY, (descriptor) => readToEnd(descriptor, maxBytes)));
  });
}

/**
 * A file that a document names, or that lies in a folder: a regular one, since nobody vouches for anything else. A device
 * may have no end, and a pipe no writer.
 * @throws as readUserFile, and FILE_UNREADABLE for what is no regular file
 */
export function readNamedFile(path: string, maxBytes: number): Buffer {
  return orUnreadable(path, "Check the path.", () => readRegular(path, maxBytes));
}

function readRegular(path: string, maxBytes: number): Buffer {
  if (statSync(path).isDirectory()) throw new Error("it is a folder");
  // without waiting: a pipe may have taken the file's place since
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
  if (!statSync(path).isFile()) throw new Error("it is no regular file");
  return readOpened(path, flags, (descriptor) => {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new Error("it is no regular file");
    if (stat.size > maxBytes) throw new Error(`it has ${stat.size} bytes, more than ${maxBytes}`);
    return readToEnd(descriptor, maxBytes);
  });
}

const CHUNK_BYTES = 1 << 20;

/** By what is read and not by what was promised: a pipe promises nothing, and a file may grow. */
function readToEnd(descriptor: number, maxBytes: number): Buffer {
  const chunks: Buffer[] = [];
  const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, maxBytes + 1));
  let total = 0;
  for (;;) {
    const count = untilReady(() => readOrEnd(descriptor, chunk));
    if (count === 0) return Buffer.concat(chunks, total);
    total += count;
    if (total > maxBytes) throw new Error(`it has more than ${maxBytes} bytes`);
    chunks.push(Buffer.from(chunk.subarray(0, count)));
  }
}

/** Windows says EOF of a pipe whose writer is gone by an error. */
function readOrEnd(descriptor: number, chunk: Buffer): number {
  try {
    return readSync(descriptor, chunk, 0, chunk.length, null);
  } catch (error) {
    if (errnoOf(error) === "EOF") return 0;
    throw error;
  }
}

function readOpened<T>(path: string, flags: number, read: (descriptor: number) => T): T {
  const descriptor = openSync(path, flags);
  try {
    return read(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function orUnreadable(path: string, remedy: string, read: () => Buffer): Buffer {
  try {
    return read();
  } catch (cause) {
    const missing = errnoOf(cause) === "ENOENT" || errnoOf(cause) === "ENOTDIR";
    throw new DraftplanError({
      code: missing ? "FILE_NOT_FOUND" : "FILE_UNREADABLE",
      at: path,
      what: missing
        ? "there is no such file"
        : `the file could not be read (${cause instanceof Error ? cause.message : String(cause)})`,
      remedy: missing ? remedy : "Check the file and its permissions.",
      cause,
    });
  }
}
