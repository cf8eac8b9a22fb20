/**
 * The tokenizer in a GGUF's metadata, as a tokenizer.json. What a field means and what holds where it is missing is
 * llama.cpp's `src/llama-vocab.cpp`; where that departs from the model's own tokenizer, the model's own is followed.
 */
import { createHash } from "node:crypto";
import type { GgufTokenizerMetadata } from "../model/formats/gguf-tokenizer.js";
import { type AddedToken, parseTokenizerJson, type TokenizerDefinition } from "./definition.js";
import { isolate } from "./exact.js";
import { tokenizerInvalid, tokenizerUnsupported } from "./failures.js";
import { PRE_TOKENIZERS } from "./pre-tokenizers.js";

const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4 } as const;

/** @throws TOKENIZER_INVALID for metadata that contradicts itself and for tokenizers that are not known (pre-tokenizers.ts) */
export function definitionFromGguf(file: string, metadata: GgufTokenizerMetadata): TokenizerDefinition {
  checkLengths(file, metadata);
  const part = byModel(file, metadata);
  const json = parseTokenizerJson(file, {
    ...part.json,
    added_tokens: addedTokens(metadata),
    post_processor: postProcessor(file, metadata, part.addBos),
    model: { type: "BPE", vocab: vocabulary(file, metadata.tokens), ...part.model },
  });
  return {
    file,
    json,
    ...(part.mergeRanks && { mergeRanks: part.mergeRanks }),
    specialTokens: specialTokens(metadata),
    ...(metadata.chatTemplate !== null && { chatTemplate: metadata.chatTemplate }),
    sha256: createHash("sha256").update(JSON.stringify(metadata)).digest("hex"),
  };
}

interface ModelPart {
  json: object;
  model: object;
  mergeRanks?: readonly number[];
  /** where the file does not say */
  addBos: boolean;
}

function byModel(file: string, metadata: GgufTokenizerMetadata): ModelPart {
  switch (metadata.model) {
    case "gpt2":
      return byteLevel(file, metadata);
    case "llama":
      return sentencePiece(file, metadata);
    default:
      throw tokenizerUnsupported(
        file,
        "tokenizer.ggml.model",
        `${JSON.stringify(metadata.model)} is not supported; supported are gpt2 and llama`,
      );
  }
}

function byteLevel(file: string, { pre, merges }: GgufTokenizerMetadata): ModelPart {
  const known = Object.keys(PRE_TOKENIZERS).join(", ");
  if (pre === null) {
    throw tokenizerUnsupported(
      file,
      "tokenizer.ggml.pre",
      `missing (a file from before May 2024), so how text is split is unknown; known are ${known}`,
    );
  }
  if (!Object.hasOwn(PRE_TOKENIZERS, pre)) {
    throw tokenizerUnsupported(file, "tokenizer.ggml.pre", `${JSON.stringify(pre)} is not known; known are ${known}`);
  }
  if (merges === null)
    throw tokenizerInvalid(file, "tokenizer.ggml.merges", "missing, and a gpt2 tokenizer cannot work without");
  const { splits, normalizer = null, ignoreMerges = false, addBos = false } = PRE_TOKENIZERS[pre];
  const pretokenizers = [...splits.map(isolate), { type: "ByteLevel", add_prefix_space: false, use_regex: false }];
  return {
    json: { normalizer, pre_tokenizer: { type: "Sequence", pretokenizers }, decoder: { type: "ByteLevel" } },
    model: { merges, ignore_merges: ignoreMerges },
    addBos,
  };
}

function sentencePiece(file: string, metadata: GgufTokenizerMetadata): ModelPart {
  const { tokens, tokenTypes, scores, unkTokenId } = metadata;
  if (scores === null || !scores.every(Number.isFinite))
    throw tokenizerInvalid(file, "tokenizer.ggml.scores", "missing or not numbers");
  const pieces = tokens.flatMap((piece, id) =>
    (tokenTypes?.[id] ?? TYPE.normal) === TYPE.normal ? [{ piece, score: scores[id] }] : [],
  );
  const { merges, ranks } = sentencePieceMerges(pieces);
  const prefix = metadata.addSpacePrefix ?? true;
  const spaces = { type: "Replace", pattern: { String: " " }, content: "\u2581" };
  const fromMarks = [
    { type: "Replace", pattern: { String: "\u2581" }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
  ];
  return {
    json: {
      normalizer: prefix ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "\u2581" }, spaces] } : spaces,
      decoder: {
        type: "Sequence",
        decoders: prefix ? [...fromMarks, { type: "Strip", content: " ", start: 1, stop: 0 }] : fromMarks,
      },
    },
    model: { merges, byte_fallback: true, fuse_unk: true, unk_token: unkTokenId === null ? null : tokens[unkTokenId] },
    mergeRanks: ranks,
    addBos: true,
  };
}

function checkLengths(file: string, { tokens, tokenTypes, scores, ...ids }: GgufTokenizerMetadata): void {
  for (const [key, list] of Object.entries({ token_type: tokenTypes, scores })) {
    if (list === null || list.length === tokens.length) continue;
    throw tokenizerInvalid(file, `tokenizer.ggml.${key}`, `${list.length} values for ${tokens.length} tokens`);
  }
  for (const [key, id] of Object.entries({ bos: ids.bosTokenId, eos: ids.eosTokenId, unknown: ids.unkTokenId })) {
    if (id === null || tokens[id] !== undefined) continue;
    throw tokenizerInvalid(file, `tokenizer.ggml.${key}_token_id`, `${id} is not one of ${tokens.length} tokens`);
  }
}

function vocabulary(file: string, tokens: readonly string[]): Record<string, number> {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  if (ids.size === tokens.length) return Object.fromEntries(ids);
  const twice = tokens.findIndex((token, id) => ids.get(token) !== id);
  throw tokenizerInvalid(
    file,
    "tokenizer.ggml.tokens",
    `token ${JSON.stringify(tokens[twice]).slice(0, 80)} occurs more than once`,
  );
}

/** Tokens found in the text itself, before it is split: control and unknown ones are special, user-defined ones are text. */
function addedTokens({ tokens, tokenTypes }: GgufTokenizerMetadata): AddedToken[] {
  const found: number[] = [TYPE.unknown, TYPE.control, TYPE.userDefined];
  return (tokenTypes ?? []).flatMap((type, id) => {
    if (!found.includes(type)) return [];
    return [{ id, content: tokens[id], special: type !== TYPE.userDefined, normalized: false }];
  });
}

function postProcessor(file: string, metadata: GgufTokenizerMetadata, addBosByDefault: boolean): object | null {
  const special = (name: "bos" | "eos", id: number | null, add: boolean): number[] => {
    if (!add) return [];
    if (id === null)
      throw tokenizerInvalid(
        file,
        `tokenizer.ggml.${name}_token_id`,
        "missing, and the tokenizer adds it to every text",
      );
    return [id];
  };
  const before = special("bos", metadata.bosTokenId, metadata.addBos ?? addBosByDefault);
  const after = special("eos", metadata.eosTokenId, metadata.addEos ?? false);
  if (before.length + after.length === 0) return null;
  const item = (id: number) => ({ SpecialToken: { id: metadata.tokens[id], type_id: 0 } });
  const ids = [...before, ...after];
  return {
    type: "TemplateProcessing",
    single: [...before.map(item), { Sequence: { id: "A", type_id: 0 } }, ...after.map(item)],
    special_tokens: Object.fromEntries(ids.map((id) => [metadata.tokens[id], { ids: [id] }])),
  };
}

function specialTokens({ tokens, bosTokenId, eosTokenId, unkTokenId }: GgufTokenizerMetadata): Record<string, string> {
  const ids = { bos_token: bosTokenId, eos_token: eosTokenId, unk_token: unkTokenId };
  return Object.fromEntries(Object.entries(ids).flatMap(([name, id]) => (id === null ? [] : [[name, tokens[id]]])));
}

interface Piece {
  piece: string;
  score: number;
}

/**
 * SentencePiece merges whichever neighbours form the piece of highest score, leftmost first (its bpe_model.cc, and
 * llama.cpp's llm_tokenizer_spm). As byte-pair merges: every split of a piece into two symbols is a merge, ranked by
 * the piece's score. All splits of a piece, and all pieces of one score, share a rank. transformers' converter gives them
 * different ranks instead, which takes another pair than the leftmost where a run such as "aaa" merges in two ways.
 */
function sentencePieceMerges(pieces: readonly Piece[]): { merges: [string, string][]; ranks: number[] } {
  const known = new Set(pieces.map(({ piece }) => piece));
  // a symbol is a character, in the vocabulary or not, or what an earlier merge made
  const isSymbol = (text: string): boolean =>
    known.has(text) || text.length === String.fromCodePoint(text.codePointAt(0) ?? 0).length;
  const merges: [string, string][] = [];
  const ranks: number[] = [];
  let rank = -1;
  let lastScore = Number.POSITIVE_INFINITY;
  for (const { piece, score } of pieces.toSorted((a, b) => b.score - a.score)) {
    if (score < lastScore) rank += 1;
    lastScore = score;
    for (const at of characterStarts(piece)) {
      const [left, right] = [piece.slice(0, at), piece.slice(at)];
      if (!isSymbol(left) || !isSymbol(right)) continue;
      merges.push([left, right]);
      ranks.push(rank);
    }
  }
  return { merges, ranks };
}

/** Where a piece can be cut: before each character but the first, never inside a surrogate pair. */
function characterStarts(piece: string): number[] {
  const starts: number[] = [];
  let at = 0;
  for (const character of piece) {
    if (at > 0) starts.push(at);
    at += character.length;
  }
  return starts;
}
