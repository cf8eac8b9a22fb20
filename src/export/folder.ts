/**
 * The folder that an export is written into: made beside its place and renamed when all of it is there, so that a reader sees
 * the whole of it or nothing. Where nothing can be made beside it (a container's mount), it is filled from a folder within.
 */
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { errnoOf } from "../core/blocking.js";
import { DraftplanError } from "../core/errors.js";
import { makeFolder } from "../core/folders.js";
import { orUnwritable, settleOnDisk, writeAll, writeText } from "../core/output-file.js";
import type { Progress } from "../core/progress.js";
import type { Export } from "../schema/export.js";

const REMEDY = "Make room there, or choose another place with -o DIR.";

/** A file that is being written, front to back. */
export interface Sink {
  /** @throws FILE_UNWRITABLE */
  write(bytes: Uint8Array): void;
}

export class OutputFolder {
  /** @param draft where files lie until the folder is whole */
  constructor(private readonly draft: string) {}

  /** Where a file of the folder is to be written, by a library that wants a path; folders above it are there. */
  path(name: string): string {
    const path = join(this.draft, name);
    makeFolder(dirname(path));
    return path;
  }

  /** @throws FILE_UNWRITABLE */
  text(name: string, text: string): void {
    writeText(this.path(name), text);
  }

  json(name: string, value: unknown): void {
    this.text(name, `${JSON.stringify(value, null, 2)}\n`);
  }

  /**
   * Writes a file front to back, a part at a time: only a part is ever in memory.
   * @throws FILE_UNWRITABLE where the disk does not hold all of it, whatever it said while it was written
   */
  async stream(name: string, fill: (sink: Sink) => Promise<void>): Promise<void> {
    const descriptor = openSync(this.path(name), "wx", 0o666);
    let given = 0;
    const write = (bytes: Uint8Array) => {
      given += bytes.length;
      orUnwritable(name, REMEDY, () => writeAll(descriptor, bytes, null));
    };
    try {
      await fill({ write });
      orUnwritable(name, REMEDY, () => settleOnDisk(descriptor, given));
    } finally {
      closeSync(descriptor);
    }
  }

  /** The same file under a second name where the file system allows it, else a copy. */
  link(name: string, source: string): void {
    const real = realpathSync(source); // a link to a link, as in the hub's cache, would lead nowhere once that is cleared
    const target = this.path(name);
    try {
      linkSync(real, target);
    } catch (error) {
      if (!["EXDEV", "EPERM", "EMLINK", "ENOTSUP", "EOPNOTSUPP", "EACCES", "ENOSYS"].includes(errnoOf(error) ?? ""))
        throw error;
      copyFileSync(real, target);
    }
  }

  copy(name: string, source: string): void {
    copyFileSync(source, this.path(name));
  }

  /** Every file written so far, by name. */
  async files(progress: Progress): Promise<Export["files"]> {
    const names = readdirSync(this.draft, { recursive: true, encoding: "utf8" })
      .map((name) => name.replaceAll("\\", "/"))
      .filter((name) => statSync(join(this.draft, name)).isFile())
      .sort();
    const files: Export["files"] = [];
    for (const path of names) files.push({ path, ...(await digest(join(this.draft, path), progress)) });
    return files;
  }
}

const CHUNK_BYTES = 4 << 20;

async function digest(path: string, progress: Progress): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  const chunk = new Uint8Array(CHUNK_BYTES);
  const descriptor = openSync(path, "r");
  try {
    let bytes = 0;
    for (;;) {
      const count = readSync(descriptor, chunk, 0, chunk.length, null);
      if (count === 0) return { bytes, sha256: hash.digest("hex") };
      hash.update(chunk.subarray(0, count));
      bytes += count;
      await progress.tick();
    }
  } finally {
    closeSync(descriptor);
  }
}

/** @throws OPTION_INVALID where something is there already */
export function requireEmptyFolder(place: string): void {
  let found: string[];
  try {
    found = statSync(place).isDirectory() ? readdirSync(place) : ["a file"];
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) return; // whether it can be made shows when it is
    throw unwritable(place, error);
  }
  if (found.length === 0) return;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `-o ${place}`,
    what: "something is there already, and exports never overwrite",
    remedy: "Name a folder that does not exist, or empty it.",
  });
}

/**
 * Has a folder filled and puts it in its place; whatever goes wrong, nothing of it stays.
 * @param place       a folder that is empty or not there (requireEmptyFolder)
 * @param bytesNeeded for all that will be written, as far as is known
 * @throws FILE_UNWRITABLE, what `fill` throws
 */
export async function withOutputFolder<Result>(
  place: string,
  bytesNeeded: number,
  progress: Progress,
  fill: (folder: OutputFolder) => Promise<Result>,
): Promise<Result> {
  await progress.tick(); // from here on there may be something to clean up, so signals are listened for
  let draft: Draft | undefined;
  try {
    draft = makeDraft(place);
    requireRoom(place, draft.path, bytesNeeded);
    const result = await fill(new OutputFolder(draft.path));
    await progress.tick();
    settle(draft);
    return result;
  } catch (cause) {
    throw unwritable(place, cause);
  } finally {
    if (draft !== undefined) discard(draft);
  }
}

interface Draft {
  path: string;
  /** the folder to be, links resolved */
  place: string;
  within: boolean;
  /** made for the draft, outermost first */
  made: string[];
}

const CANNOT_MAKE = ["EACCES", "EPERM", "EROFS", "EBUSY"];

function makeDraft(given: string): Draft {
  const place = realOr(resolve(given));
  const name = `.draftplan-${process.pid}-${randomBytes(6).toString("hex")}.partial`;
  const isThere = statSync(place, { throwIfNoEntry: false }) !== undefined;
  const made = missingAbove(place);
  makeFolder(dirname(place));
  const beside = { path: join(dirname(place), name), place, within: false, made };
  try {
    mkdirSync(beside.path);
    return beside;
  } catch (error) {
    if (!isThere || !CANNOT_MAKE.includes(errnoOf(error) ?? "")) throw error;
    const within = { ...beside, path: join(place, name), within: true };
    mkdirSync(within.path);
    return within;
  }
}

function realOr(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** Folders above a place that are not there yet. */
function missingAbove(place: string): string[] {
  const missing: string[] = [];
  for (let folder = dirname(place); statSync(folder, { throwIfNoEntry: false }) === undefined; folder = dirname(folder))
    missing.unshift(folder);
  return missing;
}

function requireRoom(place: string, draft: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(draft);
  const free = bavail * bsize;
  if (free >= bytes) return;
  const mebibytes = (count: number) => `${Math.ceil(count / 2 ** 20)} MiB`;
  throw new DraftplanError({
    code: "FILE_UNWRITABLE",
    at: `-o ${place}`,
    what: `the export takes ${mebibytes(bytes)}, and ${mebibytes(free)} are free there`,
    remedy: REMEDY,
  });
}

/** The draft takes the empty place by one rename; where that cannot be (a mount), its files go in one by one, export.yaml last. */
function settle(draft: Draft): void {
  if (!draft.within) {
    try {
      if (statSync(draft.place, { throwIfNoEntry: false }) !== undefined) rmdirSync(draft.place);
      renameSync(draft.path, draft.place);
      draft.made.length = 0;
      return;
    } catch (error) {
      if (!CANNOT_MAKE.includes(errnoOf(error) ?? "")) throw error;
    }
  }
  const names = readdirSync(draft.path).sort((a, b) => Number(a === "export.yaml") - Number(b === "export.yaml"));
  const moved: string[] = [];
  try {
    for (const name of names) {
      renameSync(join(draft.path, name), join(draft.place, name));
      moved.push(name);
    }
  } catch (error) {
    for (const name of moved) rmSync(join(draft.place, name), { recursive: true, force: true });
    throw error;
  }
}

function discard({ path, made }: Draft): void {
  try {
    rmSync(path, { recursive: true, force: true });
    for (const folder of [...made].reverse()) rmdirSync(folder);
  } catch {
    // somebody else's file is in a folder made here, or the disk failed; what went wrong before is what counts
  }
}

/** A bare system error comes from writing here: what is read says itself what is wrong. */
function unwritable(place: string, cause: unknown): unknown {
  if (!(cause instanceof Error) || cause instanceof DraftplanError || errnoOf(cause) === undefined) return cause;
  if (!("syscall" in cause)) return cause;
  return new DraftplanError({
    code: "FILE_UNWRITABLE",
    at: `-o ${place}`,
    what: `the folder ${basename(place)} could not be written (${cause.message})`,
    remedy: REMEDY,
    cause,
  });
}
