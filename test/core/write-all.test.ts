import { closeSync, openSync, readFileSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeAll, writeAllSync } from "../../src/core/write-all.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

/** A file that takes so many bytes at a time, and `room` in all. */
function slowFile(atATime: number, room: number) {
  const bytes = new Uint8Array(room);
  let left = room;
  const write = async (from: Uint8Array, at: number, length: number, position: number) => {
    const bytesWritten = Math.min(length, atATime, left);
    bytes.set(from.subarray(at, at + bytesWritten), position);
    left -= bytesWritten;
    return { bytesWritten };
  };
  return { bytes, handle: { write } as unknown as FileHandle };
}

test("a file that takes few bytes at a time gets all of them, each at its place", async () => {
  const { bytes, handle } = slowFile(3, 12);
  await writeAll(
    handle,
    Uint8Array.from({ length: 10 }, (_, i) => i + 1),
    2,
  );
  expect([...bytes]).toEqual([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("a file that takes nothing more is a full disk, not a wait without end", async () => {
  const { handle } = slowFile(3, 7);
  await expect(writeAll(handle, new Uint8Array(10), 0)).rejects.toMatchObject({ code: "ENOSPC", syscall: "write" });
});

test("by descriptor, at a place of its own", () => {
  const path = join(temporaryFolder(), "file");
  const file = openSync(path, "w");
  writeAllSync(file, Uint8Array.of(3, 4), 2);
  writeAllSync(file, Uint8Array.of(1, 2), 0);
  closeSync(file);
  expect([...readFileSync(path)]).toEqual([1, 2, 3, 4]);
});
