/**
 * A bounded reader over a GGUF header (github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 *
 * Not @huggingface/gguf (0.4.6): it pads what it read with zeros to whole 2 MB chunks and cuts strings at their end.
 * SmolLM2's file cut to 500 bytes is accepted, with 272 tensors without a name; a file of 24 bytes that announces ten
 * million tensors takes 3.6 s and 300 MB before a plain RangeError; headers end at 50 MB; no error names an offset.
 * The tests use it as a second opinion on whole files.
 *
 * Nothing here is allocated from a count before the file was seen to be long enough to hold that many items.
 */

import { isUtf8 } from "node:buffer";
import { corrupt } from "../failures.js";
import type { ByteFile } from "./byte-file.js";

const WINDOW_BYTES = 1 << 20;
/** Chat templates are kilobytes; a tokenizer stored as one string (`tokenizer.huggingface.json`) some megabytes. */
const MAX_STRING_BYTES = 64 << 20;
/** The largest vocabularies have a quarter of a million tokens, their merges half a million. */
const MAX_ARRAY_ITEMS = 1 << 22;

const TYPE_STRING = 8;
const TYPE_ARRAY = 9;

type ScalarReader = (view: DataView, at: number) => number | boolean;

/** value type id -> size and reader. 64-bit numbers past 2^53 lose digits; none that is used may be that large. */
const SCALARS: Record<number, { bytes: number; read: ScalarReader }> = {
  0: { bytes: 1, read: (v, at) => v.getUint8(at) },
  1: { bytes: 1, read: (v, at) => v.getInt8(at) },
  2: { bytes: 2, read: (v, at) => v.getUint16(at, true) },
  3: { bytes: 2, read: (v, at) => v.getInt16(at, true) },
  4: { bytes: 4, read: (v, at) => v.getUint32(at, true) },
  5: { bytes: 4, read: (v, at) => v.getInt32(at, true) },
  6: { bytes: 4, read: (v, at) => v.getFloat32(at, true) },
  7: { bytes: 1, read: (v, at) => v.getUint8(at) !== 0 },
  10: { bytes: 8, read: (v, at) => Number(v.getBigUint64(at, true)) },
  11: { bytes: 8, read: (v, at) => Number(v.getBigInt64(at, true)) },
  12: { bytes: 8, read: (v, at) => v.getFloat64(at, true) },
};

/** Arrays stay in the file until asked for: a vocabulary is megabytes, and opening a model needs none of it. */
export interface GgufArray {
  itemType: number;
  count: number;
  /** byte offset of the first item */
  offset: number;
}

/** A text that is not UTF-8: no reason to refuse a model for its author's name, but nothing to compute by. */
export class NotUtf8 {
  constructor(readonly what: string) {}
}

export type GgufValue = number | boolean | string | GgufArray | NotUtf8;

export const isGgufArray = (value: GgufValue | undefined): value is GgufArray =>
  typeof value === "object" && !(value instanceof NotUtf8);

const SHOWN_BYTES = 16;
const shown = (bytes: Uint8Array): string =>
  `${Buffer.from(bytes.subarray(0, SHOWN_BYTES)).toString("hex")}${bytes.length > SHOWN_BYTES ? "…" : ""} (hexadecimal)`;

export class GgufReader {
  /** byte offset of what is read next */
  position: number;
  readonly #file: ByteFile;
  #window = Buffer.alloc(0);
  #view = new DataView(new ArrayBuffer(0));
  #windowStart = 0;

  constructor(file: ByteFile, position = 0) {
    this.#file = file;
    this.position = position;
  }

  fail(what: string, at = this.position): Error {
    return corrupt(this.#file.path, `byte ${at}`, what);
  }

  /** Refuses a count of items that the rest of the file cannot hold. */
  count(what: string, bytesEach: number, max: number): number {
    const at = this.position;
    const count = this.u64();
    if (count > max || count * bytesEach > this.#file.size - this.position)
      throw this.fail(`${count} ${what} in a file of ${this.#file.size} bytes`, at);
    return count;
  }

  u32(): number {
    const at = this.#take(4);
    return this.#view.getUint32(at, true);
  }

  /** May lose digits past 2^53; every use compares it with something far smaller. */
  u64(): number {
    const at = this.#take(8);
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
  }

  /** @throws where it is not UTF-8: taken as such, it would be another text */
  string(what: string, maxBytes = MAX_STRING_BYTES): string {
    const start = this.position;
    const text = this.#text(what, maxBytes);
    if (text instanceof NotUtf8) throw this.fail(`${what} ${text.what}`, start);
    return text;
  }

  #text(what: string, maxBytes: number): string | NotUtf8 {
    const length = this.count(`bytes of ${what}`, 1, maxBytes);
    const at = this.#take(length);
    const bytes = this.#window.subarray(at, at + length);
    return isUtf8(bytes) ? bytes.toString("utf8") : new NotUtf8(`is not UTF-8: ${shown(bytes)}`);
  }

  value(type: number): GgufValue {
    if (type === TYPE_STRING) return this.#text("string", MAX_STRING_BYTES);
    if (type === TYPE_ARRAY) return this.#array();
    return this.#scalar(type);
  }

  strings(array: GgufArray): string[] | null {
    if (array.itemType !== TYPE_STRING) return null;
    this.position = array.offset;
    return Array.from({ length: array.count }, () => this.string("string"));
  }

  numbers(array: GgufArray): number[] | null {
    if (array.itemType === TYPE_STRING) return null;
    this.position = array.offset;
    return Array.from({ length: array.count }, () => Number(this.#scalar(array.itemType)));
  }

  #scalar(type: number): number | boolean {
    const scalar = SCALARS[type];
    if (!scalar) throw this.fail(`unknown value type ${type}`);
    const at = this.#take(scalar.bytes);
    return scalar.read(this.#view, at);
  }

  #array(): GgufArray {
    const itemType = this.u32();
    const scalar = SCALARS[itemType];
    // llama.cpp refuses arrays of arrays too.
    if (!scalar && itemType !== TYPE_STRING) throw this.fail(`an array of items of type ${itemType}`);
    const count = this.count("array items", scalar?.bytes ?? 8, MAX_ARRAY_ITEMS);
    const offset = this.position;
    if (scalar) this.position += count * scalar.bytes;
    else for (let i = 0; i < count; i++) this.#skipString();
    return { itemType, count, offset };
  }

  #skipString(): void {
    const length = this.count("bytes of string", 1, MAX_STRING_BYTES);
    this.position += length;
  }

  /** @returns where the next `bytes` bytes begin in the window; moves past them */
  #take(bytes: number): number {
    const start = this.position;
    if (start + bytes > this.#file.size)
      throw this.fail(`the file ends after ${this.#file.size} bytes, inside its header`);
    if (start < this.#windowStart || start + bytes > this.#windowStart + this.#window.length) this.#load(start, bytes);
    this.position += bytes;
    return start - this.#windowStart;
  }

  #load(start: number, bytes: number): void {
    const length = Math.min(Math.max(bytes, WINDOW_BYTES), this.#file.size - start);
    this.#window = Buffer.allocUnsafe(length);
    this.#file.readInto(this.#window, start, "header");
    this.#view = new DataView(this.#window.buffer, this.#window.byteOffset, length);
    this.#windowStart = start;
  }
}
