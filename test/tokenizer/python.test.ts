import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { GgufTokenizerMetadata } from "../../src/model/formats/gguf-tokenizer.js";
import { definitionFromGguf } from "../../src/tokenizer/gguf-tokenizer-json.js";
import { createLibraryTokenizer } from "../../src/tokenizer/library.js";
import { openTokenizer } from "../../src/tokenizer/open.js";
import type { Tokenizer } from "../../src/tokenizer/types.js";
import { folderWith, type TokenizerFile, unionFile, unionMetadata } from "../support/tokenizers.js";

interface Fixture {
  texts: string[];
  ids: number[][];
  changes: Record<string, Record<string, unknown>>;
  sentencepiece: TokenizerFile;
  metaspace: { first: object; never: object };
  digests: Record<string, string[]>;
  decoded: [number[], string][];
}
const fixture = JSON.parse(
  readFileSync(new URL("../fixtures/tokenizer-python.json", import.meta.url), "utf8"),
) as Fixture;

function variant(name: string): object {
  const { first, never } = fixture.metaspace;
  const sentencepiece = fixture.sentencepiece;
  if (name === "sentencepiece") return sentencepiece;
  if (name === "metaspace first") return { ...sentencepiece, normalizer: null, pre_tokenizer: first };
  if (name === "metaspace never") return { ...sentencepiece, normalizer: null, pre_tokenizer: never, decoder: never };
  const { added_tokens = [], ignore_merges, ...parts } = fixture.changes[name];
  const file = unionFile();
  const added = [...file.added_tokens, ...(added_tokens as TokenizerFile["added_tokens"])];
  return {
    ...file,
    ...parts,
    added_tokens: added,
    model: { ...file.model, ...(ignore_merges === true && { ignore_merges }) },
  };
}

const digest = (ids: readonly number[]): string =>
  createHash("sha256").update(JSON.stringify(ids)).digest("hex").slice(0, 8);

/** texts whose ids differ, so that a failure names them */
const differing = (tokenizer: Tokenizer, name: string, except: (text: string) => boolean = () => false): string[] =>
  fixture.texts.filter((text, i) => !except(text) && digest(tokenizer.encode(text)) !== fixture.digests[name][i]);

const fromGguf = (changes: Partial<GgufTokenizerMetadata>): Tokenizer =>
  createLibraryTokenizer(definitionFromGguf("test.gguf", unionMetadata(changes)), { now: () => new Date(0) });

describe("ids and text equal those of Python's tokenizers", () => {
  test("for the embedded model's tokenizer, id by id", async () => {
    const tokenizer = await openTokenizer("embedded");
    expect(fixture.texts.map((text) => tokenizer.encode(text))).toEqual(fixture.ids);
  });

  test("for random ids decoded, invalid UTF-8 included", async () => {
    const tokenizer = await openTokenizer("embedded");
    expect(fixture.decoded.map(([ids]) => tokenizer.decode(ids))).toEqual(fixture.decoded.map(([, text]) => text));
    expect(fixture.decoded.some(([, text]) => text.includes("\uFFFD"))).toBe(true);
  });

  test.each(Object.keys(fixture.digests))("for the parts of: %s", async (name) => {
    const tokenizer = await openTokenizer(folderWith({ "tokenizer.json": variant(name) }));
    expect(differing(tokenizer, name)).toEqual([]);
  });

  // "two words" is an added token that is normalised, which a GGUF cannot say
  const inGguf = (text: string): boolean => text.includes("two words");

  test.each([
    { pre: "smollm", name: "smollm" },
    { pre: "llama-bpe", name: "llama3" },
    { pre: "qwen2", name: "qwen2" },
  ])("for a GGUF that says pre = $pre", ({ pre, name }) => {
    expect(differing(fromGguf({ pre }), name, inGguf)).toEqual([]);
  });

  test.each([
    { pre: "gpt-2", name: "union", addBos: true },
    { pre: "default", name: "default", addBos: false },
  ])("for a GGUF that says pre = $pre, in texts without a chat's tokens", ({ pre, name, addBos }) => {
    const hasChatToken = (text: string): boolean => /<\|im_start\|>|<\|im_end\|>|<tool>/.test(text);
    expect(differing(fromGguf({ pre, addBos }), name, hasChatToken)).toEqual([]);
  });
});
