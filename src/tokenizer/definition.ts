/**
 * A tokenizer as data: Hugging Face's tokenizer.json, narrowed to the parts draftplan reproduces id for id.
 * Parts outside this list are refused by name: `@huggingface/tokenizers` accepts more (Whitespace, Punctuation,
 * Lowercase, WordPiece, ...), but follows JavaScript's character classes there where the Rust original does not.
 */
import { z } from "zod";
import { messageOf, tokenizerInvalid } from "./failures.js";

/** Above every published vocabulary (262 thousand); a claimed id sizes an array. */
export const MAX_TOKEN_ID = 1 << 22;

const Pattern = z.union([z.strictObject({ String: z.string() }), z.strictObject({ Regex: z.string() })]);

export type Normalizer =
  | { type: "Sequence"; normalizers: Normalizer[] }
  | { type: "NFC" | "NFD" | "NFKC" | "NFKD" }
  | { type: "Replace"; pattern: z.infer<typeof Pattern>; content: string }
  | { type: "Prepend"; prepend: string };

const SPLIT_BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"] as const;

export type PreTokenizer =
  | { type: "Sequence"; pretokenizers: PreTokenizer[] }
  | { type: "ByteLevel"; add_prefix_space?: boolean | undefined; use_regex?: boolean | undefined }
  | { type: "Digits"; individual_digits?: boolean | undefined }
  | {
      type: "Split";
      pattern: z.infer<typeof Pattern>;
      behavior: (typeof SPLIT_BEHAVIORS)[number];
      invert?: boolean | undefined;
    }
  | {
      type: "Metaspace";
      replacement?: string | undefined;
      add_prefix_space?: boolean | undefined;
      prepend_scheme?: "always" | "never" | "first" | undefined;
      split?: boolean | undefined;
    };

export type PostProcessor =
  | { type: "Sequence"; processors: PostProcessor[] }
  | { type: "ByteLevel" }
  | { type: "TemplateProcessing"; single: unknown[]; special_tokens: Record<string, { ids: number[] }> };

export type Decoder =
  | { type: "Sequence"; decoders: Decoder[] }
  | { type: "ByteLevel" | "ByteFallback" | "Fuse" }
  | { type: "Replace"; pattern: z.infer<typeof Pattern>; content: string }
  | { type: "Strip"; content: string; start: number; stop: number }
  | {
      type: "Metaspace";
      replacement?: string | undefined;
      add_prefix_space?: boolean | undefined;
      prepend_scheme?: "always" | "never" | "first" | undefined;
    };

/** Names the part that is not known, which zod's own message does not. */
const unknownPart = (kind: string) => ({
  error: (issue: { input?: unknown }) => {
    const type: unknown =
      typeof issue.input === "object" && issue.input !== null && "type" in issue.input ? issue.input.type : issue.input;
    return `${kind} ${JSON.stringify(type)?.slice(0, 80)} is not one that draftplan reproduces exactly`;
  },
});

const METASPACE = {
  type: z.literal("Metaspace"),
  replacement: z.string().length(1).optional(),
  add_prefix_space: z.boolean().optional(),
  prepend_scheme: z.enum(["always", "never", "first"]).optional(),
};
const REPLACE = { type: z.literal("Replace"), pattern: Pattern, content: z.string() };

const Normalizer: z.ZodType<Normalizer> = z.lazy(() =>
  z.discriminatedUnion(
    "type",
    [
      z.looseObject({ type: z.literal("Sequence"), normalizers: z.array(Normalizer) }),
      z.looseObject({ type: z.enum(["NFC", "NFD", "NFKC", "NFKD"]) }),
      z.looseObject(REPLACE),
      z.looseObject({ type: z.literal("Prepend"), prepend: z.string() }),
    ],
    unknownPart("normalizer"),
  ),
);

const PreTokenizer: z.ZodType<PreTokenizer> = z.lazy(() =>
  z.discriminatedUnion(
    "type",
    [
      z.looseObject({ type: z.literal("Sequence"), pretokenizers: z.array(PreTokenizer) }),
      z.looseObject({
        type: z.literal("ByteLevel"),
        add_prefix_space: z.boolean().optional(),
        use_regex: z.boolean().optional(),
      }),
      z.looseObject({ type: z.literal("Digits"), individual_digits: z.boolean().optional() }),
      z.looseObject({
        type: z.literal("Split"),
        pattern: Pattern,
        behavior: z.enum(SPLIT_BEHAVIORS),
        invert: z.boolean().optional(),
      }),
      z.looseObject({ ...METASPACE, split: z.boolean().optional() }),
    ],
    unknownPart("pre-tokenizer"),
  ),
);

const PostProcessor: z.ZodType<PostProcessor> = z.lazy(() =>
  z.discriminatedUnion(
    "type",
    [
      z.looseObject({ type: z.literal("Sequence"), processors: z.array(PostProcessor) }),
      z.looseObject({ type: z.literal("ByteLevel") }),
      z.looseObject({
        type: z.literal("TemplateProcessing"),
        single: z.array(z.unknown()),
        special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(z.int()) })),
      }),
    ],
    unknownPart("post-processor"),
  ),
);

const Decoder: z.ZodType<Decoder> = z.lazy(() =>
  z.discriminatedUnion(
    "type",
    [
      z.looseObject({ type: z.literal("Sequence"), decoders: z.array(Decoder) }),
      z.looseObject({ type: z.enum(["ByteLevel", "ByteFallback", "Fuse"]) }),
      z.looseObject(REPLACE),
      z.looseObject({
        type: z.literal("Strip"),
        content: z.string().length(1),
        start: z.int().min(0).max(8),
        stop: z.int().min(0).max(8),
      }),
      z.looseObject(METASPACE),
    ],
    unknownPart("decoder"),
  ),
);

const AddedToken = z.looseObject({
  id: z.int().min(0).max(MAX_TOKEN_ID),
  content: z.string(),
  single_word: z.literal(false, "matching whole words only is not one that draftplan reproduces exactly").optional(),
  lstrip: z.boolean().optional(),
  rstrip: z.boolean().optional(),
  normalized: z.boolean().optional(),
  special: z.boolean().optional(),
});
export type AddedToken = z.infer<typeof AddedToken>;

const noAffix = z.literal("", "a marked subword is not one that draftplan reproduces exactly").nullish();

const BpeModel = z.looseObject({
  type: z.literal("BPE", "only byte-pair encoding is supported"),
  unk_token: z.string().nullish(),
  fuse_unk: z.boolean().nullish(),
  byte_fallback: z.boolean().nullish(),
  ignore_merges: z.boolean().nullish(),
  continuing_subword_prefix: noAffix,
  end_of_word_suffix: noAffix,
  dropout: z.literal(0, "a random tokenizer cannot be reproduced").nullish(),
  // checked by hand below: a quarter of a million entries
  vocab: z.custom<Record<string, number>>(
    (v) => typeof v === "object" && v !== null && !Array.isArray(v),
    "not a table of tokens",
  ),
  merges: z.custom<string[] | [string, string][]>(Array.isArray, "not a list of merges"),
});

const TokenizerJson = z.looseObject({
  added_tokens: z.array(AddedToken).default([]),
  normalizer: Normalizer.nullable().default(null),
  pre_tokenizer: PreTokenizer.nullable().default(null),
  post_processor: PostProcessor.nullable().default(null),
  decoder: Decoder.nullable().default(null),
  model: BpeModel,
});
export type TokenizerJson = z.infer<typeof TokenizerJson>;

export interface TokenizerDefinition {
  /** the file, for errors */
  file: string;
  json: TokenizerJson;
  /** rank of each merge where several share one (SentencePiece: equal scores, leftmost first); else its index */
  mergeRanks?: readonly number[];
  /** `bos_token`, `eos_token`, ... as chat templates see them */
  specialTokens: Readonly<Record<string, string>>;
  chatTemplate?: string;
  sha256: string;
}

/** @throws TOKENIZER_INVALID naming the key, whatever the value is */
export function parseTokenizerJson(file: string, value: unknown): TokenizerJson {
  const json = parseParts(file, withModelType(value));
  checkVocabulary(file, json.model.vocab);
  checkMerges(file, json.model.merges);
  return json;
}

function parseParts(file: string, value: unknown): TokenizerJson {
  let parsed: ReturnType<typeof TokenizerJson.safeParse>;
  try {
    parsed = TokenizerJson.safeParse(value);
  } catch (thrown) {
    // parts within parts within parts: the stack ends before they do
    throw tokenizerInvalid(file, "definition", messageOf(thrown), thrown);
  }
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw tokenizerInvalid(file, issue.path.join(".") || "top level", issue.message);
}

/** Files written before tokenizers 0.9 do not say that they are BPE. */
function withModelType(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("model" in value)) return value;
  const { model } = value;
  if (typeof model !== "object" || model === null || "type" in model || !("merges" in model)) return value;
  return { ...value, model: { ...model, type: "BPE" } };
}

function checkVocabulary(file: string, vocab: Record<string, number>): void {
  const seen = new Set<number>();
  for (const [token, id] of Object.entries(vocab)) {
    if (!Number.isInteger(id) || id < 0 || id > MAX_TOKEN_ID) {
      const what = `token ${JSON.stringify(token.slice(0, 40))} has id ${String(id).slice(0, 40)}, not a whole number up to ${MAX_TOKEN_ID}`;
      throw tokenizerInvalid(file, "model.vocab", what);
    }
    if (seen.has(id)) throw tokenizerInvalid(file, "model.vocab", `two tokens have id ${id}`);
    seen.add(id);
  }
  if (seen.size === 0) throw tokenizerInvalid(file, "model.vocab", "no tokens");
}

function checkMerges(file: string, merges: readonly unknown[]): void {
  const paired = Array.isArray(merges[0]);
  merges.forEach((merge, i) => {
    const pair: unknown = paired || typeof merge !== "string" ? merge : merge.split(" ");
    const good =
      Array.isArray(pair) && pair.length === 2 && pair.every((part) => typeof part === "string" && part !== "");
    if (!good) throw tokenizerInvalid(file, `model.merges.${i}`, "not a pair of tokens");
  });
}
