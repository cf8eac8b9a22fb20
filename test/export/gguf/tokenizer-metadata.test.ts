/** Tokenizers written into a GGUF give, read again, the ids that they gave before. */

import { join } from "node:path";
import { expect, test } from "vitest";
import { madeEntry } from "../../../src/export/gguf/metadata.js";
import { tokenizerMetadata } from "../../../src/export/gguf/tokenizer-metadata.js";
import { writeGguf } from "../../../src/export/gguf/write.js";
import { readGgufTokenizerMetadata } from "../../../src/model/formats/gguf-tokenizer.js";
import { seededRandom } from "../../../src/stats/random.js";
import { openTokenizer, readDefinition } from "../../../src/tokenizer/open.js";
import { expectFailure } from "../../support/failure.js";
import { temporaryFolder, tinySpec } from "../../support/tiny-checkpoint.js";
import { folderWith, UNION, unionFile } from "../../support/tokenizers.js";

const root = temporaryFolder();
let files = 0;

/** @returns the GGUF that a folder's tokenizer was written into */
async function written(folder: string, vocab: number, eosTokenIds = [0]): Promise<string> {
  const path = join(root, `${files++}.gguf`);
  const spec = { ...tinySpec({ vocab }), bosTokenId: 0, eosTokenIds };
  const metadata = tokenizerMetadata(await readDefinition(folder), spec);
  await writeGguf(path, { metadata: [...metadata].map(([key, value]) => madeEntry(key, value)), tensors: [] });
  return path;
}

/** Prose, numbers, contractions, other scripts, spaces of all kinds, special tokens in the text. */
const random = seededRandom(5);
const PIECES = [
  "We",
  "'re",
  " the",
  "People",
  " 12345",
  "\n\n",
  "   ",
  "\t",
  " don't",
  " élan",
  "日本",
  "😀",
  "!?",
  "<|endoftext|>",
];
const TEXTS = [
  ...PIECES,
  ...Array.from({ length: 40 }, () =>
    Array.from({ length: 12 }, () => PIECES[Math.floor(random.float() * PIECES.length)]).join(""),
  ),
];

const LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const isolated = (regex: string) => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false });
const sequence = (...parts: object[]) => ({ type: "Sequence", pretokenizers: parts });
const BYTES = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };

test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
  ["gpt-2", {}, {}],
  [
    "smollm",
    { pre_tokenizer: sequence({ type: "Digits", individual_digits: true }, { ...BYTES, use_regex: true }) },
    {},
  ],
  ["llama-bpe", { pre_tokenizer: sequence(isolated(LLAMA3), BYTES) }, { ignore_merges: true }],
  ["qwen2", { pre_tokenizer: sequence(isolated(LLAMA3.replace("{1,3}", "")), BYTES), normalizer: { type: "NFC" } }, {}],
])("%s", async (pre, parts, model) => {
  const file = unionFile();
  const folder = folderWith({ "tokenizer.json": { ...file, ...parts, model: { ...file.model, ...model } } });
  const path = await written(folder, 4100);
  const metadata = readGgufTokenizerMetadata(path);
  expect(metadata).toMatchObject({ model: "gpt2", pre, bosTokenId: 0, eosTokenId: 0, addBos: true, addEos: false });
  expect(metadata?.tokens.slice(4095)).toEqual([
    expect.any(String),
    "[PAD4096]",
    "[PAD4097]",
    "[PAD4098]",
    "[PAD4099]",
  ]);
  expect(metadata?.tokenTypes?.[0]).toBe(3); // a control token
  expect(metadata?.tokenTypes?.[4099]).toBe(5); // unused
  const [before, after] = [await openTokenizer(folder), await openTokenizer(path)];
  for (const text of TEXTS) expect(after.encode(text), text).toEqual(before.encode(text));
});

test("the embedded model's own, with its chat template where it has one", async () => {
  const path = await written(UNION, 4096);
  const [before, after] = [await openTokenizer(UNION), await openTokenizer(path)];
  for (const text of TEXTS) {
    expect(after.encode(text), text).toEqual(before.encode(text));
    expect(after.decode(before.encode(text)), text).toEqual(before.decode(before.encode(text)));
  }
});

test("more than one end token: end of turn and of message", async () => {
  const metadata = readGgufTokenizerMetadata(await written(UNION, 4096, [7, 9]));
  expect(metadata?.eosTokenId).toBe(7);
});

test("SentencePiece's merges come back from the scores", async () => {
  const letters = [..."▁abcdefghij"];
  const pieces = ["ab", "cd", "▁a", "abcd", "ef", "efgh", "gh", "▁ab", "ij", "hij"];
  const merges = ["a b", "c d", "▁ a", "ab cd", "e f", "g h", "ef gh", "▁ ab", "▁a b", "i j", "h ij"];
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  const tokens = ["<unk>", "<s>", "</s>", ...bytes, ...letters, ...pieces];
  const folder = folderWith({
    "tokenizer.json": {
      added_tokens: ["<unk>", "<s>", "</s>"].map((content, id) => ({ id, content, special: true, normalized: false })),
      normalizer: {
        type: "Sequence",
        normalizers: [
          { type: "Prepend", prepend: "▁" },
          { type: "Replace", pattern: { String: " " }, content: "▁" },
        ],
      },
      pre_tokenizer: null,
      post_processor: {
        type: "TemplateProcessing",
        single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
        special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
      },
      decoder: null,
      model: {
        type: "BPE",
        unk_token: "<unk>",
        fuse_unk: true,
        byte_fallback: true,
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges,
      },
    },
  });
  const path = await written(folder, tokens.length, [2]);
  expect(readGgufTokenizerMetadata(path)).toMatchObject({
    model: "llama",
    pre: "default",
    addBos: true,
    unkTokenId: null,
  });
  const [before, after] = [await openTokenizer(folder), await openTokenizer(path)];
  for (let i = 0; i < 200; i++) {
    const text = Array.from({ length: 12 }, () => " abcdefghijé"[Math.floor(random.float() * 12)]).join("");
    expect(after.encode(text), text).toEqual(before.encode(text));
  }
});

test("a tokenizer that llama.cpp has no known name for is refused, and what it does is said", async () => {
  const folder = folderWith({
    "tokenizer.json": { ...unionFile(), pre_tokenizer: sequence(isolated("[a-z]+"), BYTES) },
  });
  await expectFailure(() => written(folder, 4096), "TOKENIZER_INVALID", /no name of llama\.cpp's.*\[a-z\]\+.*smollm/);
});
