/** Bytes as text: UTF-8, or an error that says where they are not. Taken as UTF-8 all the same, they would be other text. */
import { isUtf8 } from "node:buffer";
import { DraftplanError } from "./errors.js";

const NEWLINE = 10;
const UTF16 = "it looks like UTF-16, as PowerShell's > writes";

/**
 * @param at the file, for the error
 * @returns the text without a byte order mark
 * @throws TEXT_NOT_UTF8
 */
export function utf8Text(bytes: Uint8Array, at: string): string {
  if (!isUtf8(bytes)) {
    const bad = firstBadByte(bytes);
    const line = bytes.subarray(0, bad).filter((byte) => byte === NEWLINE).length + 1;
    const value = bytes[bad].toString(16).padStart(2, "0");
    const isUtf16 = /^(fffe|feff)/.test(Buffer.from(bytes.subarray(0, 2)).toString("hex"));
    throw notUtf8(`${at}:${line}`, `byte ${bad} (0x${value}) is not UTF-8${isUtf16 ? `; ${UTF16}` : ""}`);
  }
  // UTF-16 without a mark is UTF-8 too, with a NUL beside every letter
  if (bytes.length > 1 && bytes.subarray(0, 512).filter((byte) => byte === 0).length * 4 > Math.min(bytes.length, 512))
    throw notUtf8(at, UTF16);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    .toString("utf8")
    .replace(/^\uFEFF/, "");
}

const notUtf8 = (at: string, what: string) =>
  new DraftplanError({
    code: "TEXT_NOT_UTF8",
    at,
    what: `the text must be UTF-8: ${what}`,
    remedy: "Save the file as UTF-8, for example: iconv -f WINDOWS-1252 -t UTF-8 FILE (or -f UTF-16).",
  });

/** Where the longest beginning that is UTF-8 ends. A character cut in half by the beginning's end is none. */
function firstBadByte(bytes: Uint8Array): number {
  let good = 0;
  for (let size = bytes.length; size >= 1; size = Math.floor(size / 2)) {
    while (good + size <= bytes.length && isUtf8(bytes.subarray(good, good + size))) good += size;
    // characters have up to four bytes: the last steps have to try each length
    if (size <= 4) {
      const length = [4, 3, 2, 1].find((n) => good + n <= bytes.length && isUtf8(bytes.subarray(good, good + n)));
      if (length === undefined) return good;
      good += length;
      size = 8;
    }
  }
  return good;
}
