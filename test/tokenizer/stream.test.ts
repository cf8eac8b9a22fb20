import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { openTokenizer } from "../../src/tokenizer/open.js";
import { createTextStream } from "../../src/tokenizer/stream.js";
import type { Tokenizer } from "../../src/tokenizer/types.js";
import { folderWith, unionFile } from "../support/tokenizers.js";

const SEEDED = { seed: 20251123, numRuns: 150 };

/** byte tokens and a few pieces, as Llama 2 has them */
function sentencePieceFile(): object {
  const pieces = [
    "<unk>",
    "<s>",
    "</s>",
    ...Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`),
    "\u2581",
    "a",
    "\u2581a",
    "\u2581\u2581",
    "é",
  ];
  return {
    added_tokens: [0, 1, 2].map((id) => ({ id, content: pieces[id], special: true, normalized: false })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "\u2581" },
        { type: "Replace", pattern: { String: " " }, content: "\u2581" },
      ],
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "\u2581" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "BPE",
      byte_fallback: true,
      fuse_unk: true,
      unk_token: "<unk>",
      vocab: Object.fromEntries(pieces.map((p, id) => [p, id])),
      merges: [
        ["\u2581", "a"],
        ["\u2581", "\u2581"],
      ],
    },
  };
}

let tokenizers: Record<"byteLevel" | "sentencePiece", { tokenizer: Tokenizer; size: number }>;
beforeAll(async () => {
  const { added_tokens, ...file } = unionFile();
  const tool = { id: 4096, content: "<tool>", special: false, normalized: false };
  tokenizers = {
    byteLevel: {
      tokenizer: await openTokenizer(
        folderWith({ "tokenizer.json": { ...file, added_tokens: [...added_tokens, tool] } }),
      ),
      size: 4097,
    },
    sentencePiece: { tokenizer: await openTokenizer(folderWith({ "tokenizer.json": sentencePieceFile() })), size: 264 },
  };
});

function streamed(tokenizer: Tokenizer, ids: readonly number[]): string[] {
  const stream = createTextStream(tokenizer);
  return [...ids.map((id) => stream.push(id)), stream.end()];
}

const TEXT = fc.string({
  unit: fc.constantFrom(
    "a",
    " ",
    "  ",
    "the ",
    "\n",
    "é",
    "e\u0301",
    "日",
    "本語",
    "😀",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "\u0000",
    "\uFEFF",
    "\uFFFD",
    "한",
  ),
  maxLength: 60,
});

describe.each(["byteLevel", "sentencePiece"] as const)("a text stream over a %s tokenizer", (kind) => {
  test("gives the text of any ids, half characters and invalid bytes included", () => {
    const { tokenizer, size } = tokenizers[kind];
    // bytes are the low ids of both vocabularies: weighted, so that invalid UTF-8 is frequent
    const id = fc.oneof(
      fc.integer({ min: 0, max: size - 1 }),
      fc.integer({ min: 0, max: 262 }),
      fc.constantFrom(0, size + 5),
    );
    fc.assert(
      fc.property(fc.array(id, { maxLength: 150 }), (ids) => {
        expect(streamed(tokenizer, ids).join("")).toBe(tokenizer.decode(ids));
      }),
      SEEDED,
    );
  });

  test("gives whole characters only, each as soon as its last byte is there", () => {
    const { tokenizer } = tokenizers[kind];
    fc.assert(
      fc.property(TEXT, (text) => {
        const ids = tokenizer.encode(text);
        const pieces = streamed(tokenizer, ids);
        expect(pieces.join("")).toBe(tokenizer.decode(ids));
        expect(pieces.join("")).toBe(text);
        pieces.forEach((piece, i) => {
          expect(piece).not.toMatch(/\p{Surrogate}/u);
          if (!text.includes("\uFFFD")) expect(piece).not.toContain("\uFFFD");
          const soFar = pieces.slice(0, i + 1).join("");
          const decoded = tokenizer.decode(ids.slice(0, i + 1));
          if (!decoded.endsWith("\uFFFD")) expect(soFar).toBe(decoded);
        });
      }),
      SEEDED,
    );
  });

  test("keeps characters whole wherever the window ends", () => {
    const { tokenizer } = tokenizers[kind];
    for (let before = 0; before < 8; before++) {
      const text = "a".repeat(before) + "😀日é ".repeat(40);
      const pieces = streamed(tokenizer, tokenizer.encode(text));
      expect(pieces.join("")).toBe(text);
      expect(pieces.filter((piece) => [...piece].length > 1 && !piece.includes(" "))).toEqual([]);
    }
  });

  test("starts afresh after its end", () => {
    const { tokenizer } = tokenizers[kind];
    const stream = createTextStream(tokenizer);
    const ids = tokenizer.encode("a é 😀");
    const round = (): string => ids.map((id) => stream.push(id)).join("") + stream.end();
    expect([round(), round()]).toEqual(["a é 😀", "a é 😀"]);
    expect(stream.end()).toBe("");
  });

  test("strips the first space only once", () => {
    const { tokenizer } = tokenizers[kind];
    // for SentencePiece: a mark alone, two marks, a mark with a letter
    for (const ids of [
      [259, 261],
      [259, 259, 260],
      [262, 261],
      [0, 259, 0, 261],
      [...Array<number>(70).fill(259), 261],
    ]) {
      expect(streamed(tokenizer, ids).join("")).toBe(tokenizer.decode(ids));
    }
  });

  test.each([
    ["text", (t: Tokenizer) => t.encode("a 😀é ".repeat(1000))],
    ["a token that writes nothing", () => Array<number>(3000).fill(0)],
    ["bytes that never make a character", (t: Tokenizer) => Array<number>(3000).fill(t.encode("😀").at(-1) ?? 0)],
    ["first bytes only", (t: Tokenizer) => Array<number>(3000).fill(t.encode("😀").at(-4) ?? 0)],
  ])("decodes a bounded window of %s", (_name, makeIds) => {
    const { tokenizer } = tokenizers[kind];
    const ids = makeIds(tokenizer);
    let decoded = 0;
    const counting: Tokenizer = {
      ...tokenizer,
      decode: (window, options) => {
        decoded += window.length;
        return tokenizer.decode(window, options);
      },
    };
    expect(streamed(counting, ids).join("")).toBe(tokenizer.decode(ids));
    expect(decoded / ids.length).toBeLessThan(40);
  });
});
