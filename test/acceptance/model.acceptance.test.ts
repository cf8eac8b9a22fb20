/** Real checkpoints, which are too large to be in the repository: `DRAFTPLAN_SHARED` names their folder. */

import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gguf as secondOpinion } from "@huggingface/gguf";
import { describe, expect, test } from "vitest";
import { openGguf } from "../../src/model/formats/gguf-parts.js";
import { readGgufTokenizerMetadata } from "../../src/model/formats/gguf-tokenizer.js";
import { expectedTensors } from "../../src/model/formats/tensors.js";
import { openCheckpoint } from "../../src/model/open.js";

const SHARED = process.env.DRAFTPLAN_SHARED ?? fileURLToPath(new URL("../../../shared", import.meta.url));
const SMOLLM2 = join(SHARED, "models", "SmolLM2-135M-Instruct.Q4_1.gguf");
const sha256 = (data: Uint8Array | string): string => createHash("sha256").update(data).digest("hex");

/** First 16 digits of the SHA-256 of each tensor's fp32 bytes: gguf's numbers in transformers' row order. */
const expected: Record<string, { shape: number[]; sha256: string }> = JSON.parse(
  readFileSync(fileURLToPath(new URL("../fixtures/smollm2-tensors.json", import.meta.url)), "utf8"),
);

describe.skipIf(!existsSync(SMOLLM2))(`SmolLM2-135M Q4_1 (skipped where ${SMOLLM2} is absent)`, () => {
  test("every tensor has the very bits of gguf and transformers", async () => {
    const checkpoint = await openCheckpoint(SMOLLM2);
    const tensors = [...expectedTensors(checkpoint.spec)];
    expect(tensors.map(([name]) => name).sort()).toEqual(Object.keys(expected).sort());
    let readMs = 0;
    for (const [name, shape] of tensors) {
      const start = performance.now();
      const values = checkpoint.tensor(name, shape);
      readMs += performance.now() - start;
      expect({ shape, sha256: sha256(new Uint8Array(values.buffer)).slice(0, 16) }, name).toEqual(expected[name]);
    }
    checkpoint.close();
    // 0.9 s on two cores; the bound only catches an accidental change of order.
    expect(readMs).toBeLessThan(10_000);
  }, 60_000);

  test("architecture, digests and types", async () => {
    const checkpoint = await openCheckpoint(SMOLLM2);
    expect(checkpoint.spec).toMatchObject({
      architecture: "llama",
      layers: 30,
      hiddenSize: 576,
      heads: 9,
      kvHeads: 3,
      headDim: 64,
      vocabSize: 49152,
      contextLimit: 8192,
      rmsEps: 1e-5,
      rope: { theta: 100000, scaling: null },
      tiedEmbeddings: true,
      bosTokenId: 1,
      eosTokenIds: [2],
    });
    expect(checkpoint.storedTypes).toEqual({ F32: 61, Q4_1: 210, Q8_0: 1 });
    expect(checkpoint.weightsSha256).toBe("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53");
    checkpoint.close();
  });

  test("@huggingface/gguf reads the same header", async () => {
    const theirs = await secondOpinion(SMOLLM2, { allowLocalFile: true });
    const ours = openGguf(SMOLLM2);
    const metadata: Record<string, unknown> = { ...theirs.metadata };
    expect(ours.metadata.size).toBe(Object.keys(metadata).length - 3); // theirs adds version, tensor_count and kv_count
    for (const [key, value] of ours.metadata) {
      const list =
        typeof value === "object" ? (key.endsWith("token_type") ? ours.numbers(key) : ours.strings(key)) : value;
      expect(list, key).toEqual(metadata[key]);
    }
    expect([...ours.tensors.values()].map((t) => [t.storedName, t.offset])).toEqual(
      theirs.tensorInfos.map((t) => [t.name, Number(theirs.tensorDataOffset + t.offset)]),
    );
    ours.close();
  });

  test("tokenizer metadata", () => {
    const tokenizer = readGgufTokenizerMetadata(SMOLLM2);
    expect(tokenizer).toMatchObject({
      model: "gpt2",
      pre: "smollm",
      bosTokenId: 1,
      eosTokenId: 2,
      unkTokenId: 0,
      addBos: false,
      addEos: null,
      addSpacePrefix: false,
    });
    expect([tokenizer?.tokens.length, tokenizer?.tokenTypes?.length, tokenizer?.merges?.length]).toEqual([
      49152, 49152, 48900,
    ]);
    expect(tokenizer?.tokens.slice(0, 3)).toEqual(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]);
  });
});

describe.skipIf(!existsSync(join(SHARED, "goldens")))(
  `tiny models written by transformers (skipped where ${SHARED}/goldens is absent)`,
  () => {
    test.each([
      ["llama", "F32", 10000, true],
      ["mistral", "BF16", 10000, false],
      ["qwen2", "F32", 1e6, false],
      ["qwen3", "F32", 1e6, true],
    ])("tiny-%s", async (architecture, type, theta, tied) => {
      const checkpoint = await openCheckpoint(join(SHARED, "goldens", `tiny-${architecture}`));
      expect(checkpoint.spec).toMatchObject({
        architecture,
        layers: 4,
        hiddenSize: 64,
        rope: { theta, scaling: null },
        tiedEmbeddings: tied,
      });
      expect(Object.keys(checkpoint.storedTypes)).toEqual([type]);
      for (const [name, shape] of expectedTensors(checkpoint.spec))
        expect(checkpoint.tensor(name, shape).every(Number.isFinite), name).toBe(true);
      checkpoint.close();
    });
  },
);

describe.skipIf(!existsSync(join(SHARED, "models", "union-10m")))("the embedded model", () => {
  test.each(["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "README.md", "train.py"])(
    "%s is the shared one",
    (name) => {
      const shared = join(SHARED, "models", "union-10m", name);
      const ours = fileURLToPath(new URL(`../../models/union-10m/${name}`, import.meta.url));
      expect(statSync(ours).size).toBe(statSync(shared).size);
      expect(sha256(readFileSync(ours))).toBe(sha256(readFileSync(shared)));
    },
  );
});
