/**
 * A tokenizer.json as GGUF metadata, the way llama.cpp's converter writes it (`conversion/base.py`), so that the vocabulary of
 * a draft equals that of the target that the converter made. llama.cpp knows how text is split by a name alone,
 * `tokenizer.ggml.pre`; the names here are those whose splitting draftplan's own reader of GGUF knows.
 */
import type { ModelSpec } from "../../model/spec.js";
import type { PreTokenizer, TokenizerDefinition, TokenizerJson } from "../../tokenizer/definition.js";
import { GPT2_SPLIT } from "../../tokenizer/exact.js";
import { tokenizerUnsupported } from "../../tokenizer/failures.js";
import { PRE_TOKENIZERS } from "../../tokenizer/pre-tokenizers.js";
import type { MetadataValue } from "./metadata.js";

/** `enum llama_token_type` */
const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** @throws TOKENIZER_INVALID for a tokenizer that llama.cpp has no name for, as far as draftplan knows */
export function tokenizerMetadata(definition: TokenizerDefinition, spec: ModelSpec): Map<string, MetadataValue> {
  const { file, json } = definition;
  const kind = json.model.byte_fallback === true ? sentencePiece(definition) : byteLevel(file, json);
  const tokens = tokensById(json, spec.vocabSize);
  const values = new Map<string, MetadataValue>([
    ["model", { type: "string", value: kind.model }],
    ["pre", { type: "string", value: kind.pre }],
    ["tokens", { type: "array", of: "string", values: tokens.map(({ text }) => text) }],
    ["token_type", { type: "array", of: "i32", values: tokens.map(({ type }) => type) }],
  ]);
  if (kind.scores) values.set("scores", { type: "array", of: "f32", values: tokens.map(kind.scores) });
  else values.set("merges", { type: "array", of: "string", values: json.model.merges.map(mergeText) });
  for (const [key, value] of specialIds(definition, spec)) values.set(key, value);
  const whole = new Map<string, MetadataValue>(
    [...values].map(([key, value]) => [`tokenizer.ggml.${key}`, value] as const),
  );
  if (definition.chatTemplate !== undefined)
    whole.set("tokenizer.chat_template", { type: "string", value: definition.chatTemplate });
  return whole;
}

interface Token {
  text: string;
  type: number;
}

/** Every row of the embedding has a token; those that the tokenizer lacks are called as the converter calls them. */
function tokensById(json: TokenizerJson, vocabSize: number): Token[] {
  const unk = json.model.unk_token ?? undefined;
  const tokens = new Map<number, Token>();
  const bytes = json.model.byte_fallback === true ? /^<0x[0-9A-F]{2}>$/ : null;
  for (const [text, id] of Object.entries(json.model.vocab))
    tokens.set(id, { text, type: text === unk ? TYPE.unknown : bytes?.test(text) ? TYPE.byte : TYPE.normal });
  for (const { id, content, special } of json.added_tokens) {
    const type = special !== true ? TYPE.userDefined : content === unk && bytes ? TYPE.unknown : TYPE.control;
    tokens.set(id, { text: content, type });
  }
  return Array.from({ length: vocabSize }, (_, id) => tokens.get(id) ?? { text: `[PAD${id}]`, type: TYPE.unused });
}

interface Kind {
  model: "gpt2" | "llama";
  pre: string;
  scores?: (token: Token) => number;
}

function byteLevel(file: string, json: TokenizerJson): Kind {
  const found = signatureOf(json);
  const pre = found === null ? undefined : NAMES.find((name) => signatureOfName(name) === found);
  if (pre !== undefined) return { model: "gpt2", pre };
  const parts = JSON.stringify({ normalizer: json.normalizer, pre_tokenizer: json.pre_tokenizer }).slice(0, 300);
  throw tokenizerUnsupported(
    file,
    "pre_tokenizer",
    `no name of llama.cpp's is known for ${parts}; known are ${NAMES.join(", ")}`,
  );
}

/** Of names that split alike, the one that llama.cpp's converter writes. */
const NAMES = ["smollm", "gpt-2", "llama-bpe", "qwen2"] as const;

/** What splits text, how it is normalised, and whether whole pre-tokens are looked up: equal for equal tokenizers. */
const signature = (splits: readonly string[], normalizer: string, ignoreMerges: boolean): string =>
  JSON.stringify([splits.map(withoutGroupDialect), normalizer, ignoreMerges]);

function signatureOfName(name: (typeof NAMES)[number]): string {
  const { splits, normalizer, ignoreMerges = false } = PRE_TOKENIZERS[name];
  return signature(splits, normalizer?.type ?? "", ignoreMerges);
}

function signatureOf({ normalizer, pre_tokenizer: pre, model }: TokenizerJson): string | null {
  const splits = pre === null ? null : splitsOf(pre);
  if (splits === null || (normalizer !== null && normalizer.type !== "NFC")) return null;
  return signature(splits, normalizer?.type ?? "", model.ignore_merges === true);
}

/** Oniguruma's `(?i:'s|…)` and the spelt-out letters of llama.cpp say the same. */
const withoutGroupDialect = (split: string): string =>
  split.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])");

/** The regular expressions that isolate pieces, one after the other; null where something else is done too. */
function splitsOf(part: PreTokenizer): string[] | null {
  switch (part.type) {
    case "Sequence": {
      const parts = part.pretokenizers.map(splitsOf);
      return parts.includes(null) ? null : parts.flatMap((splits) => splits ?? []);
    }
    case "ByteLevel":
      if (part.add_prefix_space === true) return null;
      return part.use_regex === false ? [] : [GPT2_SPLIT];
    case "Digits":
      return [part.individual_digits === true ? "\\p{N}" : "\\p{N}+"];
    case "Split":
      return part.behavior === "Isolated" && "Regex" in part.pattern ? [part.pattern.Regex] : null;
    case "Metaspace":
      return null;
  }
}

/**
 * SentencePiece's scores order the merges (gguf-tokenizer-json.ts); tokenizer.json has the merges alone, in that order. So
 * a piece is scored by the first merge that makes it: the higher, the earlier.
 */
function sentencePiece({ file, json }: TokenizerDefinition): Kind {
  const { normalizer, pre_tokenizer: pre, model } = json;
  if (model.ignore_merges === true || !isSentencePiece(normalizer, pre))
    throw tokenizerUnsupported(file, "normalizer", "is none that llama.cpp's SentencePiece tokenizer reproduces");
  const ranks = new Map<string, number>();
  model.merges.forEach((merge, rank) => {
    const text = Array.isArray(merge) ? merge.join("") : merge.replace(" ", "");
    if (!ranks.has(text)) ranks.set(text, rank);
  });
  return { model: "llama", pre: "default", scores: ({ text }) => -(ranks.get(text) ?? model.merges.length) };
}

/** Spaces become marks, and one stands before the text: what `add_space_prefix` means. */
const isSentencePiece = (normalizer: TokenizerJson["normalizer"], pre: PreTokenizer | null): boolean =>
  spacePrefix(normalizer, pre) !== null;

/** @returns whether a mark stands before the text; null for another tokenizer */
function spacePrefix(normalizer: TokenizerJson["normalizer"], pre: PreTokenizer | null): boolean | null {
  if (normalizer === null && pre?.type === "Metaspace") {
    const { prepend_scheme: scheme, add_prefix_space: prefix, replacement = "\u2581", split } = pre;
    if (replacement !== "\u2581" || split !== false) return null;
    return scheme === undefined ? prefix !== false : scheme !== "never";
  }
  if (pre !== null || normalizer === null) return null;
  const steps = normalizer.type === "Sequence" ? normalizer.normalizers : [normalizer];
  const prepends = steps[0]?.type === "Prepend" && steps[0].prepend === "\u2581";
  const rest = prepends ? steps.slice(1) : steps;
  const [replace] = rest;
  const replaces =
    rest.length === 1 &&
    replace.type === "Replace" &&
    replace.content === "\u2581" &&
    "String" in replace.pattern &&
    replace.pattern.String === " ";
  return replaces ? prepends : null;
}

const mergeText = (merge: string | [string, string]): string => (Array.isArray(merge) ? merge.join(" ") : merge);

function specialIds({ json, specialTokens }: TokenizerDefinition, spec: ModelSpec): [string, MetadataValue][] {
  const ids = new Map([
    ...Object.entries(json.model.vocab),
    ...json.added_tokens.map(({ content, id }) => [content, id] as const),
  ]);
  const idOf = (name: string): number | undefined => ids.get(specialTokens[name] ?? "");
  const [before, after] = affixes(json);
  const [eos, eot, eom] = spec.eosTokenIds;
  const found: [string, number | undefined][] = [
    ["bos_token_id", before[0] ?? spec.bosTokenId ?? idOf("bos_token")],
    ["eos_token_id", after[0] ?? eos ?? idOf("eos_token")],
    ["eot_token_id", eot],
    ["eom_token_id", eom],
    ["unknown_token_id", idOf("unk_token")],
    ["padding_token_id", idOf("pad_token")],
  ];
  const prefix = spacePrefix(json.normalizer, json.pre_tokenizer);
  return [
    ...found.flatMap(([key, id]): [string, MetadataValue][] =>
      id === undefined ? [] : [[key, { type: "u32", value: id }]],
    ),
    ["add_bos_token", { type: "bool", value: before.length > 0 }],
    ["add_eos_token", { type: "bool", value: after.length > 0 }],
    ...(prefix === null
      ? []
      : ([["add_space_prefix", { type: "bool", value: prefix }]] satisfies [string, MetadataValue][])),
  ];
}

/** Tokens that the post-processor puts before and behind every text. */
function affixes({ post_processor: post }: TokenizerJson): [number[], number[]] {
  const parts = post === null ? [] : post.type === "Sequence" ? post.processors : [post];
  const template = parts.find((part) => part.type === "TemplateProcessing");
  if (template?.type !== "TemplateProcessing") return [[], []];
  const at = template.single.findIndex((item) => typeof item === "object" && item !== null && "Sequence" in item);
  const idsOf = (items: readonly unknown[]): number[] =>
    items.flatMap((item) => {
      const name = (item as { SpecialToken?: { id?: string } }).SpecialToken?.id;
      return name === undefined ? [] : (template.special_tokens[name]?.ids ?? []);
    });
  return [idsOf(template.single.slice(0, at)), idsOf(template.single.slice(at + 1))];
}
