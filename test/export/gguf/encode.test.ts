/** Formats that tensors are converted to, against what the gguf package makes of the same numbers. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { ENCODED_TYPES, encode } from "../../../src/export/gguf/encode.js";
import { derivedTensor, type SourceTensor } from "../../../src/export/gguf/tensors.js";
import { STORED_TYPES } from "../../../src/model/formats/dequantize.js";

const fixture = JSON.parse(
  readFileSync(fileURLToPath(new URL("../../fixtures/quantise.json", import.meta.url)), "utf8"),
) as Record<string, string>;
const bytesOf = (text: string): Buffer => Buffer.from(text, "base64");
const stored = bytesOf(fixture.values);
const values = new Float32Array(stored.buffer.slice(stored.byteOffset, stored.byteOffset + stored.length));

test.each(["F16", "BF16", "Q8_0", "Q4_0"] as const)("%s is what the gguf package writes, bit for bit", (type) => {
  expect(Buffer.concat([...encode(type, values)]).equals(bytesOf(fixture[type]))).toBe(true);
});

test("fp32 is left as it is", () => {
  expect(Buffer.concat([...encode("F32", values)]).equals(stored)).toBe(true);
});

test("infinities and what is not a number survive in bf16", () => {
  const odd = Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, -0, 3.4e38);
  const back = new Float32Array(4);
  STORED_TYPES.BF16.decode(Buffer.concat([...encode("BF16", odd)]), 4, back, 0);
  expect([...back]).toEqual([Number.NaN, Number.POSITIVE_INFINITY, -0, Number.POSITIVE_INFINITY]);
});

describe("a tensor that is converted while it is read", () => {
  /** in pieces that end anywhere, also inside a number */
  const source = (pieceBytes: number): SourceTensor => ({
    type: "F32",
    shape: [values.length / 32, 32],
    *chunks() {
      for (let at = 0; at < stored.length; at += pieceBytes) yield stored.subarray(at, at + pieceBytes);
    },
  });

  test.each([1, 7, 100, 128, 4096, 1 << 20])("comes out the same from pieces of %i bytes", (pieceBytes) => {
    for (const type of ENCODED_TYPES) {
      const { chunks } = derivedTensor({ name: "t", source: source(pieceBytes), type });
      expect(Buffer.concat([...chunks()]).equals(Buffer.concat([...encode(type, values)])), type).toBe(true);
    }
  });

  test("goes through a format of larger blocks", () => {
    const bytes = Uint8Array.from({ length: 3 * 144 }, (_, i) => (i * 37) & 127);
    const decoded = new Float32Array(3 * 256);
    STORED_TYPES.Q4_K.decode(bytes, 3, decoded, 0);
    const { chunks } = derivedTensor({
      name: "t",
      source: { type: "Q4_K", shape: [3, 256], chunks: () => [bytes.subarray(0, 200), bytes.subarray(200)] },
      type: "Q8_0",
    });
    expect(Buffer.concat([...chunks()]).equals(Buffer.concat([...encode("Q8_0", decoded)]))).toBe(true);
  });
});
