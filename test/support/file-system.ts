/** What the system answers to a file's writing, told by a test; after each test it answers itself again. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { afterEach } from "vitest";

export const real: typeof fs = { ...fs };
const REPLACED = [
  "writeSync",
  "renameSync",
  "copyFileSync",
  "statfsSync",
  "linkSync",
  "mkdirSync",
  "fsyncSync",
  "openSync",
] as const;
export type Replaced = Partial<Record<(typeof REPLACED)[number], unknown>>;

/** Modules under test see it through Node's own exports. */
export function system(replaced: Replaced): void {
  Object.assign(fs, replaced);
  syncBuiltinESMExports();
}

/** To be called by each file that replaces anything, for its own tests. */
export const restoredAfterEach = (): void =>
  afterEach(() => system(Object.fromEntries(REPLACED.map((name) => [name, real[name]]))));

export const failing = (code: string) => () => {
  throw Object.assign(new Error(`${code}: as the system says`), { code, syscall: "write" });
};

/** Takes so many bytes at a time, and in all; then answers as a full disk does. */
export function disk(atATime: number, room: number) {
  let free = room;
  return (fd: number, bytes: Uint8Array, from: number, count: number, at: number | null) => {
    const taken = Math.min(count, atATime, free);
    if (taken === 0) return failing("ENOSPC")();
    free -= taken;
    return real.writeSync(fd, bytes, from, taken, at);
  };
}
