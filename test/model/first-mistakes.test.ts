/** What people name in place of a model at first, by both ways in: the checkpoint and the tokenizer. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/model/open.js";
import { openTokenizer } from "../../src/tokenizer/open.js";
import { expectFailure, failureOf } from "../support/failure.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${"a".repeat(64)}\nsize 269060552\n`;
const ADAPTER = JSON.stringify({ peft_type: "LORA", base_model_name_or_path: "owner/base" });

/** Files by name; what is to be opened is the folder, or the file that is named. */
const CASES: [what: string, files: Record<string, string>, named: string, message: RegExp, remedy: RegExp][] = [
  ["an ONNX graph", { "model.onnx": "\b\u0007" }, "model.onnx", /ONNX graph/, /config\.json/],
  ["a folder of ONNX graphs", { "model.onnx": "\b", "config.json": "{}" }, "", /ONNX graph/, /config\.json/],
  ["pickled weights", { "pytorch_model.bin": "PK" }, "pytorch_model.bin", /pickles/, /save_pretrained/],
  [
    "a folder of pickled weights",
    { "config.json": "{}", "pytorch_model-00001-of-00002.bin": "PK" },
    "",
    /pickles/,
    /save_pretrained/,
  ],
  [
    "an adapter",
    { "adapter_config.json": ADAPTER, "adapter_model.safetensors": "" },
    "",
    /an adapter \(LoRA\), .* owner\/base,/,
    /merge_and_unload/,
  ],
  [
    "an adapter's file",
    { "adapter_config.json": ADAPTER, "adapter_model.safetensors": "" },
    "adapter_model.safetensors",
    /an adapter/,
    /merge/,
  ],
  [
    "weights alone",
    { "model.safetensors": "\u0008" },
    "model.safetensors",
    /config\.json beside them/,
    /give the folder/,
  ],
  ["a folder of GGUF files", { "a.Q4_0.gguf": "GGUF" }, "", /holds GGUF files/, /a\.Q4_0\.gguf$/],
  ["a pointer named as a GGUF", { "m.gguf": POINTER }, "m.gguf", /Git LFS pointer/, /lfs pull/],
  ["a page named as a GGUF", { "m.gguf": "<!DOCTYPE html><html>" }, "m.gguf", /web page/, /download/],
  ["a pointer in place of the configuration", { "config.json": POINTER }, "", /Git LFS pointer/, /lfs pull/],
  [
    "a pointer in place of the tokenizer",
    { "config.json": "{}", "tokenizer.json": POINTER },
    "",
    /Git LFS pointer/,
    /lfs pull/,
  ],
];

function put(files: Record<string, string>): string {
  const folder = temporaryFolder();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

describe.each(CASES)("%s", (_what, files, named, message, remedy) => {
  const path = join(put(files), named);
  test.each([
    ["opened as a model", () => openCheckpoint(path)],
    ["opened for its tokenizer", () => openTokenizer(path)],
  ])("is told for what it is, %s", async (_how, open) => {
    await expectFailure(open, "MODEL_NOT_RECOGNISED", message);
    expect((await failureOf(open)).remedy).toMatch(remedy);
  });
});

test("a pointer in place of weights is told by its file", async () => {
  const path = put({ "config.json": "{}", "tokenizer.json": "{}", "model-00002-of-00002.safetensors": POINTER });
  await expectFailure(() => openCheckpoint(path), "MODEL_NOT_RECOGNISED", /00002\.safetensors: .*Git LFS pointer/s);
});

test("an adapter beside the model's own weights does not keep it from being read", async () => {
  const path = put({ "config.json": "{}", "adapter_config.json": ADAPTER, "model.safetensors": "x" });
  expect((await failureOf(() => openCheckpoint(path))).code).not.toBe("MODEL_NOT_RECOGNISED");
});

test("a page of the hub is answered with the model's name there", async () => {
  const { remedy } = await failureOf(() => openCheckpoint("https://huggingface.co/owner/model-1.5B/tree/main"));
  expect(remedy).toMatch(/hf:owner\/model-1\.5B;/);
});
