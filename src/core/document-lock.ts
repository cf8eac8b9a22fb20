/** One command at a time for what is written over many minutes: a file beside the document that says who is at work. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { errnoOf } from "./blocking.js";
import { DraftplanError } from "./errors.js";
import { makeFolder } from "./folders.js";
import { isKept, orUnwritable } from "./output-file.js";

interface Holder {
  pid: number;
  host: string;
  /** when the process began, as the system counts it; null where it does not say. Numbers of processes are given again */
  began: string | null;
  command: string;
  since: string;
}

const MOST_TRIES = 20;

/**
 * Holds `DOCUMENT.lock` until what is returned is called. One of a process that has ended is taken over.
 * @param document the document that the command ends with
 * @param command  what is at work, for whoever comes second
 * @returns gives it back; nothing is held where the document is no regular file, such as a pipe
 * @throws DOCUMENT_IN_USE with the holder, FILE_UNWRITABLE
 */
export function holdDocument(document: string, command: string): () => void {
  if (document === "-" || !isKept(document)) return () => {};
  const lock = `${document}.lock`;
  const own = JSON.stringify({
    ...{ pid: process.pid, host: hostname(), began: beginOf(process.pid), command, since: new Date().toISOString() },
  } satisfies Holder);
  const mine = `${lock}.${process.pid}`;
  orUnwritable(lock, undefined, () => {
    makeFolder(dirname(document));
    writeFileSync(mine, own);
  });
  try {
    for (let tries = 0; !placed(mine, lock); tries++) {
      const text = textOf(lock);
      if (text === null) continue; // given back just now
      const holder = holderIn(text);
      if (tries === MOST_TRIES || holder === null || isAtWork(holder)) throw inUse(document, lock, holder);
      takeAway(lock, text, `${mine}.stale`);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  return () => {
    if (textOf(lock) === own) rmSync(lock, { force: true });
  };
}

/** A link is made with its contents at once, and by one process alone. @returns false where there is one already */
function placed(mine: string, lock: string): boolean {
  try {
    linkSync(mine, lock);
    return true;
  } catch (cause) {
    if (errnoOf(cause) === "EEXIST") return false;
    return copied(mine, lock); // a file system without links
  }
}

function copied(mine: string, lock: string): boolean {
  let isPlaced = true;
  orUnwritable(lock, undefined, () => {
    try {
      writeFileSync(lock, readFileSync(mine), { flag: "wx" });
    } catch (cause) {
      if (errnoOf(cause) !== "EEXIST") throw cause;
      isPlaced = false;
    }
  });
  return isPlaced;
}

/** Renaming is done by one process alone; where another's new lock was caught, it is put back. */
function takeAway(lock: string, stale: string, aside: string): void {
  try {
    renameSync(lock, aside);
  } catch {
    return; // somebody else took it
  }
  if (textOf(aside) !== stale) placed(aside, lock);
  rmSync(aside, { force: true });
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function holderIn(text: string): Holder | null {
  try {
    const { pid, host, began, command, since } = JSON.parse(text) as Holder;
    const said = [host, command, since].every((one) => typeof one === "string") && Number.isSafeInteger(pid) && pid > 0;
    return said ? { pid, host, began: typeof began === "string" ? began : null, command, since } : null;
  } catch {
    return null;
  }
}

/** Of another machine nobody here can tell, so it counts as one that works. */
function isAtWork({ pid, host, began }: Holder): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (cause) {
    if (errnoOf(cause) === "ESRCH") return false;
  }
  return began === null || beginOf(pid) === null || beginOf(pid) === began;
}

/** Clock ticks since the system's start (proc(5), field 22 of stat); null where there is no such file. */
function beginOf(pid: number): string | null {
  const fields = textOf(`/proc/${pid}/stat`)
    ?.replace(/^.*\)\s/s, "")
    .split(" ");
  return fields?.[19] ?? null;
}

function inUse(document: string, lock: string, holder: Holder | null): DraftplanError {
  const who =
    holder === null
      ? "somebody"
      : `draftplan ${holder.command} (process ${holder.pid} on ${holder.host}, since ${holder.since.slice(0, 19).replace("T", " ")} UTC)`;
  return new DraftplanError({
    code: "DOCUMENT_IN_USE",
    at: document,
    what: `${who} is writing it`,
    remedy: `Wait until it is done, or choose another place with -o or --out. Where it does not run any more: rm ${lock}`,
  });
}
