import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DraftplanError } from "../../src/core/errors.js";
import { openTokenizer } from "../../src/tokenizer/open.js";
import { folderWith, tinyFile } from "../support/tokenizers.js";

const nested = (depth: number, open: string, close: string): string => open.repeat(depth) + close.repeat(depth);
const model = (changes: object): object =>
  tinyFile({ model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: ["a b"], ...changes } });
const sequences = (depth: number): string => {
  const tiny = JSON.stringify(tinyFile({ pre_tokenizer: "HERE" }));
  return tiny.replace(
    '"HERE"',
    `${'{"type":"Sequence","pretokenizers":['.repeat(depth)}{"type":"ByteLevel"}${"]}".repeat(depth)}`,
  );
};

describe("a tokenizer.json is refused with TOKENIZER_INVALID where it", () => {
  test.each<[string, unknown, RegExp]>([
    ["is empty", "", /JSON/],
    ["is cut", '{"model": {"type": "BPE"', /JSON/],
    ["is binary", new Uint8Array([0, 255, 254, 0, 1]), /JSON/],
    ["is no object", "[]", /top level/],
    ["is null", "null", /top level/],
    ["is deeply nested", nested(200_000, "[", "]"), /./],
    ["nests parts deeply", sequences(20_000), /./],
    ["has no model", tinyFile({ model: undefined }), /model/],
    ["is of another model", tinyFile({ model: { type: "Unigram", vocab: [["a", 0]] } }), /byte-pair/],
    ["has a list for a vocabulary", model({ vocab: ["a"] }), /vocab/],
    ["has text for an id", model({ vocab: { a: "0" } }), /"a"/],
    ["has a broken id", model({ vocab: { a: 0.5 } }), /0\.5/],
    ["has a negative id", model({ vocab: { a: -1 } }), /-1/],
    ["claims a huge vocabulary", model({ vocab: { a: 0, b: 4_294_967_295 } }), /4294967295/],
    ["claims a huge added token", tinyFile({ added_tokens: [{ id: 1e9, content: "x" }] }), /added_tokens\.0\.id/],
    ["has two tokens of one id", model({ vocab: { a: 0, b: 0 } }), /two tokens/],
    ["has no tokens", model({ vocab: {} }), /no tokens/],
    ["has a number for merges", model({ merges: 5 }), /merges/],
    ["has a merge of one", model({ merges: ["ab"] }), /merges\.0/],
    ["has a merge of numbers", model({ merges: [[1, 2]] }), /merges\.0/],
    ["mixes kinds of merges", model({ merges: [["a", "b"], "a b"] }), /merges\.1/],
    ["is random", model({ dropout: 0.1 }), /dropout/],
    ["marks subwords", model({ end_of_word_suffix: "</w>" }), /end_of_word_suffix/],
    ["has an unknown normalizer", tinyFile({ normalizer: { type: "Lowercase" } }), /"Lowercase"/],
    [
      "has an unknown pre-tokenizer",
      tinyFile({ pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Whitespace" }] } }),
      /"Whitespace"/,
    ],
    ["has an unknown post-processor", tinyFile({ post_processor: { type: "BertProcessing" } }), /"BertProcessing"/],
    ["has an unknown decoder", tinyFile({ decoder: { type: "CTC" } }), /"CTC"/],
    ["has a part that is text", tinyFile({ decoder: "ByteLevel" }), /"ByteLevel"/],
    [
      "splits by a broken expression",
      tinyFile({ pre_tokenizer: { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated" } }),
      /./,
    ],
    [
      "matches whole words only",
      tinyFile({ added_tokens: [{ id: 5, content: "x", single_word: true }] }),
      /single_word/,
    ],
    [
      "adds a token under another id",
      tinyFile({
        post_processor: {
          type: "TemplateProcessing",
          single: [{ SpecialToken: { id: "<end>" } }, { Sequence: { id: "A" } }],
          special_tokens: { "<end>": { ids: [3] } },
        },
      }),
      /"<end>" is not the token of id 3/,
    ],
  ])("%s", async (_name, content, message) => {
    const error = {
      code: "TOKENIZER_INVALID",
      message: expect.stringMatching(message),
      remedy: expect.stringMatching(/--prompt-ids/),
    };
    await expect(openTokenizer(folderWith({ "tokenizer.json": content }))).rejects.toMatchObject(error);
  });

  test.each([
    ["tokenizer_config.json", "{"],
    ["tokenizer_config.json", "[]"],
    ["tokenizer_config.json", { chat_template: 5 }],
    ["tokenizer_config.json", { bos_token: 5 }],
    ["tokenizer_config.json", { added_tokens_decoder: { x: { content: "y" } } }],
    ["tokenizer_config.json", { added_tokens_decoder: { "999999999": { content: "y" } } }],
    ["special_tokens_map.json", { eos_token: [] }],
  ])("comes with a broken %s: %j", async (name, content) => {
    const opening = openTokenizer(folderWith({ "tokenizer.json": tinyFile(), [name]: content }));
    await expect(opening).rejects.toMatchObject({ code: "TOKENIZER_INVALID", at: expect.stringContaining(name) });
  });
});

describe("a regular expression that backtracks without end", () => {
  test.each(["normalizer", "pre_tokenizer"])("as a %s is stopped", async (part) => {
    const pattern = { Regex: "(a+)+$" };
    const replace = { type: "Replace", pattern, content: "" };
    const split = { type: "Split", pattern, behavior: "Isolated" };
    const file = tinyFile({ [part]: part === "normalizer" ? replace : split });
    const tokenizer = await openTokenizer(folderWith({ "tokenizer.json": file }), { timeLimitMs: 300 });
    expect(() => tokenizer.encode(`${"a".repeat(60)}b`)).toThrow(/longer than 30\d ms; .*backtracks without end/);
    expect(tokenizer.encode("b")).toEqual(tokenizer.encode("b")); // and works again
  });
});

describe("names that mean something to JavaScript", () => {
  test("are tokens like any other", async () => {
    const words = ["__proto__", "constructor", "toString", "hasOwnProperty"];
    const letters = [...new Set(words.join(""))];
    const vocab = Object.fromEntries([...letters, ...words].map((token, id) => [token, id]));
    const file = { ...tinyFile(), added_tokens: [], model: { type: "BPE", vocab, merges: [], ignore_merges: true } };
    const tokenizer = await openTokenizer(
      folderWith({ "tokenizer.json": { ...file, pre_tokenizer: { type: "ByteLevel", use_regex: false } } }),
    );
    for (const [i, word] of words.entries()) {
      expect(tokenizer.encode(word)).toEqual([letters.length + i]);
      expect(tokenizer.decode([letters.length + i])).toBe(word);
    }
  });
});

test("a tokenizer.json with any one value replaced opens and encodes, or is a DraftplanError", async () => {
  const replacement = fc.constantFrom<unknown>(
    null,
    0,
    -1,
    1e300,
    "",
    "x",
    [],
    {},
    [[]],
    true,
    { type: "Sequence" },
    "\u0000",
    "$&",
  );
  const paths = leafPaths(
    JSON.parse(
      JSON.stringify(tinyFile({ normalizer: { type: "Replace", pattern: { String: "x" }, content: "y" } })),
    ) as Json,
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths), replacement, async (path, value) => {
      const file = JSON.parse(
        JSON.stringify(tinyFile({ normalizer: { type: "Replace", pattern: { String: "x" }, content: "y" } })),
      ) as Json;
      try {
        const tokenizer = await openTokenizer(folderWith({ "tokenizer.json": replaced(file, path, value) }));
        const ids = tokenizer.encode("abc x <end> \u0000");
        expect(ids.every((id) => Number.isInteger(id) && id >= 0)).toBe(true);
        expect(typeof tokenizer.decode(ids)).toBe("string");
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(DraftplanError);
      }
    }),
    { seed: 20251123, numRuns: 300 },
  );
});

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** every place in a value, as keys from the top */
function leafPaths(value: Json, at: readonly string[] = []): string[][] {
  const inner =
    typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([key, v]) => leafPaths(v, [...at, key]))
      : [];
  return [[...at], ...inner];
}

function replaced(value: Json, [key, ...rest]: readonly string[], by: unknown): unknown {
  if (key === undefined) return by;
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [...value] : { ...(value as object) };
  Reflect.set(copy, key, replaced((value as Record<string, Json>)[key], rest, by));
  return copy;
}
