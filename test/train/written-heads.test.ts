/**
 * What train-heads writes, other software reads: the folders `*-written` of test/fixtures/heads are what writeHeads makes of
 * the weights below, and PyTorch's twins loaded them, strictly by name (make.py). Their logits are held against ours in
 * test/runtime/heads-engine.test.ts, with those of all other layouts.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { type HeadsShape, parameterCount } from "../../src/model/heads/parameters.js";
import { toHalf } from "../../src/model/kernels/half.js";
import { openCheckpoint } from "../../src/model/open.js";
import { writeHeads } from "../../src/train/write-heads.js";
import { uniform } from "../support/numbers.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const FIXTURES = fileURLToPath(new URL("../fixtures/heads/", import.meta.url));
const [HEADS, SIZE, VOCAB] = [3, 16, 40];

async function written(name: string): Promise<string> {
  const kind = name.startsWith("hydra") ? "hydra" : "medusa";
  const shape: HeadsShape = { kind, heads: HEADS, hiddenSize: SIZE };
  const random = uniform(29);
  const weights = Float32Array.from({ length: parameterCount(shape) }, () => (random() - 0.5) * 0.8);
  const model = await openCheckpoint(join(FIXTURES, "model"));
  const lmHead = name.endsWith("lm-head") ? model.tensor("lm_head.weight", [VOCAB, SIZE]) : null;
  model.close();
  const folder = join(temporaryFolder(), name);
  writeHeads(folder, { shape, vocabSize: VOCAB, weights, lmHead, facts: {}, readme: "" }, toHalf);
  return folder;
}

const NAMES = ["vllm-written", "vllm-written-lm-head", "hydra-written", "hydra-written-lm-head"];

test.each(NAMES)("%s is what the twin loaded", async (name) => {
  const folder = await written(name);
  const [own, committed] = [folder, join(FIXTURES, name)];
  const read = (from: string) => readFileSync(join(from, "model.safetensors"));
  expect(read(own).equals(read(committed))).toBe(true);
  const config = (from: string) => JSON.parse(readFileSync(join(from, "config.json"), "utf8")) as unknown;
  expect(config(own)).toEqual(config(committed));
});
