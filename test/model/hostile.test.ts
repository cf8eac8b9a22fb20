/** Whatever the bytes: a DraftplanError or a model, never another exception, and no memory from a corrupt count. */

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { DraftplanError } from "../../src/core/errors.js";
import { readGgufTokenizerMetadata } from "../../src/model/formats/gguf-tokenizer.js";
import { expectedTensors } from "../../src/model/formats/tensors.js";
import { openCheckpoint } from "../../src/model/open.js";
import type { Metadata } from "../support/gguf-bytes.js";
import { FUZZ_LIMIT_MS, mutations, trials } from "../support/long.js";
import { uniform } from "../support/numbers.js";
import { quantisedCase, writeQuantisedFolder } from "../support/quantised-folder.js";
import { temporaryFolder, writeTinyCheckpoint, writeTinyGguf } from "../support/tiny-checkpoint.js";

const MUTATIONS_PER_FILE = mutations(80, 2000);
const TRUNCATIONS_PER_FILE = trials(30, 300);
/** of quantised folders: safetensors themselves are damaged above */
const FEW = 0.15;
const MEMORY_LIMIT_BYTES = 200e6;

const root = temporaryFolder();
const SMALL = { layers: 1, hidden: 32, intermediate: 32, heads: 2, kvHeads: 1, vocab: 40 };
const VOCABULARY: Record<string, Metadata> = {
  "tokenizer.ggml.model": { type: "string", value: "gpt2" },
  "tokenizer.ggml.tokens": { type: "array", of: "string", values: Array.from({ length: 40 }, (_, i) => `t${i}`) },
  "tokenizer.ggml.token_type": { type: "array", of: "i32", values: Array(40).fill(1) },
};

const single = writeTinyCheckpoint(join(root, "single"), SMALL);
const sharded = writeTinyCheckpoint(join(root, "sharded"), { ...SMALL, shards: 2, dtype: "BF16" });
const f32 = writeTinyGguf(join(root, "f32.gguf"), { ...SMALL, metadata: VOCABULARY });
const q8 = writeTinyGguf(join(root, "q8.gguf"), {
  ...SMALL,
  type: "Q8_0",
  architecture: "qwen2",
  metadata: VOCABULARY,
});

const gptq = writeQuantisedFolder(quantisedCase("GPTQ, 4 bits"));
const fp8 = writeQuantisedFolder(quantisedCase("FP8, blocks that end early"));
const packed = writeQuantisedFolder(quantisedCase("compressed-tensors, packed 4 bits with zeros"));
const mlx = writeQuantisedFolder(quantisedCase("MLX, 4 bits"));

/** model to open, the file of it that is damaged, and how many of the mutations it gets */
const FILES: [string, string, string, share?: number][] = [
  ["model.safetensors", single, join(single, "model.safetensors")],
  ["config.json", single, join(single, "config.json")],
  ["a shard", sharded, join(sharded, "model-00001-of-00002.safetensors")],
  ["the index", sharded, join(sharded, "model.safetensors.index.json")],
  ["a GGUF file", f32, f32],
  ["a quantised GGUF file", q8, q8],
  ["GPTQ's tensors", gptq, join(gptq, "model.safetensors"), FEW],
  ["FP8's configuration", fp8, join(fp8, "config.json"), FEW],
  ["compressed-tensors' tensors", packed, join(packed, "model.safetensors"), FEW],
  ["MLX's configuration", mlx, join(mlx, "config.json"), FEW],
];

const HEADER_BYTES = 3000;
let peakBytes = 0;
const OPEN_FILES = "/proc/self/fd";
const openFiles = (): number => readdirSync(OPEN_FILES).length;
const openAtStart = existsSync(OPEN_FILES) ? openFiles() : 0;
const atStart = process.memoryUsage().rss;

/** Opens and reads everything. @returns the code it fails with, or "read" */
async function outcome(model: string): Promise<string> {
  try {
    if (model.endsWith(".gguf")) readGgufTokenizerMetadata(model);
    const checkpoint = await openCheckpoint(model);
    try {
      for (const [name, shape] of expectedTensors(checkpoint.spec)) checkpoint.tensor(name, shape);
    } finally {
      checkpoint.close();
    }
    return "read";
  } catch (error) {
    if (error instanceof DraftplanError) return error.code;
    throw error;
  } finally {
    peakBytes = Math.max(peakBytes, process.memoryUsage().rss - atStart);
  }
}

describe.each(FILES)("%s", (_name, model, file, share = 1) => {
  const good = readFileSync(file);
  afterAll(() => writeFileSync(file, good));

  test("is read while it is whole", async () => {
    expect(await outcome(model)).toBe("read");
  });

  test("is refused wherever it is cut", async () => {
    const random = uniform(11);
    const read = new Set<string>();
    for (let i = 0; i < share * TRUNCATIONS_PER_FILE; i++) {
      // Half of the cuts in the header, where the structure is.
      const range = i % 2 ? good.length : Math.min(good.length, HEADER_BYTES);
      writeFileSync(file, good.subarray(0, Math.floor(random() * range)));
      read.add(await outcome(model));
    }
    expect(read).not.toContain("read");
  });

  test("survives damaged bytes", async () => {
    const random = uniform(12);
    const seen = new Map<string, number>();
    for (let i = 0; i < share * MUTATIONS_PER_FILE; i++) {
      writeFileSync(file, damaged(good, random));
      const start = performance.now();
      const result = await outcome(model);
      expect(performance.now() - start, `mutation ${i}`).toBeLessThan(FUZZ_LIMIT_MS);
      seen.set(result, (seen.get(result) ?? 0) + 1);
    }
    expect(seen.size, JSON.stringify([...seen])).toBeGreaterThan(1);
  });
});

/** One to four edits, most in the header: random bytes, extreme numbers, copied or doubled stretches. */
function damaged(good: Buffer, random: () => number): Buffer {
  const range = random() < 0.9 ? Math.min(good.length, HEADER_BYTES) : good.length;
  const at = (): number => Math.floor(random() * range);
  let bytes = Buffer.from(good);
  for (let edits = 1 + Math.floor(random() * 4); edits > 0; edits--) {
    const position = at();
    const kind = Math.floor(random() * 5);
    if (kind === 0) bytes[position] = Math.floor(random() * 256);
    else if (kind === 1) bytes.subarray(position, position + 8).fill(0xff);
    else if (kind === 2) bytes.subarray(position, position + 4).fill(0);
    else if (kind === 3) bytes.copy(bytes, position, at(), at());
    else bytes = Buffer.concat([bytes.subarray(0, position), bytes.subarray(at(), at()), bytes.subarray(position)]);
  }
  return bytes;
}

test("no damage made the process grow by more than 200 MB", () => {
  expect(peakBytes).toBeLessThan(MEMORY_LIMIT_BYTES);
});

test.skipIf(!existsSync(OPEN_FILES))(`no failure left a file open (skipped without ${OPEN_FILES})`, () => {
  // Thousands were opened; the test runner itself opens a few now and then.
  expect(openFiles()).toBeLessThan(openAtStart + 20);
});
