/** Splittings of GGUF vocabularies, against the Rust tokenizers with the models' own expressions (make-pre-tokenizers.py). */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parseTokenizerJson } from "../../src/tokenizer/definition.js";
import { exactDefinition, isolate } from "../../src/tokenizer/exact.js";
import { PRE_TOKENIZERS } from "../../src/tokenizer/pre-tokenizers.js";
import { hf } from "../../src/tokenizer/untyped.js";

const { texts, pieces } = JSON.parse(
  readFileSync(fileURLToPath(new URL("../fixtures/pre-tokenizers.json", import.meta.url)), "utf8"),
) as { texts: string[]; pieces: Record<string, string[][]> };

function split(name: string, text: string): string[] {
  const json = parseTokenizerJson("tokenizer", {
    pre_tokenizer: { type: "Sequence", pretokenizers: PRE_TOKENIZERS[name].splits.map(isolate) },
    model: { type: "BPE", vocab: { a: 0 }, merges: [] },
  });
  const library = new hf.Tokenizer(exactDefinition("tokenizer", json), { clean_up_tokenization_spaces: false });
  return (library as unknown as { pre_tokenizer: (text: string) => string[] }).pre_tokenizer(text);
}

describe.each(Object.entries(pieces))("%s", (name, expected) => {
  test("splits as the model's own tokenizer does", () => {
    expect(texts.map((text) => split(name, text))).toEqual(expected);
  });
});

/** llama.cpp's own groups (src/llama-vocab.cpp, b11434): names that split alike. */
test.each([
  ["llama-bpe", ["falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"]],
  ["dbrx", ["smaug-bpe", "chatglm-bpe", "glm4"]],
  ["qwen2", ["deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan"]],
  ["gpt-2", ["phi-2", "gigachat", "mellum", "a.x-4.0", "mpt", "olmo", "jais", "exaone4"]],
  ["refact", ["smollm", "starcoder", "command-r", "codeshell", "exaone", "minerva-7b"]],
  ["gpt-4o", ["llama4"]],
  ["deepseek-v3", ["hunyuan-dense"]],
])("%s splits as others do", (name, others) => {
  for (const other of others) expect(PRE_TOKENIZERS[other].splits).toEqual(PRE_TOKENIZERS[name].splits);
});
