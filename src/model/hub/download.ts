/**
 * One file of a repository as a blob of the Hugging Face cache. Its bytes go to `ETAG.incomplete`, in order, so that what
 * is there after an interruption is a beginning, and the next download goes on behind it. Two processes that load the
 * same file write the same bytes to the same places, and the first to end renames it.
 */
import { createHash, type Hash } from "node:crypto";
import { constants, existsSync, rmSync } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../../core/blocking.js";
import { writeAll } from "../../core/write-all.js";
import { fileUrl, type Hub, patiently, type RemoteFile, request } from "./client.js";
import { invalidAnswer, Unreachable } from "./failures.js";

/** Tries in a row that brought no byte. */
const MAX_TRIES = 5;
const PAUSE_MS = 500;
const CHUNK_BYTES = 1 << 20;

export interface Wanted extends RemoteFile {
  name: string;
  commit: string;
}

export const partOf = (blobs: string, etag: string): string => join(blobs, `${etag}.incomplete`);

/**
 * @param blobs   folder of the repository's blobs; it is there
 * @param advance told of every byte that is there, those of an earlier part too
 * @throws Unreachable, HUB_INVALID where the bytes are not those of the digest, what Progress.tick throws, a system error
 */
export async function downloadBlob(
  hub: Hub,
  blobs: string,
  file: Wanted,
  advance: (bytes: number) => void,
): Promise<void> {
  const part = partOf(blobs, file.etag);
  const handle = await openPart(part);
  let whole: boolean;
  try {
    const digest = digestFor(file);
    let done = await takeUp(hub, handle, file, digest);
    advance(done);
    for (let tries = 0; done < file.bytes; ) {
      const before = done;
      try {
        done = await fetchFrom(hub, handle, file, done, digest, advance);
      } catch (cause) {
        if (!(cause instanceof Broken)) throw cause;
        done = cause.done;
        tries = done > before ? 0 : tries + 1;
        if (tries >= MAX_TRIES) throw new Unreachable(`the download of ${file.name} broke off`, { cause });
        await patiently(new Promise((resolve) => setTimeout(resolve, PAUSE_MS)), hub.progress);
      }
    }
    whole = digest === null || digest.digest("hex") === file.etag;
    if (whole) await handle.sync();
  } finally {
    await handle.close();
  }
  if (!whole) {
    rmSync(part, { force: true });
    throw invalidAnswer(hub.asked, `what was downloaded as ${file.name} does not have its digest`);
  }
  await rename(part, join(blobs, file.etag)).catch((cause: unknown) => {
    if (errnoOf(cause) !== "ENOENT" || !existsSync(join(blobs, file.etag))) throw cause; // another process was faster
  });
}

/** A connection that ended before the file did. */
class Broken extends Error {
  constructor(
    readonly done: number,
    cause: unknown,
  ) {
    super("the connection broke off", { cause });
  }
}

/** To be written to at any place, and made if need be: never cut, since another process may be writing it. */
const openPart = (path: string): Promise<FileHandle> => open(path, constants.O_RDWR | constants.O_CREAT);

/** Of large files the ETag is their SHA-256, of small ones git's digest of a blob. null: it is neither */
function digestFor({ etag, bytes }: RemoteFile): Hash | null {
  if (/^[0-9a-f]{64}$/.test(etag)) return createHash("sha256");
  if (/^[0-9a-f]{40}$/.test(etag)) return createHash("sha1").update(`blob ${bytes}\0`);
  return null;
}

/** Digests what an earlier download has left. @returns its bytes; 0 where it is longer than the file */
async function takeUp(hub: Hub, handle: FileHandle, file: Wanted, digest: Hash | null): Promise<number> {
  const { size } = await handle.stat();
  if (size > file.bytes) {
    await handle.truncate(0);
    return 0;
  }
  if (digest === null) return size;
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let position = 0; position < size; ) {
    const { bytesRead } = await handle.read(chunk, 0, Math.min(chunk.length, size - position), position);
    if (bytesRead === 0) return position;
    digest.update(chunk.subarray(0, bytesRead));
    position += bytesRead;
    await hub.progress.tick();
  }
  return size;
}

/** @returns how many bytes are there. @throws Broken, with how many are */
async function fetchFrom(
  hub: Hub,
  handle: FileHandle,
  file: Wanted,
  from: number,
  digest: Hash | null,
  advance: (bytes: number) => void,
): Promise<number> {
  const stop = new AbortController();
  let done = from;
  try {
    const url = fileUrl(hub.asked, file.commit, file.name);
    const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
    const response = await request(hub, url, file.name, { headers, signal: stop.signal });
    let skip = beginsAt(hub, response, from, file.name);
    const reader = response.body?.getReader();
    if (reader === undefined) throw new Unreachable("the answer has no bytes");
    for (;;) {
      const { value } = await patiently(reader.read(), hub.progress);
      if (value === undefined) break;
      const bytes = value.subarray(Math.min(skip, value.length));
      skip -= value.length - bytes.length;
      if (done + bytes.length > file.bytes) throw invalidAnswer(hub.asked, `${file.name} is longer than the hub said`);
      await writeAll(handle, bytes, done);
      digest?.update(bytes);
      done += bytes.length;
      advance(bytes.length);
      await hub.progress.tick();
    }
  } catch (cause) {
    // a connection that breaks is a TypeError of fetch's, silence and a server in trouble are Unreachable
    if (cause instanceof TypeError || cause instanceof Unreachable) throw new Broken(done, cause);
    throw cause;
  } finally {
    stop.abort();
  }
  if (done < file.bytes) throw new Broken(done, undefined);
  return done;
}

/** How many bytes of an answer are there already: a server that knows no ranges begins anew. */
function beginsAt(hub: Hub, response: Response, from: number, name: string): number {
  if (response.status === 200) return from;
  const [, first] = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "") ?? [];
  if (response.status === 206 && Number(first) === from) return 0;
  throw invalidAnswer(
    hub.asked,
    `asked for ${name} from byte ${from}, the hub answered ${response.status} with another part`,
  );
}
