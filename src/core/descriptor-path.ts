/** Paths that are another name of something open already: `/dev/stdout`, `/dev/fd/63` (a shell's `>(command)`). */
import { readlinkSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { errnoOf } from "./blocking.js";

const STANDARD: Readonly<Record<string, number>> = { stdin: 0, stdout: 1, stderr: 2 };
const NAMED = /^\/dev\/(stdin|stdout|stderr)$/;
const NUMBERED = /^(?:\/dev\/fd|\/proc\/(?:self|thread-self|(\d+))\/fd)\/(\d{1,6})$/;
/** as many as Linux follows */
const MAX_LINKS = 40;

/** The descriptor that a path stands for; undefined for a path of its own. */
function descriptorOf(path: string): number | undefined {
  const [, name] = NAMED.exec(path) ?? [];
  if (name !== undefined) return STANDARD[name];
  const [, pid, number] = NUMBERED.exec(path) ?? [];
  return number === undefined || (pid !== undefined && Number(pid) !== process.pid) ? undefined : Number(number);
}

/**
 * What a path leads to, its own links followed: one that leads nowhere too, so that a file is made where it points.
 * @throws ELOOP
 */
export function followLinks(path: string): { path: string } | { descriptor: number } {
  let at = resolve(path);
  for (let links = 0; links <= MAX_LINKS; links++) {
    const descriptor = process.platform === "win32" ? undefined : descriptorOf(at);
    if (descriptor !== undefined) return { descriptor };
    let target: string;
    try {
      target = readlinkSync(at);
    } catch (error) {
      if (["EINVAL", "ENOENT", "UNKNOWN"].includes(errnoOf(error) ?? "")) return { path: at }; // no link, or nothing
      throw error;
    }
    at = resolve(dirname(at), target);
  }
  throw Object.assign(new Error(`ELOOP: too many links, '${path}'`), { code: "ELOOP" });
}
