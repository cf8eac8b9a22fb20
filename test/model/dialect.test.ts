/** What is written for a dialect: bytes, names and places. How it runs: test/runtime/dialects.long.test.ts. */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { convertModel } from "../../src/model/convert.js";
import { CPU_DIALECT, CUDA_DIALECT, type GraphDialect, WEBGPU_DIALECT } from "../../src/model/graph/dialect.js";
import { weightBytes } from "../../src/model/graph/matrices.js";
import { weightParts } from "../../src/model/graph/weights.js";
import { roundToHalf } from "../../src/model/kernels/half.js";
import { quantiseRows } from "../../src/model/kernels/quantise.js";
import { openCheckpoint } from "../../src/model/open.js";
import { memoryNeeded, weightSizes } from "../../src/model/synthetic/slice.js";
import { syntheticWeights } from "../../src/model/synthetic/weights.js";
import { DEFAULT_KERNELS, KERNEL_NAMES, KERNELS } from "../../src/schema/choice.js";
import { numericsOf } from "../../src/schema/common.js";
import { CPU_NUMERICS, FP16_NUMERICS } from "../../src/schema/numerics.js";
import { expectFailure } from "../support/failure.js";
import { uniform } from "../support/numbers.js";
import { temporaryFolder, tinySpec, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const MODEL = { headDim: 16, seed: 3, attentionBias: true, tied: false };
const spec = tinySpec(MODEL);

describe("a converted model", () => {
  test("of the CPU's dialect has a key of its layout and weights; every other dialect another", async () => {
    const checkpoint = await openCheckpoint(writeTinyCheckpoint(temporaryFolder(), MODEL));
    const { weightsSha256, architectureSha256 } = checkpoint;
    const key = (dialect?: GraphDialect) =>
      convertModel(checkpoint, silentProgress, DEFAULT_KERNELS, dialect).then((c) => basename(dirname(c.modelPath)));
    const named = JSON.stringify([6, DEFAULT_KERNELS.map((k) => KERNELS[k]), weightsSha256, architectureSha256]);
    expect(await key()).toBe(createHash("sha256").update(named).digest("hex").slice(0, 40));
    const others = [
      CUDA_DIALECT,
      { ...CUDA_DIALECT, hostInputs: !CUDA_DIALECT.hostInputs },
      { ...CUDA_DIALECT, trees: true },
      { ...CPU_DIALECT, trees: false },
      WEBGPU_DIALECT,
    ];
    const keys = await Promise.all([undefined, CPU_DIALECT, ...others].map(key));
    expect(new Set(keys).size).toBe(1 + others.length);
    checkpoint.close();
  });

  test("in fp16 takes half the room for floats, and the same for codes", async () => {
    const checkpoint = await openCheckpoint(writeTinyCheckpoint(temporaryFolder(), MODEL));
    const { modelPath } = await convertModel(checkpoint, silentProgress, KERNEL_NAMES, CUDA_DIALECT);
    checkpoint.close();
    const file = statSync(join(dirname(modelPath), "weights.bin")).size;
    const { total } = weightSizes(spec, KERNEL_NAMES, FP16_NUMERICS);
    expect(file).toBeGreaterThanOrEqual(total);
    expect(file % 4096).toBe(0);
    const parts = [...weightParts(syntheticWeights(spec), KERNEL_NAMES, FP16_NUMERICS)];
    const full = [...weightParts(syntheticWeights(spec), KERNEL_NAMES)];
    expect(parts.map(({ name }) => name)).toEqual(full.map(({ name }) => name));
    parts.forEach((part, i) => {
      expect(full[i].bytes().byteLength, part.name).toBe(part.bytes().byteLength * (part.type === "uint8" ? 1 : 2));
    });
    expect(parts.reduce((sum, { bytes }) => sum + bytes().byteLength, 0)).toBe(total);
  });

  test("of a weight beyond fp16 is refused with the tensor's name; 65519 still rounds into it", async () => {
    const planted = (value: number) => {
      const weights = syntheticWeights(spec);
      const tensor: typeof weights.tensor = (name, shape) => {
        const values = weights.tensor(name, shape);
        if (name === "model.layers.1.mlp.down_proj.weight") values[7] = value;
        return values;
      };
      const parts = [...weightParts({ spec, tensor }, ["target"], FP16_NUMERICS)];
      return () => parts.forEach((part) => void part.bytes());
    };
    expect(planted(65519)).not.toThrow();
    await expectFailure(planted(65520), "TENSOR_TYPE_UNSUPPORTED", /65520.*65504/);
    await expectFailure(planted(-1e9), "TENSOR_TYPE_UNSUPPORTED", /-1000000000/);
  });
});

test("matrices' bytes and the memory of a made-up model follow the numbers", () => {
  const [half, full] = [FP16_NUMERICS, CPU_NUMERICS].map((numerics) => weightBytes(spec, KERNEL_NAMES, numerics));
  const written = (name: string, kernel: string) =>
    [...weightParts(syntheticWeights(spec), KERNEL_NAMES, FP16_NUMERICS)]
      .filter((part) => part.name.startsWith(name) && part.name.includes(`.${kernel}`))
      .reduce((sum, part) => sum + part.bytes().byteLength, 0);
  for (const kernel of KERNEL_NAMES) {
    expect(half.attn[kernel]).toBe(written("0.attn.", kernel));
    expect(half.mlp[kernel]).toBe(written("1.mlp.", kernel));
    expect(half.head[kernel]).toBe(written("head", kernel));
  }
  expect(2 * (half.head.target as number)).toBe(full.head.target);
  const [small, large] = [FP16_NUMERICS, CPU_NUMERICS].map((numerics) =>
    memoryNeeded(spec, 1 << 20, weightSizes(spec, KERNEL_NAMES, numerics), numerics),
  );
  const cache = 2 * spec.layers * spec.kvHeads * 2 ** 20 * 16;
  expect(large - small).toBeGreaterThanOrEqual(2 * cache);
});

describe("scales in fp16", () => {
  const random = uniform(4);
  test.each([8, 4])(
    "%i bits: they are fp16 numbers, and no weight is further from its code than the twin's",
    (bits) => {
      for (const spread of [1e-6, 1e-4, 1e-2, 1, 100]) {
        const weights = Float32Array.from({ length: 6 * 64 }, () => (random() - 0.5) * spread);
        const { codes, scales } = quantiseRows(weights, 6, 64, bits, 32, "fp16");
        const zero = 2 ** (bits - 1);
        const code = (i: number) => (bits === 8 ? codes[i] : (codes[i >> 1] >> (4 * (i % 2))) & 15);
        weights.forEach((weight, i) => {
          const scale = scales[i >> 5];
          expect(roundToHalf(scale)).toBe(scale);
          // the nearest of all codes there are, tried one by one
          let best = Math.abs(weight);
          for (let c = bits === 8 ? 1 : 0; c < 2 ** bits; c++)
            best = Math.min(best, Math.abs((c - zero) * scale - weight));
          expect(Math.abs((code(i) - zero) * scale - weight)).toBeLessThanOrEqual(best * (1 + 1e-6) + 1e-12);
        });
      }
    },
  );
});

test("documents say what kernels compute with on each provider; the CPU's words are as they were", () => {
  expect(numericsOf(KERNEL_NAMES)).toEqual({
    target: "fp32",
    int8: "MatMulNBits, 8 bits, symmetric, block 32, accuracy_level 4",
    int4: "MatMulNBits, 4 bits, symmetric, block 32, accuracy_level 4",
    int2: "MatMulNBits, 2 bits, symmetric, block 32, accuracy_level 4",
  });
  expect(numericsOf(["target", "int8"], CPU_DIALECT)).toEqual(numericsOf(["target", "int8"]));
  expect(numericsOf(["target", "int8"], CUDA_DIALECT)).toEqual({
    target: "fp16",
    int8: "MatMulNBits, 8 bits, symmetric, block 32, fp16 activations and scales",
  });
  expect(numericsOf(["target", "int4"], WEBGPU_DIALECT)).toEqual({
    target: "fp32",
    int4: "MatMulNBits, 4 bits, symmetric, block 32, fp32 activations and scales",
  });
});
