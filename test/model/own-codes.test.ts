/** A GGUF's own codes in the weight file: Q8_0 and Q4_0 are what MatMulNBits takes, and every value stays what it was. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { convertInto } from "../../src/model/convert.js";
import { STORED_TYPES } from "../../src/model/formats/dequantize.js";
import { readScales, requantisedText } from "../../src/model/formats/own-codes.js";
import { CPU_DIALECT, CUDA_DIALECT } from "../../src/model/graph/dialect.js";
import { readPlaces } from "../../src/model/graph/places.js";
import type { Matrix, StoredRows } from "../../src/model/kernels/kernel.js";
import { draftKernel } from "../../src/model/kernels/registry.js";
import { openCheckpoint } from "../../src/model/open.js";
import { CPU_NUMERICS, withTarget } from "../../src/schema/numerics.js";
import { halfToNumber } from "../support/numbers.js";
import { type CodedType, writeCodedGguf } from "../support/quantised-gguf.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const TYPES = [
  ["Q8_0", "int8", 8],
  ["Q4_0", "int4", 4],
] as const;

const fixture: Record<string, { bytes: string; values: string }> = JSON.parse(
  readFileSync(fileURLToPath(new URL("../fixtures/dequantize.json", import.meta.url)), "utf8"),
);
const bytesOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, "base64"));

/** What MatMulNBits multiplies with, by its documentation: (code - 2^(bits - 1)) · scale, two 4-bit codes a byte, the low half first. */
function valuesOf(codes: Uint8Array, scales: ArrayLike<number>, bits: 8 | 4): number[] {
  const numbers =
    bits === 8 ? [...codes].map((code) => code - 128) : [...codes].flatMap((b) => [(b & 15) - 8, (b >> 4) - 8]);
  return numbers.map((code, i) => Math.fround(code * scales[i >> 5]));
}

const floats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.slice().buffer);
/** −0 and 0 are the same weight */
const plain = (values: ArrayLike<number>): number[] => Array.from(values, (x) => (x === 0 ? 0 : x));

test.each(TYPES)(
  "random blocks of %s become codes of %s that give the gguf package's values, to the bit",
  (type, kernel, bits) => {
    const blocks = bytesOf(fixture[type].bytes);
    const expected = floats(bytesOf(fixture[type].values));
    const inner = expected.length / 2;
    const file = {
      path: "m",
      readInto: (into: Uint8Array, at: number) => into.set(blocks.subarray(at, at + into.length)),
    };
    const own = readScales({ file, storedName: "t", type, offset: 0 } as never, 0, expected.length);
    expect(own?.bits).toBe(bits);
    const values = new Float32Array(expected.length);
    STORED_TYPES[type].decode(blocks, blocks.length / STORED_TYPES[type].blockBytes, values, 0);
    const made = (stored?: () => readonly StoredRows[]) => {
      const matrix: Matrix = { label: "m", out: 2, inner, read: () => values, stored };
      const [codes, scales] = draftKernel(kernel)
        .weights(matrix, CPU_NUMERICS)
        .map((part) => part.bytes().slice());
      return plain(valuesOf(codes, floats(scales), bits));
    };
    expect(made(() => [{ from: 0, rows: 2, ...(own as NonNullable<typeof own>) }])).toEqual(plain(expected));
    expect(made()).not.toEqual(plain(expected)); // quantised anew they are others
    // rows of other bits are not theirs to take
    expect(
      made(() => [{ from: 0, rows: 2, bits: bits === 8 ? 4 : 8, scales: new Float32Array(expected.length / 32) }]),
    ).toEqual(made());
  },
);

const MODEL = {
  hidden: 64,
  intermediate: 96,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  vocab: 96,
  layers: 1,
  tied: false,
  seed: 4,
};
const MATRICES = [
  ["0.attn.qkv", ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], [64, 32, 32], 64],
  ["0.attn.out", ["self_attn.o_proj"], [64], 64],
  ["0.mlp.gate_up", ["mlp.gate_proj", "mlp.up_proj"], [96, 96], 64],
  ["0.mlp.down", ["mlp.down_proj"], [64], 96],
] as const;

test.each(
  TYPES.flatMap(([type, precision, bits]) =>
    (["fp32", "fp16"] as const).map((float) => ({ type, precision, bits, float })),
  ),
)(
  "a $type model served in $precision with $float scales has every matrix as it lies in the file",
  async ({ type, precision, bits, float }) => {
    const folder = temporaryFolder();
    const checkpoint = await openCheckpoint(writeCodedGguf(join(folder, "m.gguf"), MODEL, () => type));
    const dialect = withTarget(float === "fp32" ? CPU_DIALECT : CUDA_DIALECT, precision);
    const { modelPath } = await convertInto(join(folder, "out"), checkpoint, silentProgress, ["target"], dialect);
    const { file, places } = readPlaces(readFileSync(modelPath));
    const all = readFileSync(join(dirname(modelPath), file));
    const part = (name: string) => {
      const { offset, length } = places.get(name) as { offset: number; length: number };
      return new Uint8Array(all.subarray(offset, offset + length));
    };
    for (const [name, tensors, rows, inner] of MATRICES) {
      const expected = tensors.flatMap((tensor, i) => [
        ...checkpoint.tensor(`model.layers.0.${tensor}.weight`, [rows[i], inner]),
      ]);
      const bytes = part(`${name}.target.scales`);
      const scales = float === "fp32" ? floats(bytes) : Array.from(new Uint16Array(bytes.slice().buffer), halfToNumber);
      expect(plain(valuesOf(part(`${name}.target.codes`), scales, bits))).toEqual(plain(expected));
    }
    checkpoint.close();
  },
);

test.each([
  ["int8", { Q8_0: 30, F32: 7 }, null],
  ["int8", { Q8_0: 30, Q6_K: 1, F32: 7 }, "1 tensor in Q6_K"],
  ["int8", { Q4_0: 30, F16: 1 }, "30 tensors in Q4_0"],
  ["int4", { Q4_0: 30, F32: 7 }, null],
  ["int4", { Q4_1: 211, F32: 61 }, "211 tensors in Q4_1"],
  ["int4", { Q4_0: 29, Q8_0: 2 }, "2 tensors in Q8_0"],
  ["int8", { BF16: 30 }, null],
  ["fp32", { Q4_1: 30 }, null],
] as const)("a target in %s of a file of %o: what is quantised once more is told", (precision, types, said) => {
  expect(requantisedText(types, precision)).toBe(said);
});

test("one matrix may have rows of its own codes beside others", async () => {
  const folder = temporaryFolder();
  const mixed = (name: string): CodedType | null => (name.includes("k_proj") ? null : "Q8_0");
  const checkpoint = await openCheckpoint(writeCodedGguf(join(folder, "m.gguf"), MODEL, mixed));
  expect(checkpoint.scales?.("model.layers.0.self_attn.k_proj.weight", [32, 64])).toBeNull();
  expect(checkpoint.scales?.("model.layers.0.self_attn.q_proj.weight", [64, 64])?.scales).toHaveLength(128);
  checkpoint.close();
});
