import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";
import type { GgufTokenizerMetadata } from "../../src/model/formats/gguf-tokenizer.js";

export const UNION = fileURLToPath(new URL("../../models/union-10m", import.meta.url));

/** tokenizer.json as far as the tests change it */
export interface TokenizerFile {
  added_tokens: { id: number; content: string; special: boolean; [key: string]: unknown }[];
  model: { vocab: Record<string, number>; merges: [string, string][]; [key: string]: unknown };
  [key: string]: unknown;
}

export const unionFile = (): TokenizerFile =>
  JSON.parse(readFileSync(join(UNION, "tokenizer.json"), "utf8")) as TokenizerFile;

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A folder with the given files, removed after the test file; values that are not text are written as JSON. */
export function folderWith(files: Readonly<Record<string, unknown>>): string {
  const folder = mkdtempSync(join(tmpdir(), "draftplan-tokenizer-"));
  folders.push(folder);
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(
      join(folder, name),
      typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content),
    );
  }
  return folder;
}

/** Three letters and their pairs: small enough to spell out in a test. */
export function tinyFile(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    version: "1.0",
    added_tokens: [{ id: 5, content: "<end>", special: true, normalized: false }],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab: { a: 0, b: 1, c: 2, ab: 3, bc: 4 }, merges: ["a b", "b c"] },
    ...changes,
  };
}

/** The union tokenizer as a GGUF stores it, with a chat's tokens added. */
export function unionMetadata(changes: Partial<GgufTokenizerMetadata> = {}): GgufTokenizerMetadata {
  const { model } = unionFile();
  const tokens = Object.entries(model.vocab)
    .toSorted((a, b) => a[1] - b[1])
    .map(([token]) => token);
  tokens.push("<|im_start|>", "<|im_end|>", "<tool>");
  const types = tokens.map((_, id) => ([0, 4096, 4097].includes(id) ? 3 : id === 4098 ? 4 : 1));
  return {
    model: "gpt2",
    pre: "smollm",
    tokens,
    tokenTypes: types,
    merges: model.merges.map((pair) => pair.join(" ")),
    scores: null,
    bosTokenId: 0,
    eosTokenId: 0,
    unkTokenId: null,
    addBos: null,
    addEos: null,
    addSpacePrefix: null,
    chatTemplate: null,
    ...changes,
  };
}
