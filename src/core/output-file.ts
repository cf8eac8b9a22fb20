/**
 * The one room through which files leave. A regular file is written beside its place, whole and on the disk, and renamed:
 * a reader sees the old one or the new one. What is no regular file (a device, a pipe, `/dev/stdout`) is written to and
 * never replaced, and a file that cannot be replaced (a container's bind mount) is written in place.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { blocking, errnoOf, untilReady } from "./blocking.js";
import { followLinks } from "./descriptor-path.js";
import { DraftplanError } from "./errors.js";
import { makeFolder } from "./folders.js";
import { holdSignals } from "./held-signals.js";

/**
 * Writes a file; the folders above it are made.
 * @throws FILE_UNWRITABLE: what stood there is then unchanged, if it was a regular file
 */
export function writeText(path: string, text: string): void {
  orUnwritable(path, undefined, () => {
    const target = followLinks(path);
    const bytes = Buffer.from(text);
    if ("descriptor" in target) return blocking(() => writeAll(target.descriptor, bytes, null));
    makeFolder(dirname(target.path));
    const there = statSync(target.path, { throwIfNoEntry: false });
    if (there === undefined || there.isFile()) writeRegular(target.path, bytes, there);
    else writeInto(target.path, bytes, constants.O_WRONLY);
  });
}

/**
 * Adds to the end of a file, which is made if need be.
 * @param remedy what to do where that fails
 * @throws FILE_UNWRITABLE
 */
export function appendText(path: string, text: string, remedy?: string): void {
  orUnwritable(path, remedy, () => {
    const target = followLinks(path);
    const bytes = Buffer.from(text);
    if ("descriptor" in target) return blocking(() => writeAll(target.descriptor, bytes, null));
    const there = statSync(target.path, { throwIfNoEntry: false });
    writeInto(
      target.path,
      bytes,
      constants.O_WRONLY | constants.O_APPEND | (there === undefined ? constants.O_CREAT : 0),
    );
  });
}

/** Whether something is kept at a path, so that a journal beside it makes sense: not a device, a pipe or `/dev/stdout`. */
export function isKept(path: string): boolean {
  try {
    const target = followLinks(path);
    return "path" in target && (statSync(target.path, { throwIfNoEntry: false })?.isFile() ?? true);
  } catch {
    return true; // writing it says what is wrong
  }
}

/**
 * All of the bytes: the system may take fewer than it is given, as on a disk that fills.
 * @param position null: where the descriptor stands
 * @throws a system error
 */
export function writeAll(descriptor: number, bytes: Uint8Array, position: number | null): void {
  for (let done = 0; done < bytes.length; ) {
    const at = position === null ? null : position + done;
    const written = untilReady(() => writeSync(descriptor, bytes, done, bytes.length - done, at));
    if (written === 0) throw new Error(`no more than ${done} of ${bytes.length} bytes were taken`);
    done += written;
  }
}

/**
 * Waits until a regular file is on the disk, all of it: a system may claim more than it took.
 * @param bytes that it has to have
 * @throws a system error, or that bytes are missing
 */
export function settleOnDisk(descriptor: number, bytes: number): void {
  fsyncSync(descriptor);
  const { size } = fstatSync(descriptor);
  if (size !== bytes) throw new Error(`${size} of ${bytes} bytes are there`);
}

/** What stands there already and is no regular file, or is added to. */
function writeInto(path: string, bytes: Uint8Array, flags: number): void {
  blocking(() => {
    const descriptor = openSync(path, flags); // a pipe's waits for a reader
    try {
      writeAll(descriptor, bytes, null);
      if (fstatSync(descriptor).isFile()) fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  });
}

function writeRegular(path: string, bytes: Uint8Array, there: Stats | undefined): void {
  const release = holdSignals(); // a signal is let in when nothing is half done
  try {
    replace(path, bytes, there);
  } catch (error) {
    if (there === undefined || !IRREPLACEABLE.has(errnoOf(error) ?? "")) throw error;
    writeInPlace(path, bytes);
  } finally {
    release();
  }
}

/** A mount point, or a folder in which nothing may be made: the file itself may still be written. */
const IRREPLACEABLE = new Set(["EBUSY", "EXDEV", "EACCES", "EPERM", "EROFS"]);

function replace(path: string, bytes: Uint8Array, there: Stats | undefined): void {
  // not after the file: a name of 250 bytes has no room for an ending
  const draft = join(dirname(path), `.draftplan-${process.pid}-${randomBytes(6).toString("hex")}.tmp`);
  const descriptor = openSync(draft, "wx", 0o666);
  try {
    try {
      if (there !== undefined) takeAfter(descriptor, there);
      writeAll(descriptor, bytes, 0);
      settleOnDisk(descriptor, bytes.length);
    } finally {
      closeSync(descriptor);
    }
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** Mode and owner stay; an ordinary user may not give files away, and some file systems know no owners. */
function takeAfter(descriptor: number, there: Stats): void {
  if (process.platform === "win32") return;
  const own = fstatSync(descriptor);
  try {
    if (own.uid !== there.uid || own.gid !== there.gid) fchownSync(descriptor, there.uid, there.gid);
    fchmodSync(descriptor, there.mode & 0o7777);
  } catch (error) {
    if (!["EPERM", "EINVAL", "ENOSYS", "ENOTSUP"].includes(errnoOf(error) ?? "")) throw error;
  }
}

/** Over what stands there, which is put back where the disk does not take the new: it has room for the old. */
function writeInPlace(path: string, bytes: Uint8Array): void {
  const old = readFileSync(path);
  const descriptor = openSync(path, "r+");
  const fill = (content: Uint8Array) => {
    writeAll(descriptor, content, 0);
    ftruncateSync(descriptor, content.length);
    fsyncSync(descriptor);
  };
  try {
    fill(bytes);
  } catch (error) {
    fill(old);
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

/** @throws FILE_UNWRITABLE for whatever `write` throws */
export function orUnwritable(
  path: string,
  remedy = "Choose another place with -o FILE, or make room there.",
  write: () => void,
): void {
  try {
    write();
  } catch (cause) {
    throw new DraftplanError({
      code: "FILE_UNWRITABLE",
      at: path,
      what: `the file could not be written (${cause instanceof Error ? cause.message : cause})`,
      remedy,
      cause,
    });
  }
}
