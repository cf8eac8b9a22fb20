/**
 * Threads that convert a large model, on small ones: every byte is what the whole matrices give, made without threads. Those
 * are held against other software's in quantise*.test.ts, dequantize.test.ts and half.test.ts. The threads run the build.
 */
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import type { ThreadOptions } from "../../src/model/conversion/threads.js";
import { CPU_DIALECT, CUDA_DIALECT, type GraphDialect } from "../../src/model/graph/dialect.js";
import { weightParts } from "../../src/model/graph/weights.js";
import { openCheckpoint } from "../../src/model/open.js";
import type { Checkpoint, WeightSource } from "../../src/model/spec.js";
import { syntheticWeights } from "../../src/model/synthetic/weights.js";
import { writeWeights } from "../../src/model/weight-file.js";
import { DEFAULT_KERNELS, KERNEL_NAMES, type Kernel } from "../../src/schema/choice.js";
import { expectFailure } from "../support/failure.js";
import { LONG } from "../support/long.js";
import { quantisedCase, writeQuantisedFolder } from "../support/quantised-folder.js";
import { writeCodedGguf } from "../support/quantised-gguf.js";
import { temporaryFolder, tinySpec, writeTinyCheckpoint, writeTinyGguf } from "../support/tiny-checkpoint.js";

/** So few numbers a slab that every matrix is made in several, of several rows. */
const THREADS: ThreadOptions = {
  most: 2,
  leastBytes: 0,
  slabValues: 200,
  program: new URL("../../dist/model/conversion/worker.js", import.meta.url),
};
const MODEL = { hidden: 32, intermediate: 96, heads: 4, kvHeads: 2, headDim: 16, vocab: 70, tied: false };

const opened: Checkpoint[] = [];
afterAll(() => {
  for (const checkpoint of opened) checkpoint.close();
});
async function open(path: string): Promise<Checkpoint> {
  const checkpoint = await openCheckpoint(path);
  opened.push(checkpoint);
  return checkpoint;
}

let files = 0;
const folder = temporaryFolder();
async function written(
  weights: WeightSource,
  threads: ThreadOptions | undefined,
  kernels: readonly Kernel[] = KERNEL_NAMES,
  dialect: GraphDialect = CPU_DIALECT,
): Promise<{ bytes: Buffer; names: string[]; places: unknown }> {
  const path = join(folder, `${files++}.bin`);
  const names: string[] = [];
  const parts = () => weightParts(weights, kernels, dialect);
  const told = async ({ name }: { name: string }) => void names.push(name);
  const origin = threads === undefined ? undefined : weights.origin;
  const places = await writeWeights(path, { parts, written: told, origin }, threads);
  return { bytes: readFileSync(path), names, places: [...places] };
}

const fresh = temporaryFolder;
type Source = [name: string, dialect: GraphDialect, make: () => Promise<WeightSource> | WeightSource];
const SOURCES: Source[] = [
  ["safetensors, F32", CUDA_DIALECT, () => open(writeTinyCheckpoint(fresh(), MODEL))],
  [
    "safetensors, F16, qwen2",
    CPU_DIALECT,
    () => open(writeTinyCheckpoint(fresh(), { ...MODEL, dtype: "F16", architecture: "qwen2" })),
  ],
  [
    "safetensors, BF16, three shards",
    CUDA_DIALECT,
    () => open(writeTinyCheckpoint(fresh(), { ...MODEL, dtype: "BF16", shards: 3 })),
  ],
  ["safetensors, a tied head", CPU_DIALECT, () => open(writeTinyCheckpoint(fresh(), { ...MODEL, tied: true }))],
  [
    "safetensors, heads that are filled up",
    CPU_DIALECT,
    () => open(writeTinyCheckpoint(fresh(), { ...MODEL, headDim: 12 })),
  ],
  ["GGUF, rotary rows interleaved", CPU_DIALECT, () => open(writeTinyGguf(join(fresh(), "m.gguf"), MODEL))],
  ["GGUF, Q8_0", CUDA_DIALECT, () => open(writeTinyGguf(join(fresh(), "m.gguf"), { ...MODEL, type: "Q8_0" }))],
  [
    "GGUF, codes of its own beside floats",
    CPU_DIALECT,
    () => open(writeCodedGguf(join(fresh(), "m.gguf"), MODEL, (name) => (/[kv]_proj/.test(name) ? "Q4_0" : "Q8_0"))),
  ],
  ...["GPTQ, 3 bits, inputs in another order", "AWQ, 4 bits", "MLX, 4 bits", "GPTQ, 4 bits, projections in one"].map(
    (name): Source => [name, CPU_DIALECT, () => open(writeQuantisedFolder(quantisedCase(name)))],
  ),
  ["made up", CUDA_DIALECT, () => syntheticWeights(tinySpec({ ...MODEL, layers: 5 }))],
];

const QUICK = ["safetensors, F32", "GGUF, Q8_0", "GPTQ, 4 bits, projections in one", "made up"];

test.each(SOURCES.filter(([name]) => QUICK.includes(name) !== LONG))(
  "threads write what one thread writes, byte for byte, in every kernel: %s",
  async (_source, dialect, make) => {
    const weights = await make();
    const alone = await written(weights, undefined, KERNEL_NAMES, dialect);
    const together = await written(weights, THREADS, KERNEL_NAMES, dialect);
    expect(together.bytes.equals(alone.bytes)).toBe(true);
    expect(together.names).toEqual(alone.names);
    expect(together.places).toEqual(alone.places);
  },
);

test.skipIf(LONG)("a made-up matrix has the same rows in every layer, each as often, beginning at another", () => {
  const weights = syntheticWeights(tinySpec({ ...MODEL, layers: 5 }));
  const rowsOf = (layer: number) => {
    const values = weights.tensor(`model.layers.${layer}.mlp.gate_proj.weight`, [96, 32]);
    return Array.from({ length: 96 }, (_, row) => values.subarray(row * 32, (row + 1) * 32).join());
  };
  const first = rowsOf(0);
  expect(new Set(first).size).toBe(96);
  for (const layer of [1, 2, 3, 4]) {
    const rows = rowsOf(layer);
    expect(rows[0]).not.toBe(first[0]);
    expect([...rows].sort()).toEqual([...first].sort());
  }
});

describe.skipIf(LONG)("what goes wrong in a thread", () => {
  test("a file that was cut is the same error as without, at whichever slab is met first", async () => {
    const path = writeTinyCheckpoint(fresh(), MODEL);
    const checkpoint = await open(path);
    truncateSync(join(path, "model.safetensors"), 4000);
    for (const threads of [undefined, THREADS])
      await expectFailure(
        () => written(checkpoint, threads),
        "CHECKPOINT_CORRUPT",
        /the file ends at byte \d+, \d+ bytes early/,
      );
  });

  test("a weight that fp16 does not have", async () => {
    const checkpoint = await open(writeTinyCheckpoint(fresh(), { ...MODEL, scale: 1e6 }));
    for (const threads of [undefined, THREADS])
      await expectFailure(
        () => written(checkpoint, threads, DEFAULT_KERNELS, CUDA_DIALECT),
        "TENSOR_TYPE_UNSUPPORTED",
        /^weights: embedding: a weight of -?\d+\.\d+ cannot/,
      );
  });

  test("a thread that ends by itself ends the conversion, too", async () => {
    const program = join(fresh(), "worker.js");
    writeFileSync(program, "process.exit(3)\n");
    const weights = syntheticWeights(tinySpec(MODEL));
    await expect(written(weights, { ...THREADS, program: pathToFileURL(program) })).rejects.toThrow(
      "a thread ended by itself (3)",
    );
  });

  test("a disk that takes no more", async () => {
    const program = join(fresh(), "worker.js");
    const failure = { kind: "system", message: "ENOSPC: no space left", code: "ENOSPC", syscall: "write" };
    writeFileSync(
      program,
      `const { parentPort } = require("node:worker_threads");
       parentPort.on("message", ({ id }) => parentPort.postMessage({ id, failure: ${JSON.stringify(failure)} }));`,
    );
    const weights = syntheticWeights(tinySpec(MODEL));
    await expect(written(weights, { ...THREADS, program: pathToFileURL(program) })).rejects.toMatchObject({
      code: "ENOSPC",
      syscall: "write",
    });
  });
});
