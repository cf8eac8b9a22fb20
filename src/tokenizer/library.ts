/** A Tokenizer over `@huggingface/tokenizers`: the one place that touches the library. */
import { DraftplanError } from "../core/errors.js";
import { createChatRenderer } from "./chat-template.js";
import type { TokenizerDefinition } from "./definition.js";
import { exactDefinition } from "./exact.js";
import { chatTemplateMissing, messageOf, tokenizerInvalid } from "./failures.js";
import { withinTimeLimit } from "./time-limit.js";
import type { Tokenizer } from "./types.js";
import { type HfTokenizer, hf } from "./untyped.js";

/**
 * Only what must not be left to the library's defaults. Space clean-up (" ." to ".") is off whatever
 * tokenizer_config.json says, as in transformers 5 for BPE: it corrupts text, and a stream cannot take back a space.
 */
const LIBRARY_CONFIG = { clean_up_tokenization_spaces: false };

export interface LibraryTokenizerOptions {
  /** what a chat template's `strftime_now` reads */
  now: () => Date;
  /** for splitting any text, beside what its length takes; default: 5 s */
  timeLimitMs?: number;
}

export function createLibraryTokenizer(definition: TokenizerDefinition, options: LibraryTokenizerOptions): Tokenizer {
  const { file, json, chatTemplate, sha256 } = definition;
  const library = buildLibrary(definition);
  const specialIds = new Set(json.added_tokens.filter((token) => token.special === true).map((token) => token.id));
  const render =
    chatTemplate === undefined ? undefined : createChatRenderer({ ...definition, chatTemplate, now: options.now });

  const encode = (text: string, addSpecialTokens: boolean): number[] => {
    // a lone surrogate has no UTF-8; U+FFFD is what TextEncoder makes of it, too late for normalisers and splits
    const whole = text.replace(/\p{Surrogate}/gu, "\uFFFD");
    const { ids } = bounded(file, whole.length, options.timeLimitMs, () =>
      library.encode(whole, { add_special_tokens: addSpecialTokens }),
    );
    if (ids.every((id) => id !== undefined)) return ids;
    throw tokenizerInvalid(file, "model.vocab", "a token the tokenizer produces has no id");
  };

  return {
    encode: (text) => encode(text, true),
    encodeRendered: (text) => encode(text, false),
    decode: (ids, { keepSpecialTokens = false } = {}) => {
      checkIds(ids);
      // An id without a token writes nothing, as in transformers: embeddings are often padded beyond the vocabulary.
      const known = ids.filter(
        (id) => (keepSpecialTokens || !specialIds.has(id)) && library.id_to_token(id) !== undefined,
      );
      return known.length === 0 ? "" : library.decode(known);
    },
    renderChat: (messages, { addGenerationPrompt = true } = {}) => {
      if (render === undefined) throw chatTemplateMissing(file);
      return render(messages, addGenerationPrompt);
    },
    hasChatTemplate: render !== undefined,
    sha256,
  };
}

/** A million characters take about a second; a busy machine gets patience. */
const TIME_LIMIT_MS = 5000;
const TIME_LIMIT_MS_PER_CHARACTER = 0.02;

/** A regular expression of the tokenizer's, such as `(a+)+$`, may backtrack longer than anybody waits. */
function bounded<T>(file: string, characters: number, timeLimitMs = TIME_LIMIT_MS, encode: () => T): T {
  const limitMs = Math.ceil(timeLimitMs + TIME_LIMIT_MS_PER_CHARACTER * characters);
  try {
    return withinTimeLimit(limitMs, encode);
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw thrown;
    throw tokenizerInvalid(
      file,
      "regular expressions",
      `splitting ${characters} characters took longer than ${limitMs} ms; one of them backtracks without end`,
      thrown,
    );
  }
}

function buildLibrary(definition: TokenizerDefinition): HfTokenizer {
  const { file, json } = definition;
  try {
    const library = new hf.Tokenizer(exactDefinition(file, json), LIBRARY_CONFIG);
    checkTemplateIds(definition, library);
    shareMergeRanks(definition, library);
    keepByteOrderMarks(library);
    return library;
  } catch (thrown) {
    if (thrown instanceof DraftplanError) throw thrown;
    throw tokenizerInvalid(file, "definition", messageOf(thrown), thrown);
  }
}

/** The library looks special tokens up by name, Rust by the ids in the template; they must be the same. */
function checkTemplateIds({ file, json }: TokenizerDefinition, library: HfTokenizer): void {
  const processors = json.post_processor === null ? [] : [json.post_processor];
  for (let part = processors.pop(); part !== undefined; part = processors.pop()) {
    if (part.type === "Sequence") processors.push(...part.processors);
    if (part.type !== "TemplateProcessing") continue;
    for (const [name, { ids }] of Object.entries(part.special_tokens)) {
      if (ids.length === 1 && library.token_to_id(name) === ids[0]) continue;
      throw tokenizerInvalid(
        file,
        "post_processor.special_tokens",
        `${JSON.stringify(name)} is not the token of id ${ids.join(", ")}`,
      );
    }
  }
}

/** Equal ranks make the library's queue take the leftmost pair, which a list of merges cannot say. */
function shareMergeRanks({ mergeRanks }: TokenizerDefinition, library: HfTokenizer): void {
  if (mergeRanks === undefined || !(library.model instanceof hf.BPE)) return;
  library.model.bpe_ranks = new Map(library.model.merges.map((merge, i) => [JSON.stringify(merge), mergeRanks[i]]));
}

/** The library's ByteFallback decodes without `ignoreBOM`, and so loses U+FEFF spelled in byte tokens. */
function keepByteOrderMarks({ decoder }: HfTokenizer): void {
  const parts = decoder instanceof hf.SequenceDecoder ? decoder.decoders : [decoder];
  for (const part of parts) {
    if (part instanceof hf.ByteFallbackDecoder) part.text_decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  }
}

function checkIds(ids: readonly number[]): void {
  const bad = ids.findIndex((id) => !Number.isInteger(id) || id < 0);
  if (bad === -1) return;
  throw new DraftplanError({
    code: "TOKEN_IDS_INVALID",
    at: `ids[${bad}]`,
    what: `${String(ids[bad])} is not a token id`,
    remedy: "pass whole numbers from 0 on, such as draftplan generate MODEL --prompt TEXT --json prints under ids",
  });
}
