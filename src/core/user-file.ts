/** Files that a user names: read whole, with a bound on their size, and with one answer to what can go wrong. */
import { readFileSync, statSync } from "node:fs";
import { DraftplanError } from "./errors.js";

/**
 * @param maxBytes far above any real file of its kind: bounds what is read, not what may be asked for
 * @param remedy   what to do about a wrong path, where the flag that took it can be named
 * @throws FILE_NOT_FOUND; FILE_UNREADABLE for a folder, a file that may not be read, or one that is too large
 */
export function readUserFile(path: string, maxBytes: number, remedy = "Check the path."): Buffer {
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) throw new Error("it is a folder");
    if (stat.size > maxBytes) throw new Error(`it has ${stat.size} bytes, more than ${maxBytes}`);
    return readFileSync(path);
  } catch (cause) {
    const missing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
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
