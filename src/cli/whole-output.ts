/** stdout as a file, which Node writes with one system call that may take less than it is given. */
import type { Writable } from "node:stream";
import { writeAll } from "../core/output-file.js";

/**
 * Makes a stream that is a file write all of what it is given, or fail. Terminals and pipes are streams of another kind,
 * and do so by themselves.
 */
export function writeWhole(stream: Writable & { fd?: number; isTTY?: boolean }): void {
  const { fd } = stream;
  if (fd === undefined || stream.isTTY === true || stream.constructor.name !== "SyncWriteStream") return;
  stream._write = (chunk: string | Uint8Array, encoding, done) => {
    try {
      writeAll(fd, typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk, null);
    } catch (error) {
      done(error as Error);
      return;
    }
    done();
  };
}
