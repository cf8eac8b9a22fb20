import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openTokenizer } from "../../src/tokenizer/open.js";
import { readVocabulary } from "../../src/tokenizer/vocabulary.js";
import { folderWith, tinyFile, UNION, unionFile } from "../support/tokenizers.js";

describe("the embedded model's tokenizer", () => {
  test("begins every text with token 0, a rendered chat only where it says so", async () => {
    const tokenizer = await openTokenizer("embedded");
    expect(tokenizer.encode("The Congress of the United States")).toEqual([0, 2819, 506, 268, 260, 532, 463]);
    expect(tokenizer.encodeRendered("The Congress")).toEqual([2819, 506]);
    expect(tokenizer.encodeRendered("<|endoftext|>The Congress")).toEqual([0, 2819, 506]);
    expect(tokenizer.encode("")).toEqual([0]);
  });

  test("is the one in models/union-10m, digest included", async () => {
    const [embedded, folder] = await Promise.all([openTokenizer("embedded"), openTokenizer(UNION)]);
    expect(embedded.sha256).toBe(folder.sha256);
    expect(await readVocabulary("embedded")).toEqual(await readVocabulary(UNION));
    expect(embedded.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  test("leaves special tokens out of text unless asked for", async () => {
    const tokenizer = await openTokenizer("embedded");
    const ids = tokenizer.encode("The Congress");
    expect(tokenizer.decode(ids)).toBe("The Congress");
    expect(tokenizer.decode(ids, { keepSpecialTokens: true })).toBe("<|endoftext|>The Congress");
  });

  test("never cleans up spaces: text comes back as it was", async () => {
    const tokenizer = await openTokenizer("embedded");
    const text = "a . b , c ! don 't";
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  test("writes nothing for no ids, and for ids beyond the vocabulary, as padded embeddings have them", async () => {
    const tokenizer = await openTokenizer("embedded");
    expect(tokenizer.decode([])).toBe("");
    expect(tokenizer.decode([0])).toBe("");
    expect(tokenizer.decode([65, 4_000_000, 66])).toBe(tokenizer.decode([65, 66]));
  });

  test.each([[[1.5]], [[-1]], [[Number.NaN]], [[65, Number.POSITIVE_INFINITY]]])(
    "refuses ids that are none: %j",
    async (ids) => {
      const tokenizer = await openTokenizer("embedded");
      expect(() => tokenizer.decode(ids)).toThrow(expect.objectContaining({ code: "TOKEN_IDS_INVALID" }));
    },
  );

  test("encodes NUL bytes and lone surrogates, the latter as U+FFFD", async () => {
    const tokenizer = await openTokenizer("embedded");
    expect(tokenizer.decode(tokenizer.encode("a\u0000b"))).toBe("a\u0000b");
    expect(tokenizer.encode("a\uD800b")).toEqual(tokenizer.encode("a\uFFFDb"));
    expect(tokenizer.encode("\uDC00\uD800")).toEqual(tokenizer.encode("\uFFFD\uFFFD"));
  });
});

describe("a model without a usable tokenizer", () => {
  test.each([
    ["an empty folder", {}, /no tokenizer\.json/, /hf download/],
    ["a folder with SentencePiece's own file", { "tokenizer.model": "x" }, /tokenizer\.model/, /save_pretrained/],
  ])("%s is TOKENIZER_MISSING and says what to do", async (_name, files, what, remedy) => {
    const error = {
      code: "TOKENIZER_MISSING",
      what: expect.stringMatching(what),
      remedy: expect.stringMatching(remedy),
    };
    await expect(openTokenizer(folderWith(files))).rejects.toMatchObject(error);
  });

  test("a file that is neither is TOKENIZER_MISSING, a path that does not exist FILE_NOT_FOUND", async () => {
    const folder = folderWith({ "config.json": {} });
    await expect(openTokenizer(join(folder, "config.json"))).rejects.toMatchObject({ code: "TOKENIZER_MISSING" });
    await expect(openTokenizer(join(folder, "absent"))).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
  });

  test("a folder in place of tokenizer.json is TOKENIZER_INVALID", async () => {
    const folder = folderWith({});
    mkdirSync(join(folder, "tokenizer.json"));
    await expect(openTokenizer(folder)).rejects.toMatchObject({ code: "TOKENIZER_INVALID" });
  });
});

describe("what stands beside tokenizer.json", () => {
  const config = {
    added_tokens_decoder: { "5": { content: "<end>", special: true }, "6": { content: "<new>", special: true } },
    eos_token: { content: "abc" },
  };

  test("tokens of tokenizer_config.json that tokenizer.json lacks are added, those it has are not changed", async () => {
    const tokenizer = await openTokenizer(
      folderWith({ "tokenizer.json": tinyFile(), "tokenizer_config.json": config }),
    );
    expect(tokenizer.encode("a<new>b<end>")).toEqual([0, 6, 1, 5]);
    expect(tokenizer.decode([0, 6, 1, 5])).toBe("ab");
  });

  test("a token that is named special and in the vocabulary is found in text, one without an id is not", async () => {
    const named = { bos_token: "bc", eos_token: "nowhere" };
    const tokenizer = await openTokenizer(
      folderWith({ "tokenizer.json": tinyFile(), "special_tokens_map.json": named }),
    );
    expect(tokenizer.encode("abc")).toEqual([0, 4]);
    expect(tokenizer.decode([0, 4])).toBe("a");
  });

  test("every file of the definition changes the digest", async () => {
    const digest = async (files: Record<string, unknown>) =>
      (await openTokenizer(folderWith({ "tokenizer.json": tinyFile(), ...files }))).sha256;
    const digests = await Promise.all([
      digest({}),
      digest({ "tokenizer_config.json": {} }),
      digest({ "special_tokens_map.json": {} }),
      digest({ "chat_template.jinja": "{}" }),
      digest({ "chat_template.jinja": "" }),
      digest({ "tokenizer.json": unionFile() }),
    ]);
    expect(new Set(digests).size).toBe(digests.length);
    expect(await digest({ "README.md": "hello" })).toBe(digests[0]);
  });
});

describe("parts of tokenizer.json", () => {
  const vocab = { a: 0, b: 1, $: 2, "&": 3, "\u2581": 4, "\u2581a": 5 };
  const open = (parts: Record<string, unknown>) =>
    openTokenizer(
      folderWith({
        "tokenizer.json": { ...tinyFile(parts), added_tokens: [], model: { type: "BPE", vocab, merges: ["\u2581 a"] } },
      }),
    );

  test("replace by what is written, not by what JavaScript reads into it", async () => {
    const replace = { type: "Replace", pattern: { String: "b" }, content: "$&$$" };
    const tokenizer = await open({
      normalizer: replace,
      pre_tokenizer: null,
      decoder: { type: "Sequence", decoders: [replace, { type: "Fuse" }] },
    });
    expect(tokenizer.encode("ab")).toEqual([0, 2, 3, 2, 2]);
    expect(tokenizer.decode([0, 1])).toBe("a$&$$");
  });

  test("keep a leading space that Metaspace never added", async () => {
    const never = { type: "Metaspace", replacement: "\u2581", prepend_scheme: "never", split: false };
    const always = { ...never, prepend_scheme: "always" };
    const [plain, prefixed] = await Promise.all([
      open({ pre_tokenizer: never, decoder: never }),
      open({ pre_tokenizer: always, decoder: always }),
    ]);
    expect([plain.encode("a"), plain.encode(" a"), prefixed.encode("a")]).toEqual([[0], [5], [5]]);
    expect([plain.decode([5]), prefixed.decode([5])]).toEqual([" a", "a"]);
  });
});

test("a text of 100 kB is encoded whole, in time that grows with its length and not with its square", async () => {
  const tokenizer = await openTokenizer("embedded");
  const text = "The Congress of the United States, 1862: naïve café — 日本語 😀\n".repeat(1600);
  expect(tokenizer.decode(tokenizer.encode(text))).toBe(text); // a square would take minutes, and the test's time limit ends it
});
