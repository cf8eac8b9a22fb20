import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { GgufTokenizerMetadata } from "../../src/model/formats/gguf-tokenizer.js";
import { definitionFromGguf } from "../../src/tokenizer/gguf-tokenizer-json.js";
import { createLibraryTokenizer } from "../../src/tokenizer/library.js";
import { openTokenizer } from "../../src/tokenizer/open.js";
import type { Tokenizer } from "../../src/tokenizer/types.js";
import { naiveSentencePiece } from "../oracle/sentencepiece.js";
import { ggufBytes, type Metadata } from "../support/gguf-bytes.js";
import { uniform } from "../support/numbers.js";
import { folderWith, unionMetadata } from "../support/tokenizers.js";

const make = (metadata: GgufTokenizerMetadata): Tokenizer =>
  createLibraryTokenizer(definitionFromGguf("m.gguf", metadata), { now: () => new Date(0) });

const BYTES = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`);

/** unknown, begin, end, bytes, then the given pieces */
function sentencePieceMetadata(
  pieces: readonly (readonly [string, number])[],
  changes: Partial<GgufTokenizerMetadata> = {},
): GgufTokenizerMetadata {
  return {
    model: "llama",
    pre: "default",
    tokens: ["<unk>", "<s>", "</s>", ...BYTES, ...pieces.map(([piece]) => piece)],
    tokenTypes: [2, 3, 3, ...BYTES.map(() => 6), ...pieces.map(() => 1)],
    merges: null,
    scores: [0, 0, 0, ...BYTES.map(() => 0), ...pieces.map(([, score]) => score)],
    bosTokenId: 1,
    eosTokenId: 2,
    unkTokenId: 0,
    addBos: null,
    addEos: null,
    addSpacePrefix: null,
    chatTemplate: null,
    ...changes,
  };
}

describe("a SentencePiece vocabulary with scores", () => {
  const LETTERS = ["\u2581", "a", "b", "c"];
  /** pieces of random letters; few scores, so that many pieces share one */
  function randomPieces(seed: number): [string, number][] {
    const next = uniform(seed);
    const letter = (): string => LETTERS[Math.floor(next() * LETTERS.length)];
    const pieces = new Map<string, number>(LETTERS.map((l) => [l, -99]));
    const known = [...LETTERS];
    while (pieces.size < 30) {
      const piece =
        known[Math.floor(next() * known.length)] + (next() < 0.5 ? letter() : known[Math.floor(next() * known.length)]);
      if (piece.length > 6 || pieces.has(piece)) continue;
      pieces.set(piece, -Math.floor(next() * 12));
      known.push(piece);
    }
    return [...pieces];
  }

  test.each(Array.from({ length: 25 }, (_, seed) => seed))(
    "merges as trying every pair does, ties leftmost first: seed %i",
    (seed) => {
      const pieces = randomPieces(seed);
      const tokenizer = make(sentencePieceMetadata(pieces));
      const scores = new Map(pieces);
      const next = uniform(seed + 1000);
      for (let round = 0; round < 40; round++) {
        const text = Array.from({ length: 1 + Math.floor(next() * 24) }, () => " aaabbc"[Math.floor(next() * 7)]).join(
          "",
        );
        const expected = naiveSentencePiece(scores, `\u2581${text.replaceAll(" ", "\u2581")}`);
        const ids = expected.map((piece) => 259 + pieces.findIndex(([known]) => known === piece));
        expect(tokenizer.encode(text), text).toEqual([1, ...ids]);
      }
    },
  );

  const pieces = [
    ["\u2581", -9],
    ["a", -9],
    ["\u2581a", -1],
    ["aa", -2],
  ] as const;

  test("spells characters it does not know in bytes, and reads them back", () => {
    const tokenizer = make(sentencePieceMetadata(pieces));
    const text = "a 😀\uFEFFa\u0000";
    expect(tokenizer.encode("é")).toEqual([1, 259, 3 + 0xc3, 3 + 0xa9]);
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  test("reads a lone surrogate as U+FFFD before looking for pieces", () => {
    const tokenizer = make(sentencePieceMetadata([...pieces, ["\uFFFD", -9]]));
    expect(tokenizer.encode("a\uD800")).toEqual([1, 261, 263]);
  });

  test("adds a space before text and takes it off again, unless the file says not to", () => {
    const without = make(sentencePieceMetadata(pieces, { addSpacePrefix: false, addBos: false }));
    expect(without.encode("a")).toEqual([260]);
    expect(without.decode([261])).toBe(" a");
    expect(make(sentencePieceMetadata(pieces)).encode("a")).toEqual([1, 261]);
    expect(make(sentencePieceMetadata(pieces)).decode([1, 261])).toBe("a");
  });

  test("gives each text between special tokens its space, as llama.cpp does", () => {
    expect(make(sentencePieceMetadata(pieces)).encodeRendered("<s>a</s>a")).toEqual([1, 261, 2, 261]);
  });
});

test("Llama 3 takes a word that is in the vocabulary whole, though no merge makes it", () => {
  const { tokens, tokenTypes } = unionMetadata();
  const withWord = { tokens: [...tokens, "qzqz"], tokenTypes: [...(tokenTypes ?? []), 1], addBos: false };
  expect(make(unionMetadata({ ...withWord, pre: "llama-bpe" })).encode("qzqz")).toEqual([4099]);
  expect(make(unionMetadata({ ...withWord, pre: "smollm" })).encode("qzqz")).not.toContain(4099);
});

describe("special tokens of a GGUF", () => {
  test("are added in front and at the end where the file says so", () => {
    expect(make(unionMetadata({ addBos: true, addEos: true })).encode("a")).toEqual([0, 65, 0]);
    expect(make(unionMetadata({ addBos: true })).encodeRendered("a")).toEqual([65]);
    expect(make(unionMetadata()).encode("")).toEqual([]);
  });

  test("are left out of text unless asked for; user-defined ones are text", () => {
    const tokenizer = make(unionMetadata());
    const ids = tokenizer.encode("<|im_start|>a<tool><|im_end|>");
    expect(ids).toEqual([4096, 65, 4098, 4097]);
    expect(tokenizer.decode(ids)).toBe("a<tool>");
    expect(tokenizer.decode(ids, { keepSpecialTokens: true })).toBe("<|im_start|>a<tool><|im_end|>");
  });

  test("reach the chat template", () => {
    const tokenizer = make(
      unionMetadata({ chatTemplate: "{{ bos_token }}{{ messages[0].content }}", bosTokenId: 4096 }),
    );
    expect(tokenizer.renderChat([{ role: "user", content: "hi" }])).toBe("<|im_start|>hi");
  });
});

describe("is refused with TOKENIZER_INVALID:", () => {
  test.each<[string, Partial<GgufTokenizerMetadata>, RegExp]>([
    [
      "an unknown pre-tokenizer",
      { pre: "of-our-own" },
      /"of-our-own".*default, llama-bpe, llama3, llama-v3.*qwen2.*gpt-2.*smollm/,
    ],
    ["a pre-tokenizer named like a property of objects", { pre: "constructor" }, /"constructor"/],
    ["no pre-tokenizer", { pre: null }, /missing/],
    ["another kind of model", { model: "bert" }, /"bert"/],
    ["no merges", { merges: null }, /merges.*missing/],
    ["a merge of three", { merges: ["a b c"] }, /model\.merges\.0/],
    ["types for other tokens", { tokenTypes: [1, 1] }, /2 values for 4099/],
    ["an end token that does not exist", { eosTokenId: 9999 }, /9999/],
    ["a begin token to add that is missing", { addBos: true, bosTokenId: null }, /bos_token_id.*missing/],
    ["the same token twice", { tokens: Array<string>(4099).fill("a") }, /more than once/],
    ["SentencePiece without scores", { model: "llama" }, /scores/],
    ["no tokens", { tokens: [], tokenTypes: [], merges: [], bosTokenId: null, eosTokenId: null }, /no tokens/],
  ])("%s", (_name, changes, message) => {
    expect(() => make(unionMetadata(changes))).toThrow(
      expect.objectContaining({ code: "TOKENIZER_INVALID", message: expect.stringMatching(message) }),
    );
  });
});

describe("a .gguf file", () => {
  const writeGguf = (metadata: ReadonlyMap<string, Metadata>): string => {
    const path = join(folderWith({}), "m.gguf");
    writeFileSync(path, ggufBytes({ metadata, tensors: new Map() }));
    return path;
  };

  test("opens with the ids of its metadata, and its digest is that of the tokenizer alone", async () => {
    const { tokens, tokenTypes, merges } = unionMetadata();
    const common: [string, Metadata][] = [
      ["general.architecture", { type: "string", value: "llama" }],
      ["tokenizer.ggml.model", { type: "string", value: "gpt2" }],
      ["tokenizer.ggml.pre", { type: "string", value: "smollm" }],
      ["tokenizer.ggml.tokens", { type: "array", of: "string", values: tokens }],
      ["tokenizer.ggml.token_type", { type: "array", of: "i32", values: tokenTypes ?? [] }],
      ["tokenizer.ggml.merges", { type: "array", of: "string", values: merges ?? [] }],
    ];
    const tokenizer = await openTokenizer(writeGguf(new Map(common)));
    const named = await openTokenizer(
      writeGguf(new Map([...common, ["general.name", { type: "string", value: "another" }]])),
    );
    expect(tokenizer.encode("<|im_start|>the 12")).toEqual(make(unionMetadata()).encode("<|im_start|>the 12"));
    expect(tokenizer.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(named.sha256).toBe(tokenizer.sha256);
  });

  test("without a tokenizer is TOKENIZER_MISSING", async () => {
    const path = writeGguf(new Map([["general.architecture", { type: "string", value: "llama" }]]));
    await expect(openTokenizer(path)).rejects.toMatchObject({ code: "TOKENIZER_MISSING" });
  });

  test("that is no GGUF is a DraftplanError", async () => {
    const path = join(folderWith({ "m.gguf": "GG" }), "m.gguf");
    expect(readFileSync(path, "utf8")).toBe("GG");
    await expect(openTokenizer(path)).rejects.toMatchObject({ name: "DraftplanError" });
  });
});
