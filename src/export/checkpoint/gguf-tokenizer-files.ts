/** The tokenizer files of a Hugging Face folder, made from the metadata of a GGUF. */
import { readGgufTokenizerMetadata } from "../../model/formats/gguf-tokenizer.js";
import type { ModelSpec } from "../../model/spec.js";
import type { TokenizerDefinition, TokenizerJson } from "../../tokenizer/definition.js";
import { definitionFromGguf } from "../../tokenizer/gguf-tokenizer-json.js";
import type { ModelFile } from "../model.js";

export interface TokenizerFiles {
  files: ModelFile[];
  /** what they cannot say */
  notes: string[];
}

/** @throws TOKENIZER_INVALID for a tokenizer that draftplan does not read; a file without one gives generation_config.json alone */
export function ggufTokenizerFiles(path: string, spec: ModelSpec): TokenizerFiles {
  const generation: ModelFile = jsonFile("generation_config.json", {
    ...(spec.bosTokenId === null ? {} : { bos_token_id: spec.bosTokenId }),
    ...(spec.eosTokenIds.length === 0 ? {} : { eos_token_id: spec.eosTokenIds }),
  });
  const metadata = readGgufTokenizerMetadata(path);
  if (metadata === undefined)
    return { files: [generation], notes: ["The GGUF file carries no tokenizer, so no tokenizer files were written."] };
  const definition = definitionFromGguf(path, metadata);
  return {
    files: [
      jsonFile("tokenizer.json", rustTokenizer(definition.json)),
      jsonFile("tokenizer_config.json", tokenizerConfig(definition, spec)),
      jsonFile("special_tokens_map.json", definition.specialTokens),
      generation,
    ],
    notes: [
      "The tokenizer files were made from the GGUF file's metadata.",
      ...(definition.mergeRanks === undefined
        ? []
        : [
            "tokenizer.json cannot say that merges of equal score go leftmost first, as SentencePiece does: a run of one letter may be split otherwise.",
            ...(piecesTie(definition)
              ? [
                  "This vocabulary has different pieces of equal score, which SentencePiece does not write by itself: texts in which two of them overlap are split otherwise by tokenizer.json.",
                ]
              : []),
          ]),
    ],
  };
}

/** Whether two merges of equal rank make different pieces: the ranks of tokenizer.json have no ties, and settle it one way. */
function piecesTie({ json, mergeRanks = [] }: TokenizerDefinition): boolean {
  const made = new Map<number, string>();
  return json.model.merges.some((merge, i) => {
    const piece = typeof merge === "string" ? merge.replace(" ", "") : merge.join("");
    const before = made.get(mergeRanks[i]);
    made.set(mergeRanks[i], piece);
    return before !== undefined && before !== piece;
  });
}

const jsonFile = (name: string, value: unknown): ModelFile => ({ name, text: `${JSON.stringify(value, null, 2)}\n` });

/** The definition with the keys that the Rust library insists on, and which change nothing. */
function rustTokenizer(json: TokenizerJson): object {
  const { model } = json;
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: json.added_tokens.map((token) => ({
      id: token.id,
      content: token.content,
      single_word: false,
      lstrip: token.lstrip ?? false,
      rstrip: token.rstrip ?? false,
      normalized: token.normalized ?? false,
      special: token.special ?? false,
    })),
    normalizer: json.normalizer,
    pre_tokenizer: json.pre_tokenizer && withOffsets(json.pre_tokenizer),
    post_processor: rustPostProcessor(json.post_processor),
    decoder: json.decoder && withOffsets(json.decoder),
    model: {
      type: "BPE",
      dropout: null,
      unk_token: model.unk_token ?? null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: model.fuse_unk ?? false,
      byte_fallback: model.byte_fallback ?? false,
      ignore_merges: model.ignore_merges ?? false,
      vocab: model.vocab,
      merges: model.merges,
    },
  };
}

/** A template has a form for pairs too, and names of its tokens. */
function rustPostProcessor(part: TokenizerJson["post_processor"]): object | null {
  if (part?.type !== "TemplateProcessing") return part;
  const second = part.single.map((item) => JSON.parse(JSON.stringify(item).replace('"id":"A"', '"id":"B"')));
  return {
    type: "TemplateProcessing",
    single: part.single,
    pair: [...part.single, ...second],
    special_tokens: Object.fromEntries(
      Object.entries(part.special_tokens).map(([token, { ids }]) => [token, { id: token, ids, tokens: [token] }]),
    ),
  };
}

/** Byte-level parts must say how offsets are trimmed, of which nothing is read here. */
function withOffsets(part: NonNullable<TokenizerJson["pre_tokenizer"] | TokenizerJson["decoder"]>): object {
  if (part.type === "ByteLevel") return { add_prefix_space: false, trim_offsets: true, use_regex: false, ...part };
  return "pretokenizers" in part ? { ...part, pretokenizers: part.pretokenizers.map(withOffsets) } : part;
}

function tokenizerConfig({ specialTokens, chatTemplate }: TokenizerDefinition, spec: ModelSpec): object {
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...specialTokens,
    ...(chatTemplate === undefined ? {} : { chat_template: chatTemplate }),
    clean_up_tokenization_spaces: false,
    model_max_length: spec.contextLimit,
  };
}
