import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { StoredTypeName } from "../../src/model/formats/dequantize.js";
import { STORED_TYPES } from "../../src/model/formats/dequantize.js";
import { toBf16, toF16, uniform } from "../support/numbers.js";

const fixture: Record<string, { bytes: string; values: string }> = JSON.parse(
  readFileSync(fileURLToPath(new URL("../fixtures/dequantize.json", import.meta.url)), "utf8"),
);

const NAMES = Object.keys(STORED_TYPES) as StoredTypeName[];

function decode(name: StoredTypeName, bytes: Uint8Array): Float32Array {
  const { blockValues, blockBytes, decode } = STORED_TYPES[name];
  const blocks = bytes.length / blockBytes;
  const out = new Float32Array(blocks * blockValues);
  decode(bytes, blocks, out, 0);
  return out;
}

test("the fixture covers every type that is read", () => {
  expect(Object.keys(fixture).sort()).toEqual([...NAMES].sort());
});

test.each(NAMES)("%s decodes to the very bits of the gguf package", (name) => {
  const { bytes, values } = fixture[name];
  const decoded = decode(name, Buffer.from(bytes, "base64"));
  expect(Buffer.from(decoded.buffer).toString("base64")).toBe(values);
});

test.each(NAMES)("%s decodes block by block as all at once", (name) => {
  const bytes = Buffer.from(fixture[name].bytes, "base64");
  const { blockValues, blockBytes, decode: decodeInto } = STORED_TYPES[name];
  const blocks = bytes.length / blockBytes;
  const out = new Float32Array(blocks * blockValues);
  for (let b = 0; b < blocks; b++)
    decodeInto(bytes.subarray(b * blockBytes, (b + 1) * blockBytes), 1, out, b * blockValues);
  expect(out).toEqual(decode(name, bytes));
});

test("every fp16 number survives the way to fp32 and back", () => {
  const bits = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((b) => (b & 0x7c00) !== 0x7c00);
  const values = decode("F16", new Uint8Array(bits.buffer));
  expect(Uint16Array.from(values, toF16)).toEqual(bits);
});

test("infinities and NaN of fp16 stay what they are", () => {
  const values = decode("F16", new Uint8Array(Uint16Array.of(0x7c00, 0xfc00, 0x7e00).buffer));
  expect([...values]).toEqual([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]);
});

test("bf16 numbers survive the way to fp32 and back", () => {
  const random = uniform(5);
  const bits = Uint16Array.from({ length: 4096 }, () => toBf16((random() - 0.5) * 10 ** (random() * 60 - 30)));
  expect(Uint16Array.from(decode("BF16", new Uint8Array(bits.buffer)), toBf16)).toEqual(bits);
});
