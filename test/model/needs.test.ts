/** What a model needs, against files that were written and sums by hand; and what is refused before anything is. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { convertInto } from "../../src/model/convert.js";
import { CPU_DIALECT, CUDA_DIALECT } from "../../src/model/graph/dialect.js";
import { memoryNeeds, modelNeeds } from "../../src/model/needs.js";
import { syntheticWeights } from "../../src/model/synthetic/weights.js";
import { requireMemory } from "../../src/runtime/gpu/fits.js";
import { KERNEL_NAMES, type Kernel } from "../../src/schema/choice.js";
import { failureOf } from "../support/failure.js";
import { temporaryFolder, tinySpec } from "../support/tiny-checkpoint.js";

const GIB = 2 ** 30;
/** The shape of Llama-3.1-8B. */
const LLAMA_8B = tinySpec({
  ...{ layers: 32, hidden: 4096, intermediate: 14336, heads: 32, kvHeads: 8, headDim: 128, vocab: 128256 },
  ...{ context: 131072, tied: false },
});

test.each([
  ["the CPU's", CPU_DIALECT],
  ["CUDA's", CUDA_DIALECT],
])("the disk that %s form takes is what the file has, to the byte", async (_name, dialect) => {
  const spec = tinySpec({ layers: 3, headDim: 12, tied: false, attentionBias: true });
  const folder = join(temporaryFolder(), "model");
  await convertInto(folder, syntheticWeights(spec), undefined, KERNEL_NAMES, dialect);
  expect(modelNeeds(spec, KERNEL_NAMES, dialect).diskBytes).toBe(statSync(join(folder, "weights.bin")).size);
});

test("Llama-3.1-8B in fp16 with int4: counted by hand", () => {
  const { weightBytes, cacheBytesPerToken } = modelNeeds(LLAMA_8B, ["target", "int4"], CUDA_DIALECT);
  const inBlocks = 32 * (4096 * (4096 + 2 * 1024) + 4096 * 4096 + 3 * 4096 * 14336);
  const matrices = inBlocks + 128256 * 4096;
  expect(weightBytes.target).toBe(2 * matrices);
  expect(weightBytes.int4).toBe(matrices / 2 + (2 * matrices) / 32); // a scale in fp16 for every 32
  expect(cacheBytesPerToken).toBe(32 * 2 * 8 * 128 * 2);
  // the embedding, and cos and sin of half a head for every position; norms are less than a page each
  const other = 2 * 128256 * 4096 + 2 * 131072 * 64 * 2;
  expect(weightBytes.other - other).toBeGreaterThan(0);
  expect(weightBytes.other - other).toBeLessThan(65 * 2 * 4096 + 32 * 4 * 2 * 4096);
});

test("on a device weights and cache lie there, on the CPU in the host's memory", () => {
  const needs = modelNeeds(LLAMA_8B, ["target"], CUDA_DIALECT);
  const there = memoryNeeds(needs, 8192, "device");
  const here = memoryNeeds(needs, 8192, "host");
  expect(here).toMatchObject({ deviceBytes: null, cacheBytes: GIB });
  expect(there.deviceBytes).toBe(here.hostBytes);
  expect(there.hostBytes).toBeLessThan(GIB);
});

const request = (kernels: Kernel[], capacity: number) => ({
  spec: LLAMA_8B,
  kernels,
  numerics: CUDA_DIALECT,
  capacity,
});
const ROOMY = { hostBytes: 64 * GIB, deviceBytes: 80 * GIB };

test("what fits is let through; what nobody knows is, too", () => {
  expect(() => requireMemory("m", request(["target", "int8", "int4"], 131072), "cuda", ROOMY)).not.toThrow();
  expect(() => requireMemory("m", request(["target"], 8192), "cuda", { ...ROOMY, deviceBytes: null })).not.toThrow();
});

test.each([
  [
    "a context too long",
    request(["target"], 131072),
    { ...ROOMY, deviceBytes: 24 * GIB },
    /the GPU's memory.*16\.0 GiB of keys and values for 131072 tokens; 24\.0 GiB may be used, \d+\.\d GiB are missing/,
    /^Lower --context \(a token takes 128 KiB\)/,
  ],
  [
    "a kernel too many",
    request(["target", "int8"], 8192),
    { ...ROOMY, deviceBytes: 20 * GIB },
    /weights \(target, int8\)/,
    /^Leave out kernels with --choices \(int8 take 7\.\d GiB\)/,
  ],
  [
    "a model too large",
    request(["target"], 1024),
    { ...ROOMY, deviceBytes: 8 * GIB },
    /the GPU's memory/,
    /^Free memory, or use a smaller model/,
  ],
] as const)("%s: how much is missing, and what helps", async (_what, asked, free, what, remedy) => {
  const failure = await failureOf(() => requireMemory("./llama", asked, "cuda", free));
  expect(failure).toMatchObject({ code: "OUT_OF_MEMORY", at: "./llama" });
  expect(failure.what).toMatch(what);
  expect(failure.remedy).toMatch(remedy);
});

test("the host's memory is what counts on the CPU", async () => {
  const failure = await failureOf(() =>
    requireMemory("./llama", request(["target"], 1024), "cpu", { hostBytes: 8 * GIB, deviceBytes: null }),
  );
  expect(failure.what).toMatch(/^needs about 1\d\.\d GiB of memory/);
});

test("a disk that is too small is refused before anything is written", async () => {
  const { requireRoom } = await import("../../src/model/room.js");
  const folder = join(temporaryFolder(), "not", "there");
  const failure = await failureOf(() => requireRoom(folder, 2 ** 60, "a converted model"));
  expect(failure).toMatchObject({ code: "FILE_UNWRITABLE", at: folder });
  expect(failure.what).toMatch(
    /^a converted model of 1073741824\.0 GiB is to be written, and \d+\.\d GiB are free: \d+\.\d GiB are missing$/,
  );
  await expect(requireRoom(folder, 1000, "a converted model")).resolves.toBeUndefined();
});
