/** Room on a disk for what is about to be written. */
import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { DraftplanError } from "../core/errors.js";
import { gib } from "../core/text.js";

/**
 * @param what is to be written, as `a converted model`
 * @throws FILE_UNWRITABLE where the file system says that it has less
 */
export async function requireRoom(folder: string, bytes: number, what: string): Promise<void> {
  const free = await freeBytes(folder);
  if (free === undefined || free >= bytes) return;
  throw new DraftplanError({
    code: "FILE_UNWRITABLE",
    at: folder,
    what: `${what} of ${gib(bytes)} is to be written, and ${gib(free)} are free: ${gib(bytes - free)} are missing`,
    remedy:
      "Free space there (draftplan cache --clear), set DRAFTPLAN_CACHE_DIR to a folder with room, or ask for fewer kernels (--choices).",
  });
}

/**
 * Of the file system that a folder lies on, or will lie on: nothing is made.
 * @returns undefined where the file system does not say; a write that fails is reported all the same
 */
export async function freeBytes(folder: string): Promise<number | undefined> {
  let there = resolve(folder);
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there);
  try {
    const { bavail, bsize } = await statfs(there);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}
