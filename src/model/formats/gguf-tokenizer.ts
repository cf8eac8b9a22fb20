/** The tokenizer a `.gguf` file carries in its metadata, as stored; src/tokenizer makes one from it. */

import { corrupt } from "../failures.js";
import type { GgufFile } from "./gguf-file.js";
import { openGguf } from "./gguf-parts.js";

export interface GgufTokenizerMetadata {
  /** `tokenizer.ggml.model`: `gpt2` (byte-level BPE), `llama` (SentencePiece), … */
  model: string;
  /** `tokenizer.ggml.pre`: which pre-tokenizer splits the text, e.g. `smollm`, `qwen2`, `llama-bpe` */
  pre: string | null;
  /** id -> token, as stored (byte-level tokens in GPT-2's printable alphabet) */
  tokens: string[];
  /** id -> llama.cpp's type: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte */
  tokenTypes: number[] | null;
  /** BPE merges by rank, `left right` */
  merges: string[] | null;
  /** id -> SentencePiece score */
  scores: number[] | null;
  bosTokenId: number | null;
  eosTokenId: number | null;
  unkTokenId: number | null;
  /** null: the file does not say */
  addBos: boolean | null;
  addEos: boolean | null;
  addSpacePrefix: boolean | null;
  chatTemplate: string | null;
}

/** @returns undefined where the file carries no tokenizer */
export function readGgufTokenizerMetadata(path: string): GgufTokenizerMetadata | undefined {
  const file = openGguf(path);
  try {
    return tokenizerMetadata(file);
  } finally {
    file.close();
  }
}

function tokenizerMetadata(file: GgufFile): GgufTokenizerMetadata | undefined {
  const key = (name: string): string => `tokenizer.ggml.${name}`;
  const model = file.string(key("model"));
  const tokens = file.strings(key("tokens"));
  if (model === undefined || tokens === undefined) return undefined;
  return {
    model,
    pre: file.string(key("pre")) ?? null,
    tokens,
    tokenTypes: perToken(file, key("token_type"), tokens.length),
    merges: file.strings(key("merges")) ?? null,
    scores: perToken(file, key("scores"), tokens.length),
    bosTokenId: tokenId(file, key("bos_token_id"), tokens.length),
    eosTokenId: tokenId(file, key("eos_token_id"), tokens.length),
    unkTokenId: tokenId(file, key("unknown_token_id"), tokens.length),
    addBos: file.boolean(key("add_bos_token")) ?? null,
    addEos: file.boolean(key("add_eos_token")) ?? null,
    addSpacePrefix: file.boolean(key("add_space_prefix")) ?? null,
    chatTemplate: file.string("tokenizer.chat_template") ?? null,
  };
}

function perToken(file: GgufFile, key: string, tokens: number): number[] | null {
  const numbers = file.numbers(key);
  if (numbers === undefined) return null;
  if (numbers.length !== tokens)
    throw corrupt(file.file.path, `metadata ${key}`, `has ${numbers.length} entries for ${tokens} tokens`);
  return numbers;
}

function tokenId(file: GgufFile, key: string, tokens: number): number | null {
  const id = file.number(key);
  if (id === undefined) return null;
  if (Number.isInteger(id) && id >= 0 && id < tokens) return id;
  throw corrupt(file.file.path, `metadata ${key}`, `is ${id}; the vocabulary has ${tokens} tokens`);
}
